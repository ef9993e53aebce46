//! Copies against receivers that break.

mod webhook;

use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::net::{TcpListener, UdpSocket};
use towpath_catalog::{Actor, CatalogConfig};
use towpath_resource::parse_documents;

use super::*;
use crate::config::EgressSettings;

struct Scene {
    catalog: Arc<Catalog>,
    exports: Exports,
    egress: Arc<Egress>,
    dir: tempfile::TempDir,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

fn apply(catalog: &Catalog, text: &str) {
    let manifest = parse_documents(text).unwrap().remove(0).manifest.unwrap();
    catalog.apply(manifest, &Actor::System.into()).unwrap();
}

fn site(catalog: &Catalog, name: &str) {
    apply(catalog, &format!("apiVersion: towpath/v1\nkind: Site\nmetadata: {{name: {name}}}\n"));
}

fn export(catalog: &Catalog, target: &str) {
    let text = format!(
        "apiVersion: towpath/v1\nkind: AuditExport\nmetadata: {{name: copy}}\nspec: {{target: {target}}}\n"
    );
    apply(catalog, &text);
}

impl Scene {
    fn new() -> Self {
        Self::with(Arc::new(Egress::new(&EgressSettings::default()).unwrap()))
    }

    fn with(egress: Arc<Egress>) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let (catalog, _) = Catalog::open(&dir.path().join("catalog"), CatalogConfig::default()).unwrap();
        Self::begin(Arc::new(catalog), egress, dir)
    }

    fn begin(catalog: Arc<Catalog>, egress: Arc<Egress>, dir: tempfile::TempDir) -> Self {
        let (exports, stop) = (Exports::default(), CancellationToken::new());
        let ways = Ways { dir: dir.path().join("out"), egress: egress.clone() };
        let task = tokio::spawn(run(catalog.clone(), ways, exports.clone(), stop.clone()));
        Self { catalog, exports, egress, dir, stop, task }
    }

    /// Stops the copies and begins again, as a restart does.
    async fn restart(self) -> Self {
        self.stop.cancel();
        self.task.await.unwrap();
        Self::begin(self.catalog, self.egress, self.dir)
    }

    fn status(&self) -> ExportStatus {
        let state = self.catalog.state();
        let export = state.audit_exports.values().next().unwrap();
        self.exports.status(export.id).unwrap_or_default()
    }

