//! Enrolment against servers on a real socket: the true one, and those that only say they are.

use std::sync::Arc;

use async_trait::async_trait;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use rustls::client::danger::ServerCertVerifier;
use rustls::crypto::aws_lc_rs;
use rustls_pki_types::PrivatePkcs8KeyDer;
use sha2::{Digest, Sha256};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tonic::{Request, Response, Status};
use towpath_proto::enrol::enrolment_server::{Enrolment as EnrolmentRpc, EnrolmentServer};

use super::super::test_authority::TestAuthority;
use super::*;

/// A control plane that answers every request with what `answer` makes of it.
struct ControlPlane {
    authority: Arc<TestAuthority>,
    answer: fn(&TestAuthority, &EnrolRequest) -> Result<EnrolResponse, Status>,
}

#[async_trait]
impl EnrolmentRpc for ControlPlane {
    async fn enrol(&self, request: Request<EnrolRequest>) -> Result<Response<EnrolResponse>, Status> {
        (self.answer)(&self.authority, request.get_ref()).map(Response::new)
    }
}

fn accepting(authority: &TestAuthority, request: &EnrolRequest) -> Result<EnrolResponse, Status> {
    let chain = authority.sign(&request.csr_der, 1, SystemTime::now());
    Ok(EnrolResponse {
        agent_id: ids::to_bytes(AgentId::from_bytes([1; 16]).as_bytes()),
        certificate_chain: chain.iter().map(|der| ids::to_bytes(der)).collect(),
        ca_der: ids::to_bytes(&authority.certificate()),
        trust_domain: "towpath.internal".to_owned(),
        not_after_unix: 0,
    })
}

impl ControlPlane {
    fn accepting(authority: &Arc<TestAuthority>) -> Self {
        Self { authority: authority.clone(), answer: accepting }
    }

    /// Serves under a certificate for `name` on a free port until the test ends.
    async fn serve(self, name: &str) -> ServerAddress {
        let (chain, key) = self.authority.server(name);
        let key = PrivatePkcs8KeyDer::from(key.serialize_der()).into();
        let mut config = rustls::ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_protocol_versions(&[&rustls::version::TLS13])
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .unwrap();
        config.alpn_protocols = vec![b"h2".to_vec()];
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let service = TowerToHyperService::new(EnrolmentServer::new(self));
        let acceptor = TlsAcceptor::from(Arc::new(config));
        tokio::spawn(async move {
            while let Ok((tcp, _)) = listener.accept().await {
                let (acceptor, service) = (acceptor.clone(), service.clone());
                tokio::spawn(async move {
                    // A client that refuses the certificate ends the handshake: that is what is tested.
                    if let Ok(tls) = acceptor.accept(tcp).await {
                        let builder = auto::Builder::new(TokioExecutor::new());
                        let _ = builder.serve_connection(TokioIo::new(tls), service).await;
                    }
                });
            }
        });
        address.to_string().parse().unwrap()
    }
}

fn options(server: ServerAddress, pinned: &TestAuthority) -> EnrolOptions {
    use base64::Engine;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    let (secret, pin) = (URL_SAFE_NO_PAD.encode([7; 32]), Sha256::digest(pinned.certificate()));
    let token = format!("tp1.{secret}.{}", URL_SAFE_NO_PAD.encode(pin)).parse().unwrap();
    EnrolOptions { server, token, name: ResourceName::new("press-7").unwrap(), force: false }
}

fn bench() -> (tempfile::TempDir, IdentityStore, Arc<TestAuthority>) {
    let dir = tempfile::tempdir().unwrap();
    let store = IdentityStore::new(dir.path());
    (dir, store, Arc::new(TestAuthority::new()))
}

fn is_vacant(store: &IdentityStore) -> bool {
    matches!(store.load(), Err(StoreError::NotEnrolled { .. }))
}

#[tokio::test]
async fn an_agent_that_meets_its_control_plane_keeps_an_identity_that_it_finds_again() {
    let (_dir, store, authority) = bench();
    let server = ControlPlane::accepting(&authority).serve(SERVER_NAME).await;
    let identity = enrol(&store, options(server.clone(), &authority)).await.unwrap();
    let kept = store.load().unwrap();
    assert_eq!(kept.enrolment(), identity.enrolment());
    assert_eq!(kept.enrolment().server, server);
    assert_eq!(kept.enrolment().agent, AgentId::from_bytes([1; 16]));
    super::super::credentials::agent_tls(&kept).unwrap();
}

