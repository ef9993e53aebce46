//! Strangers and colleagues without the right to it, over real TLS, byte by byte.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use axum::http::StatusCode;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_util::sync::{CancellationToken, DropGuard};
use towpath_catalog::Actor;

use super::fixture::{Fixture, TOKEN};
use crate::control::ca::CertificateAuthority;
use crate::control::clock::system_clock;
use crate::control::identity::TrustDomain;
use crate::control::server_certificate::ServerCertificate;
use crate::control::tls::https_tls;
use crate::http::{Waits, serve};

const SHORT: Waits = Waits {
    handshake: Duration::from_millis(500),
    head: Duration::from_millis(700),
    silence: Duration::from_secs(3),
    taking: Duration::from_millis(800),
};
/// However busy the machine, nothing takes longer.
const PATIENCE: Duration = Duration::from_secs(60);

/// The API on a port of its own.
pub(super) struct Server {
    pub(super) fixture: Fixture,
    address: std::net::SocketAddr,
    connector: TlsConnector,
    _stop: DropGuard,
    _dir: tempfile::TempDir,
}

impl Server {
    pub(super) async fn start() -> Self {
        let (fixture, dir) = (Fixture::furnished().await.0, tempfile::tempdir().unwrap());
        let ca = CertificateAuthority::open_or_create(dir.path(), TrustDomain::default(), SystemTime::now());
        let ca = Arc::new(ca.unwrap());
        let mut roots = RootCertStore::empty();
        roots.add(ca.certificate().clone()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let client = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13])
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let certificate = Arc::new(ServerCertificate::issue(ca, &[], system_clock()).unwrap());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (address, stop) = (listener.local_addr().unwrap(), CancellationToken::new());
        let tls = Arc::new(https_tls(certificate).unwrap());
        tokio::spawn(serve(listener, tls, fixture.router.clone(), SHORT, stop.clone()));
        let connector = TlsConnector::from(Arc::new(client));
        Self { fixture, address, connector, _stop: stop.drop_guard(), _dir: dir }
    }

    async fn connect(&self) -> TlsStream<TcpStream> {
        let stream = TcpStream::connect(self.address).await.unwrap();
        let name = ServerName::try_from("control.towpath.internal").unwrap();
        self.connector.connect(name, stream).await.unwrap()
    }

    /// Sends these bytes and reads until the server has no more to say.
    pub(super) async fn say(&self, bytes: &[u8]) -> String {
        let mut stream = self.connect().await;
        // The server may have gone before it has read all.
        let _ = stream.write_all(bytes).await;
        read_all(&mut stream).await
    }

    /// Asks for an address as the admin, with more lines of the head.
    pub(super) async fn ask(&self, line: &str, more: &str) -> String {
        let head = format!(
            "{line} HTTP/1.1\r\nhost: x\r\nconnection: close\r\nauthorization: Bearer {TOKEN}\r\n{more}\r\n"
        );
        self.say(head.as_bytes()).await
    }
}

async fn read_all(stream: &mut TlsStream<TcpStream>) -> String {
    let mut answer = Vec::new();
    let reading = async {
        let mut part = [0; 4096];
        while let Ok(read @ 1..) = stream.read(&mut part).await {
            answer.extend_from_slice(&part[..read]);
        }
    };
    tokio::time::timeout(PATIENCE, reading).await.expect("the server ends the connection");
    String::from_utf8_lossy(&answer).into_owned()
}

pub(super) fn status(answer: &str) -> u16 {
    answer.split(' ').nth(1).and_then(|word| word.parse().ok()).unwrap_or(0)
}

