//! Certificates that are none of ours, or no more, over real connections: each is turned away, and it is on record.

use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use parking_lot::Mutex;
use quinn::crypto::rustls::QuicClientConfig;
use rcgen::{CertificateParams, KeyPair};
use rustls::RootCertStore;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use tempfile::TempDir;
use tokio_util::sync::{CancellationToken, DropGuard};
use towpath_record::{AgentId, ResourceName};

use super::connection::{Owner, SessionHandle};
use super::endpoint::{Reception, bind, serve};
use super::reset::ResetKey;
use crate::control::ca::CertificateAuthority;
use crate::control::clock::system_clock;
use crate::control::identity::{AgentIdentity, PeerIdentity, TrustDomain};
use crate::control::request::CertificateRequest;
use crate::control::server_certificate::{SERVER_NAME, ServerCertificate};
use crate::control::tls::{LINK_ALPN, server_tls};
use crate::control::verifier::Revocations;

const DAY: Duration = Duration::from_secs(86_400);
/// However busy the machine, nothing takes longer.
const PATIENCE: Duration = Duration::from_secs(60);

/// Notes who comes, and lets nobody do anything.
#[derive(Default)]
struct Door {
    let_in: Mutex<Vec<AgentId>>,
    turned_away: Mutex<Vec<SocketAddr>>,
}

struct Nobody;

impl Owner for Nobody {
    fn handle(&mut self, _: towpath_session::CellEvent<towpath_record::SealedFrame>) {}

    fn parted(&mut self, _: towpath_proto::link::GoodbyeCode, _: bool) {}
}

impl Reception for Door {
    fn receive(&self, peer: PeerIdentity, _: SocketAddr, _: SessionHandle) -> Box<dyn Owner> {
        self.let_in.lock().push(peer.agent);
        Box::new(Nobody)
    }

    fn turned_away(&self, address: SocketAddr) {
        self.turned_away.lock().push(address);
    }
}

/// A link on a port of its own.
struct Link {
    ca: Arc<CertificateAuthority>,
    door: Arc<Door>,
    revocations: Revocations,
    address: SocketAddr,
    _stop: DropGuard,
    _dir: TempDir,
}

impl Link {
    fn start() -> Self {
        let (ca, dir) = authority();
        let server = Arc::new(ServerCertificate::issue(ca.clone(), &[], system_clock()).unwrap());
        let (revocations, door, stop) =
            (Revocations::default(), Arc::<Door>::default(), CancellationToken::new());
        let tls = server_tls(&ca, server, revocations.clone()).unwrap();
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let address = socket.local_addr().unwrap();
        let endpoint = bind(socket, tls, ResetKey::open_or_create(dir.path()).unwrap()).unwrap();
        tokio::spawn(serve(endpoint, TrustDomain::default(), door.clone(), stop.clone()));
        Self { ca, door, revocations, address, _stop: stop.drop_guard(), _dir: dir }
    }

    /// Connects with what is shown, waits until the connection is over, and says from which address it came.
    async fn come(&self, shown: Option<(CertificateDer<'static>, &KeyPair)>) -> SocketAddr {
        let mut roots = RootCertStore::empty();
        roots.add(self.ca.certificate().clone()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let tls = rustls::ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13])
            .unwrap()
            .with_root_certificates(roots);
        let mut tls = match shown {
            None => tls.with_no_client_auth(),
            Some((certificate, key)) => {
                let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
                tls.with_client_auth_cert(vec![certificate], key).unwrap()
            }
        };
        tls.alpn_protocols = vec![LINK_ALPN.to_vec()];
        let config = quinn::ClientConfig::new(Arc::new(QuicClientConfig::try_from(tls).unwrap()));
        let endpoint = quinn::Endpoint::client("127.0.0.1:0".parse().unwrap()).unwrap();
        let connecting = endpoint.connect_with(config, self.address, SERVER_NAME).unwrap();
        // A client believes that it is connected until the server's refusal comes.
        if let Ok(connection) = connecting.await {
            drop(tokio::time::timeout(Duration::from_secs(2), connection.closed()).await);
        }
        endpoint.local_addr().unwrap()
    }

    async fn is_noted(&self, address: SocketAddr) {
        let noted = async {
            while !self.door.turned_away.lock().contains(&address) {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(PATIENCE, noted).await.expect("it is on record");
    }
}

fn authority() -> (Arc<CertificateAuthority>, TempDir) {
    let dir = tempfile::tempdir().unwrap();
    let ca = CertificateAuthority::open_or_create(dir.path(), TrustDomain::default(), SystemTime::now());
    (Arc::new(ca.unwrap()), dir)
}

fn agent(number: u8) -> AgentIdentity {
    AgentIdentity { agent: AgentId::from_bytes([number; 16]), site: ResourceName::new("plant").unwrap() }
}

/// A certificate for an agent that was signed at that time and holds for a day.
fn certify(
    ca: &CertificateAuthority,
    key: &KeyPair,
    number: u8,
    signed: SystemTime,
) -> CertificateDer<'static> {
    let request = CertificateParams::new(Vec::new()).unwrap().serialize_request(key).unwrap();
    let request = CertificateRequest::from_der(request.der()).unwrap();
    ca.sign_agent(&request, &agent(number), DAY, signed).unwrap().der
}

#[tokio::test(flavor = "multi_thread")]
async fn who_shows_no_good_certificate_is_turned_away_and_on_record() {
    let (link, key, now) = (Link::start(), KeyPair::generate().unwrap(), SystemTime::now());
    let (other, _dir) = authority();
    link.revocations.revoke_agent(agent(3).agent);
    let forged = certify(&other, &key, 1, now);
    let expired = certify(&link.ca, &key, 2, now - 3 * DAY);
    let revoked = certify(&link.ca, &key, 3, now);
    for shown in [None, Some(forged), Some(expired), Some(revoked)] {
        let address = link.come(shown.map(|certificate| (certificate, &key))).await;
        link.is_noted(address).await;
    }
    assert_eq!(link.door.turned_away.lock().len(), 4);
    assert_eq!(*link.door.let_in.lock(), []);

    link.come(Some((certify(&link.ca, &key, 4, now), &key))).await;
    assert_eq!(*link.door.let_in.lock(), [agent(4).agent]);
    assert_eq!(link.door.turned_away.lock().len(), 4, "whoever is let in is not");
}
