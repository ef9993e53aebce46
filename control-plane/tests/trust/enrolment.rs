//! What becomes of a token.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use parking_lot::Mutex;
use rcgen::KeyPair;
use tonic::{Code, Request, Status};
use towpath_catalog::{Interface, Origin};
use towpath_control::control::ca::{AGENT_CERTIFICATE_LIFE, AgentCertificate};
use towpath_control::control::clock::system_clock;
use towpath_control::control::enrol::{
    CertificateIssuer, EnrolmentLedger, EnrolmentRefusal, EnrolmentService, Newcomer,
};
use towpath_control::control::identity::{AgentIdentity, PeerIdentity, Serial};
use towpath_control::control::token::{EnrolmentToken, TokenHash};
use towpath_proto::enrol::enrolment_server::Enrolment;
use towpath_proto::enrol::{EnrolRequest, EnrolResponse};

use crate::{Installation, plant, request};

/// The catalog's part, in memory: tokens with their number of uses left, and what was recorded.
#[derive(Default)]
struct Ledger {
    tokens: Mutex<HashMap<TokenHash, bool>>,
    recorded: Mutex<Vec<Serial>>,
    denied: Mutex<Vec<String>>,
    broken: bool,
}

#[async_trait]
impl EnrolmentLedger for Ledger {
    async fn consume_token(
        &self,
        token: TokenHash,
        _: Newcomer,
        _: SystemTime,
    ) -> Result<AgentIdentity, EnrolmentRefusal> {
        match self.tokens.lock().get_mut(&token) {
            None => Err(EnrolmentRefusal::UnknownToken),
            Some(used) if *used => Err(EnrolmentRefusal::UsedToken { site: plant(1).site }),
            Some(used) => {
                *used = true;
                Ok(plant(1))
            }
        }
    }

    async fn record_certificate(
        &self,
        _: &AgentIdentity,
        certificate: &AgentCertificate,
    ) -> Result<(), EnrolmentRefusal> {
        if self.broken {
            return Err(EnrolmentRefusal::Unavailable("disk full at /secret/path".into()));
        }
        self.recorded.lock().push(certificate.serial);
        Ok(())
    }

    async fn record_denial(&self, origin: Origin, refusal: &EnrolmentRefusal) {
        assert_eq!(origin.interface, Interface::Enrolment);
        self.denied.lock().push(refusal.to_string());
    }
}

struct Bench {
    installation: Installation,
    ledger: Arc<Ledger>,
    token: EnrolmentToken,
}

impl Bench {
    fn new(ledger: Ledger) -> Self {
        let installation = Installation::new();
        let token = EnrolmentToken::mint(&installation.ca.fingerprint()).unwrap();
        ledger.tokens.lock().insert(token.hash(), false);
        Self { installation, ledger: Arc::new(ledger), token }
    }

    fn issuer(&self) -> CertificateIssuer<Ledger> {
        let ca = self.installation.ca.clone();
        CertificateIssuer::new(ca, self.ledger.clone(), AGENT_CERTIFICATE_LIFE, system_clock())
    }

    async fn enrol(&self, token: &str, csr_der: Vec<u8>) -> Result<EnrolResponse, Status> {
        let request = EnrolRequest {
            token: token.to_owned(),
            csr_der: csr_der.into(),
            agent_name: "press-7".to_owned(),
            version: "0.1.0".to_owned(),
        };
        let service = EnrolmentService::new(self.issuer());
        service.enrol(Request::new(request)).await.map(tonic::Response::into_inner)
    }
}

#[tokio::test]
async fn a_token_buys_one_certificate_that_names_what_the_catalog_knows() {
    let bench = Bench::new(Ledger::default());
    let (token, csr) = (bench.token.reveal(), request(&KeyPair::generate().unwrap()));

    let answer = bench.enrol(token, csr.clone()).await.unwrap();

    let domain = bench.installation.ca.trust_domain();
    let peer = PeerIdentity::from_certificate(&answer.certificate_chain[0], domain).unwrap();
    assert_eq!(AgentIdentity::from(peer.clone()), plant(1));
    assert_eq!(&answer.agent_id[..], plant(1).agent.as_bytes());
    assert_eq!(*bench.ledger.recorded.lock(), [peer.serial]);
    assert_eq!(
        SystemTime::UNIX_EPOCH + Duration::from_secs(answer.not_after_unix.unsigned_abs()),
        peer.not_after
    );
    let life = peer.not_after.duration_since(SystemTime::now()).unwrap();
    assert!(life <= AGENT_CERTIFICATE_LIFE && life > AGENT_CERTIFICATE_LIFE - Duration::from_secs(60));

    let again = bench.enrol(token, csr).await.unwrap_err();
    assert_eq!(again.code(), Code::Unauthenticated);
    assert!(again.message().contains("used already") && again.message().contains("--site plant"), "{again}");
    let denied = bench.ledger.denied.lock();
    assert!(denied.len() == 1 && denied[0].contains("used already"), "it is on record: {denied:?}");
}

#[tokio::test]
async fn a_request_that_cannot_be_signed_does_not_use_the_token_up() {
    let bench = Bench::new(Ledger::default());
    let good = request(&KeyPair::generate().unwrap());
    let mut tampered = good.clone();
    *tampered.last_mut().unwrap() ^= 1;
    let refused = bench.enrol(bench.token.reveal(), tampered).await.unwrap_err();
    assert_eq!(refused.code(), Code::InvalidArgument);
    bench.enrol(bench.token.reveal(), good).await.unwrap();
}

#[tokio::test]
async fn a_token_that_was_never_made_here_is_refused_with_what_to_do() {
    let bench = Bench::new(Ledger::default());
    let csr = request(&KeyPair::generate().unwrap());
    let refused = bench.enrol("tp1.made.up", csr).await.unwrap_err();
    assert_eq!(refused.code(), Code::Unauthenticated);
    assert!(refused.message().contains("towpath token create"), "{refused}");
}

#[tokio::test]
async fn no_certificate_leaves_that_was_not_recorded_and_no_inner_cause_is_told() {
    let bench = Bench::new(Ledger { broken: true, ..Ledger::default() });
    let csr = request(&KeyPair::generate().unwrap());
    let refused = bench.enrol(bench.token.reveal(), csr).await.unwrap_err();
    assert_eq!(refused.code(), Code::Unavailable);
    assert!(!refused.message().contains("/secret/path"), "{refused}");
}

#[tokio::test]
async fn a_renewal_keeps_the_identity_and_changes_serial_and_key() {
    let bench = Bench::new(Ledger::default());
    let first = bench.enrol(bench.token.reveal(), request(&KeyPair::generate().unwrap())).await.unwrap();
    let domain = bench.installation.ca.trust_domain();
    let peer = PeerIdentity::from_certificate(&first.certificate_chain[0], domain).unwrap();

    let renewed = bench.issuer().renew(&peer, &request(&KeyPair::generate().unwrap())).await.unwrap();

    let next = PeerIdentity::from_certificate(&renewed.der, domain).unwrap();
    assert_eq!(AgentIdentity::from(next.clone()), peer.clone().into());
    assert_ne!(next.serial, peer.serial);
    assert_eq!(*bench.ledger.recorded.lock(), [peer.serial, next.serial]);
}
