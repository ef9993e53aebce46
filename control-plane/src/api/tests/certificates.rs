//! An agent's certificate is good for the link and for nothing else, over a real connection.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, SystemTime};

use rcgen::{CertificateParams, KeyPair};
use reqwest::StatusCode;
use rustls::client::ResolvesClientCert;
use rustls::sign::CertifiedKey;
use rustls::{RootCertStore, SignatureScheme};
use rustls_pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::fixture::{Fixture, TOKEN, name};
use crate::control::ca::CertificateAuthority;
use crate::control::clock::system_clock;
use crate::control::identity::{AgentIdentity, TrustDomain};
use crate::control::request::CertificateRequest;
use crate::control::server_certificate::ServerCertificate;
use crate::control::tls::https_tls;
use crate::http::{self, Waits};

/// Shows an agent's certificate to whoever asks for one, and counts who asks.
#[derive(Debug)]
struct Shown {
    key: Arc<CertifiedKey>,
    asked: AtomicUsize,
}

impl ResolvesClientCert for Shown {
    fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        Some(self.key.clone())
    }

    fn has_certs(&self) -> bool {
        true
    }
}

/// A certificate such as enrolled agents have.
fn agent_certificate(ca: &CertificateAuthority) -> Arc<CertifiedKey> {
    let key = KeyPair::generate().unwrap();
    let request = CertificateParams::new(Vec::new()).unwrap().serialize_request(&key).unwrap();
    let request = CertificateRequest::from_der(request.der()).unwrap();
    let identity = AgentIdentity { agent: Uuid::now_v7().into(), site: name("plant") };
    let day = Duration::from_secs(86_400);
    let certificate = ca.sign_agent(&request, &identity, day, SystemTime::now()).unwrap();
    let private = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let signer = rustls::crypto::aws_lc_rs::sign::any_supported_type(&private).unwrap();
    Arc::new(CertifiedKey::new(vec![certificate.der, ca.certificate().clone()], signer))
}

#[tokio::test]
async fn the_api_asks_nobody_for_a_certificate_and_an_agents_opens_nothing() {
    let (fixture, dir) = (Fixture::new(), tempfile::tempdir().unwrap());
    let ca = CertificateAuthority::open_or_create(dir.path(), TrustDomain::default(), SystemTime::now());
    let ca = Arc::new(ca.unwrap());
    let server = Arc::new(ServerCertificate::issue(ca.clone(), &[], system_clock()).unwrap());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://localhost:{}/v1/sites", listener.local_addr().unwrap().port());
    let (tls, router) = (Arc::new(https_tls(server).unwrap()), fixture.router.clone());
    tokio::spawn(http::serve(listener, tls, router, Waits::default(), CancellationToken::new()));

    let mut roots = RootCertStore::empty();
    roots.add(ca.certificate().clone()).unwrap();
    let shown = Arc::new(Shown { key: agent_certificate(&ca), asked: AtomicUsize::new(0) });
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let tls = rustls::ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let tls = tls.unwrap().with_root_certificates(roots).with_client_cert_resolver(shown.clone());
    let client = reqwest::Client::builder().tls_backend_preconfigured(tls).no_proxy().build().unwrap();

    let by_certificate = client.get(&url).send().await.unwrap();
    assert_eq!(by_certificate.status(), StatusCode::UNAUTHORIZED);
    let denied = fixture.get("/v1/audit?outcome=denied").await.json();
    assert_eq!(denied["items"][0]["actor"], serde_json::json!({ "type": "stranger" }), "it is on record");
    let by_token = client.get(&url).bearer_auth(TOKEN).send().await.unwrap();
    assert_eq!(by_token.status(), StatusCode::OK, "it is the token that opens");
    assert_eq!(shown.asked.load(Ordering::Relaxed), 0);
}
