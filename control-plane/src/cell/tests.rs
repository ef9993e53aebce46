//! What an agent may ask of a cell.

mod hand;
mod border;

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use rcgen::{CertificateParams, KeyPair};
use serde_json::json;
use towpath_catalog::SecretHash;
use towpath_log::LogConfig;
use towpath_record::{LaneId, RegionName};

use super::*;
use crate::api::tests::fixture::{Fixture, name};
use crate::control::ca::CertificateAuthority;
use crate::control::clock::system_clock;
use crate::control::identity::{AgentIdentity, TrustDomain};
use crate::control::request::CertificateRequest;

const DAY: Duration = Duration::from_secs(86_400);
/// However busy the machine, nothing takes longer.
const PATIENCE: Duration = Duration::from_secs(60);

/// A cell over the catalog of a fixture.
struct Bench {
    fixture: Fixture,
    cell: Cell,
    ca: Arc<CertificateAuthority>,
    dir: tempfile::TempDir,
}

impl Bench {
    fn new(fixture: Fixture) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let ca = CertificateAuthority::open_or_create(dir.path(), TrustDomain::default(), SystemTime::now());
        let (ca, catalog) = (Arc::new(ca.unwrap()), fixture.catalog.clone());
        let ledger = Arc::new(CatalogLedger(catalog.clone()));
        let issuer = CertificateIssuer::new(ca.clone(), ledger, DAY, system_clock());
        let config = LogConfig { region: RegionName::main(), segment_bytes: 1 << 20 };
        let (log, _) = RegionLog::open(&dir.path().join("log"), &config).unwrap();
        let deliveries = Deliveries::open(&dir.path().join("deliveries")).unwrap();
        let cell = Cell::new(catalog, log, deliveries, issuer, Revocations::default(), u64::MAX);
        Self { fixture, cell, ca, dir }
    }

    /// Someone with the certificate of this agent asks for a lane; whether an answer was given at once.
    fn ask(&self, agent: AgentId, lane: &LaneId) -> bool {
        let (session, mut answers) = SessionHandle::detached();
        let mut owner = self.receive(agent, session);
        let asked = LaneOpening { opening: 1, lane: lane.clone(), chain: None, want_marks: false };
        owner.handle(CellEvent::LaneRequested(asked));
        answers.try_recv().is_ok()
    }

    /// Someone with the certificate of this agent begins a session.
    fn receive(&self, agent: AgentId, session: SessionHandle) -> Box<dyn Owner> {
        let key = KeyPair::generate().unwrap();
        let request = CertificateParams::new(Vec::new()).unwrap().serialize_request(&key).unwrap();
        let request = CertificateRequest::from_der(request.der()).unwrap();
        let identity = AgentIdentity { agent, site: name("plant") };
        let certificate = self.ca.sign_agent(&request, &identity, DAY, SystemTime::now()).unwrap();
        let peer = PeerIdentity::from_certificate(&certificate.der, self.ca.trust_domain()).unwrap();
        self.cell.receive(peer, "192.0.2.7:4433".parse().unwrap(), session)
    }

    /// The newest event of what was denied; waits for the first.
    async fn denied(&self) -> serde_json::Value {
        let noted = async {
            loop {
                let denied = self.fixture.get("/v1/audit?outcome=denied").await.json();
                if let Some(event) = denied["items"].get(0) {
                    return event.clone();
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(PATIENCE, noted).await.expect("it is on record")
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_that_asks_for_the_source_of_another_is_refused_and_on_record() {
    let (fixture, own) = Fixture::furnished().await;
    let created = fixture.post("/v1/tokens", r#"{"site": "plant"}"#).await.json();
    let secret = SecretHash::of(created["token"].as_str().unwrap());
    let other = fixture.catalog.enrol(&secret, &name("plant-2"), "0.1.0").unwrap().agent;
    let source = fixture.catalog.state().sources.values().next().unwrap().id;
    let (bench, lane) = (Bench::new(fixture), LaneId { source, region: RegionName::main() });

    assert!(!bench.ask(own, &lane), "its own is opened, which takes a moment");
    assert!(bench.ask(other, &lane), "another's is refused at once");

    let event = bench.denied().await;
    assert_eq!(event["actor"], json!({ "type": "agent", "agent": other.to_string(), "name": "plant-2" }));
    assert_eq!((&event["lacking"], &event["on"]), (&json!("assignment"), &json!("source erp")));
    assert_eq!(
        (&event["origin"]["interface"], &event["origin"]["address"]),
        (&json!("link"), &json!("192.0.2.7"))
    );
}