#[tokio::test]
async fn an_enrolled_machine_is_enrolled_anew_only_by_force() {
    let (_dir, store, authority) = bench();
    let server = ControlPlane::accepting(&authority).serve(SERVER_NAME).await;
    let first = enrol(&store, options(server.clone(), &authority)).await.unwrap();
    let again = enrol(&store, options(server.clone(), &authority)).await.unwrap_err();
    assert!(matches!(again, EnrolError::Store(StoreError::AlreadyEnrolled { .. })), "{again}");
    assert_eq!(store.load().unwrap().chain(), first.chain());
    let forced = EnrolOptions { force: true, ..options(server, &authority) };
    let second = enrol(&store, forced).await.unwrap();
    assert_eq!(store.load().unwrap().chain(), second.chain());
    assert_ne!(first.chain(), second.chain());
}

#[tokio::test]
async fn a_server_under_another_ca_than_the_pinned_one_never_sees_the_token() {
    let (_dir, store, authority) = bench();
    let impostor = ControlPlane {
        authority: Arc::new(TestAuthority::new()),
        answer: |_, _| panic!("the token was sent to an impostor"),
    };
    let server = impostor.serve(SERVER_NAME).await;
    let error = enrol(&store, options(server, &authority)).await.unwrap_err();
    assert!(matches!(error, EnrolError::Impostor { .. }), "{error:?}");
    assert!(error.to_string().contains("CA that the token pins"), "{error}");
    assert!(is_vacant(&store));
}

#[tokio::test]
async fn a_server_that_shows_the_pinned_ca_beside_a_certificate_it_did_not_sign_is_refused() {
    let (_dir, store, authority) = bench();
    let forger = TestAuthority::new();
    let (mut chain, _) = forger.server(SERVER_NAME);
    chain[1] = authority.certificate();
    let verdict = verify(&options("127.0.0.1".parse().unwrap(), &authority), &chain, SERVER_NAME);
    assert!(matches!(verdict, Err(rustls::Error::InvalidCertificate(_))), "{verdict:?}");
    let (chain, _) = authority.server(SERVER_NAME);
    verify(&options("127.0.0.1".parse().unwrap(), &authority), &chain, SERVER_NAME).unwrap();
    assert!(is_vacant(&store));
}

fn verify(options: &EnrolOptions, chain: &[CertificateDer<'_>], name: &str) -> Result<(), rustls::Error> {
    let name = ServerName::try_from(name).unwrap();
    super::super::pinned::verifier(options.token.pin())
        .verify_server_cert(&chain[0], &chain[1..], &name, &[], rustls_pki_types::UnixTime::now())
        .map(|_| ())
}

#[tokio::test]
async fn a_server_of_the_pinned_ca_under_another_name_is_refused() {
    let (_dir, store, authority) = bench();
    let server = ControlPlane::accepting(&authority).serve("agent.towpath.internal").await;
    let error = enrol(&store, options(server, &authority)).await.unwrap_err();
    assert!(matches!(error, EnrolError::Tls { .. }), "{error:?}");
    assert!(is_vacant(&store));
}

#[tokio::test]
async fn a_refusal_is_told_in_the_control_planes_words_and_leaves_nothing_behind() {
    let (_dir, store, authority) = bench();
    let refusing = ControlPlane {
        authority: authority.clone(),
        answer: |_, _| Err(Status::unauthenticated("the token was used already; make another")),
    };
    let server = refusing.serve(SERVER_NAME).await;
    let error = enrol(&store, options(server, &authority)).await.unwrap_err();
    assert!(
        matches!(&error, EnrolError::Refused { reason, .. } if reason.contains("used already")),
        "{error:?}"
    );
    assert!(is_vacant(&store));
}

#[tokio::test]
async fn a_certificate_for_another_agent_or_key_is_not_kept() {
    for answer in [other_agent, other_key] {
        let (_dir, store, authority) = bench();
        let server = ControlPlane { authority: authority.clone(), answer }.serve(SERVER_NAME).await;
        let error = enrol(&store, options(server, &authority)).await.unwrap_err();
        assert!(matches!(error, EnrolError::Certificate(_)), "{error:?}");
        assert!(is_vacant(&store));
    }
}

fn other_agent(authority: &TestAuthority, request: &EnrolRequest) -> Result<EnrolResponse, Status> {
    let agent_id = ids::to_bytes(AgentId::from_bytes([2; 16]).as_bytes());
    Ok(EnrolResponse { agent_id, ..accepting(authority, request)? })
}

fn other_key(authority: &TestAuthority, request: &EnrolRequest) -> Result<EnrolResponse, Status> {
    let (_, csr_der) = new_key().unwrap();
    accepting(authority, &EnrolRequest { csr_der: csr_der.into(), ..request.clone() })
}

#[tokio::test]
async fn an_address_where_nobody_listens_is_named_in_the_error() {
    let (_dir, store, authority) = bench();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let server: ServerAddress = listener.local_addr().unwrap().to_string().parse().unwrap();
    drop(listener);
    let error = enrol(&store, options(server.clone(), &authority)).await.unwrap_err();
    assert!(matches!(error, EnrolError::Unreachable { .. }));
    assert!(error.to_string().contains(&server.to_string()), "{error}");
}