    async fn until(&self, what: &str, reached: impl Fn(&ExportStatus) -> bool) {
        for _ in 0..600 {
            if reached(&self.status()) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("{what}: {:?}", self.status());
    }

    async fn until_sent(&self) {
        let seq = self.catalog.state().seq;
        self.until("everything is sent", |status| status.sent == seq && status.trouble.is_none()).await;
    }

    fn lines(&self) -> Vec<String> {
        let text = std::fs::read_to_string(self.dir.path().join("out/trail.jsonl")).unwrap();
        text.lines().map(ToOwned::to_owned).collect()
    }
}

/// The messages of a stream with octet counting, up to so many.
async fn messages(stream: &mut (impl AsyncRead + Unpin), count: usize) -> Vec<String> {
    let mut found = Vec::new();
    while found.len() < count {
        let mut length = String::new();
        loop {
            match stream.read_u8().await.unwrap() {
                b' ' => break,
                digit => length.push(char::from(digit)),
            }
        }
        let mut message = vec![0; length.parse().unwrap()];
        stream.read_exact(&mut message).await.unwrap();
        found.push(String::from_utf8(message).unwrap());
    }
    found
}

fn numbers(messages: &[String]) -> Vec<u64> {
    let number = |message: &String| {
        let json = &message[message.find('{').unwrap()..];
        serde_json::from_str::<serde_json::Value>(json).unwrap()["event"]["seq"].as_u64().unwrap()
    };
    messages.iter().map(number).collect()
}

/// TLS for a receiver that is known by this name, with a certificate of its own.
fn server_tls(name: &str) -> (rustls::ServerConfig, rcgen::Certificate) {
    let key = rcgen::KeyPair::generate().unwrap();
    let certificate = rcgen::CertificateParams::new([name.to_owned()]).unwrap().self_signed(&key).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(
            vec![certificate.der().clone()],
            rustls_pki_types::PrivatePkcs8KeyDer::from(key.serialize_der()).into(),
        )
        .unwrap();
    (config, certificate)
}

#[tokio::test]
async fn a_file_gets_every_event_once_and_goes_on_after_a_restart() {
    let scene = Scene::new();
    site(&scene.catalog, "before");
    export(&scene.catalog, "{file: {name: trail}}");
    scene.until_sent().await;
    site(&scene.catalog, "after");
    scene.until_sent().await;
    let scene = scene.restart().await;
    site(&scene.catalog, "later");
    scene.until_sent().await;
    assert_eq!(numbers(&scene.lines()), [1, 2, 3, 4]);
}

#[tokio::test]
async fn a_paused_or_deleted_export_rests_and_a_resumed_one_goes_on_where_it_was() {
    let scene = Scene::new();
    export(&scene.catalog, "{file: {name: trail}}");
    scene.until_sent().await;
    export(&scene.catalog, "{file: {name: trail}}, paused: true");
    scene.until("paused", |status| *status == ExportStatus::default()).await;
    site(&scene.catalog, "meanwhile");
    export(&scene.catalog, "{file: {name: trail}}");
    scene.until_sent().await;
    // What was being written when it was told to rest may come again.
    let mut seen = numbers(&scene.lines());
    seen.dedup();
    assert_eq!(seen, [1, 2, 3, 4]);
}

#[tokio::test]
async fn a_syslog_receiver_over_tcp_gets_events_in_order_and_none_is_lost_when_it_breaks() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let scene = Scene::new();
    export(&scene.catalog, &format!("{{syslog: {{address: '{address}', transport: tcp}}}}"));
    let (mut first, _) = listener.accept().await.unwrap();
    assert_eq!(numbers(&messages(&mut first, 1).await), [1]);
    site(&scene.catalog, "two");
    assert_eq!(numbers(&messages(&mut first, 1).await), [2]);
    drop(first);
    // Over a connection that broke unnoticed, the last that was handed over may be lost: it comes again.
    tokio::time::sleep(Duration::from_millis(200)).await;
    site(&scene.catalog, "three");
    let (mut second, _) = listener.accept().await.unwrap();
    assert_eq!(numbers(&messages(&mut second, 2).await), [2, 3]);
    scene.until_sent().await;
}

#[tokio::test]
async fn a_receiver_that_is_away_is_told_as_trouble_and_gets_everything_when_it_comes() {
    let address = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let scene = Scene::new();
    site(&scene.catalog, "one");
    export(&scene.catalog, &format!("{{syslog: {{address: '{address}', transport: tcp}}}}"));
    let away = format!("connecting to {address} failed");
    scene.until("trouble", |status| status.trouble.as_ref().is_some_and(|why| why.contains(&away))).await;
    assert_eq!((scene.status().sent, scene.status().behind), (0, 2));
    let listener = TcpListener::bind(address).await.unwrap();
    let (mut stream, _) = listener.accept().await.unwrap();
    assert_eq!(numbers(&messages(&mut stream, 2).await), [1, 2]);
    scene.until_sent().await;
}

#[tokio::test]
async fn a_syslog_receiver_over_udp_gets_a_datagram_for_each_event() {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let address = socket.local_addr().unwrap();
    let scene = Scene::new();
    export(&scene.catalog, &format!("{{syslog: {{address: '{address}', transport: udp}}}}"));
    let mut datagram = vec![0; 65_536];
    let size = socket.recv(&mut datagram).await.unwrap();
    let message = String::from_utf8(datagram[..size].to_vec()).unwrap();
    assert!(message.starts_with("<110>1 ") && message.contains(" resource_applied - {"), "{message}");
}

#[tokio::test]
async fn a_syslog_receiver_over_tls_must_be_the_one_it_says() {
    let (config, certificate) = server_tls("localhost");
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let received = tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            if let Ok(mut stream) = acceptor.accept(stream).await {
                return messages(&mut stream, 1).await;
            }
        }
    });
    let line = r#"{"event":{"seq":1,"event":"x"},"previous":"00"}"#.to_owned();
    let target = || SyslogTarget::new(format!("localhost:{port}"), towpath_resource::SyslogTransport::Tls);
    let refused = target().send(std::slice::from_ref(&line)).await.unwrap_err().to_string();
    assert!(refused.contains("connecting to localhost"), "{refused}");
    let mut roots = rustls::RootCertStore::empty();
    roots.add(certificate.der().clone()).unwrap();
    target().trusting(roots).send(&[line]).await.unwrap();
    assert_eq!(numbers(&received.await.unwrap()), [1]);
}