#[tokio::test(flavor = "multi_thread")]
async fn tricks_with_paths_lead_nowhere() {
    let server = Server::start().await;
    assert_eq!(status(&server.ask("GET /v1/sites/plant", "").await), 200);
    for path in [
        "/v1/sites/%2e%2e/agents",
        "/v1/sites/../agents/plant-1/x",
        "/v1//sites",
        "//v1/sites",
        "/v1/sites%2fplant",
        "/v1/sites/plant%2f..%2fother",
        "/v1/sites/plant%00",
        "/V1/sites",
        "/v1/sites/",
        "/v1/sites;x=1/plant",
        "/openapi.json/../v1/sites/x/y",
    ] {
        let answer = server.ask(&format!("GET {path}"), "").await;
        assert_eq!(status(&answer), 404, "{path}: {answer}");
        assert!(answer.contains("application/problem+json"), "{path}: {answer}");
    }
    let long = format!("GET /v1/sites/{}", "a".repeat(20_000));
    assert_eq!(status(&server.ask(&long, "").await), 404);
    let endless = format!("GET /v1/sites/{}", "a".repeat(200_000));
    let answer = server.ask(&endless, "").await;
    assert!(matches!(status(&answer), 0 | 414 | 431), "{answer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn tricks_with_headers_change_neither_who_asks_nor_what_is_done() {
    let server = Server::start().await;
    let twice = server.ask("GET /v1/sites", "authorization: Bearer other\r\n").await;
    assert_eq!(status(&twice), 400, "{twice}");
    let overridden = "x-http-method-override: DELETE\r\nx-method-override: DELETE\r\nx-original-url: /v1/routes/orders\r\n";
    assert_eq!(status(&server.ask("GET /v1/routes/orders", overridden).await), 200);
    assert_eq!(status(&server.ask("POST /v1/routes/orders", overridden).await), 405);
    assert_eq!(server.fixture.catalog.state().routes.len(), 1);

    let claims = "x-forwarded-for: 203.0.113.7\r\nforwarded: for=203.0.113.7\r\nx-real-ip: 203.0.113.7\r\nx-forwarded-host: evil\r\n";
    assert_eq!(status(&server.ask("DELETE /v1/routes/orders", claims).await), 204);
    let event = server.fixture.catalog.events(0, 1000).unwrap().pop().unwrap();
    assert_eq!(event.cause.origin.unwrap().address.unwrap().to_string(), "127.0.0.1");
    assert!(matches!(event.cause.actor, Actor::Admin { .. }));

    let both = "content-length: 5\r\ntransfer-encoding: chunked\r\n";
    let smuggled = server.ask("POST /v1/apply", both).await;
    assert!(status(&smuggled) >= 400 || smuggled.is_empty(), "{smuggled}");
    let many: String = (0..2000).map(|n| format!("x-{n}: y\r\n")).collect();
    assert!(matches!(status(&server.ask("GET /v1/sites", &many).await), 0 | 431));
    let large = format!("x-large: {}\r\n", "y".repeat(100_000));
    assert!(matches!(status(&server.ask("GET /v1/sites", &large).await), 0 | 431));
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_is_slow_is_cut_and_others_are_served_meanwhile() {
    let server = Server::start().await;
    let mut silent = TcpStream::connect(server.address).await.unwrap();
    let mut heads = Vec::new();
    for _ in 0..20 {
        let mut stream = server.connect().await;
        stream.write_all(b"GET /v1/sites HTTP/1.1\r\nhost: x\r\nx-slow: ").await.unwrap();
        heads.push(stream);
    }
    let mut idle = server.connect().await;
    let begun = Instant::now();
    assert_eq!(status(&server.ask("GET /v1/sites", "").await), 200);
    for stream in &mut heads {
        let answer = read_all(stream).await;
        assert!(matches!(status(&answer), 0 | 408), "{answer}");
    }
    assert_eq!(read_all(&mut idle).await, "");
    let ended = tokio::time::timeout(PATIENCE, silent.read(&mut [0; 16])).await.expect("it is cut");
    assert!(ended.is_err() || ended.is_ok_and(|read| read == 0));
    assert!(begun.elapsed() >= SHORT.head / 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_or_packed_body_is_refused_before_it_is_read() {
    let server = Server::start().await;
    let said = "content-length: 9000000000\r\n";
    assert_eq!(status(&server.ask("POST /v1/apply", said).await), 413);
    let bomb = "content-encoding: gzip\r\ncontent-length: 20\r\n";
    assert_eq!(status(&server.ask("POST /v1/apply", bomb).await), 415);
    // A body whose length is not said is counted as it comes.
    let mut stream = server.connect().await;
    let head = format!(
        "POST /v1/apply HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {TOKEN}\r\ntransfer-encoding: chunked\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    let chunk = [b"10000\r\n".to_vec(), vec![b'#'; 0x10000], b"\r\n".to_vec()].concat();
    for _ in 0..200 {
        if stream.write_all(&chunk).await.is_err() {
            break;
        }
    }
    let answer = read_all(&mut stream).await;
    assert!(matches!(status(&answer), 0 | 413), "{answer}");
    assert_eq!(status(&server.ask("GET /v1/sites", "").await), 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_was_taken_back_is_worth_nothing_at_once() {
    let server = Server::start().await;
    let order = r#"{"name": "stolen", "grants": [{"role": "viewer"}]}"#;
    let key = server.fixture.post("/v1/keys", order).await;
    assert_eq!(key.status, StatusCode::CREATED, "{}", key.text);
    let key = key.json();
    let (secret, id) = (key["key"].as_str().unwrap(), key["id"].as_str().unwrap());
    let head = format!("GET /v1/sites HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {secret}\r\n\r\n");
    let mut open = server.connect().await;
    open.write_all(head.as_bytes()).await.unwrap();
    let mut first = [0; 12];
    open.read_exact(&mut first).await.unwrap();
    assert_eq!(&first, b"HTTP/1.1 200");
    assert_eq!(server.fixture.delete(&format!("/v1/keys/{id}")).await.status, StatusCode::NO_CONTENT);
    // On the connection that was let in before, too.
    open.write_all(head.as_bytes()).await.unwrap();
    let rest = read_all(&mut open).await;
    assert!(rest.contains("HTTP/1.1 401"), "{rest}");
}
