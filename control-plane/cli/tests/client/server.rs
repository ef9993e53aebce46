//! A small HTTP server, with or without TLS: answers by address, a note of every request.

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use jiff::Timestamp;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use towpath_cli::context::Context;

/// The state that every answer says it is of.
pub(crate) const ETAG: &str = "\"state-1\"";

/// What was asked: method and address, and the rest.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    pub(crate) line: String,
    pub(crate) authorization: String,
    pub(crate) if_match: String,
    pub(crate) body: String,
}

/// A server. Ends with the test's runtime.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    pub(crate) ca_pem: String,
    desk: Desk,
}

/// Answers that wait for their turn.
type Queue = VecDeque<(u16, String)>;

/// The answers to each request, of which the last is given for ever, and what was asked.
#[derive(Clone, Default)]
struct Desk {
    answers: Arc<Mutex<BTreeMap<String, Queue>>>,
    asked: Arc<Mutex<Vec<Asked>>>,
}

impl Server {
    /// A server whose certificate is for `name` alone, and that answers these requests (`GET /v1/status`) with a status
    /// and a body. A request that is named several times is answered by one after the other.
    pub(crate) async fn start(name: &str, answers: &[(&str, u16, &str)]) -> Self {
        let (acceptor, ca_pem) = tls(name);
        Self::listen(Some(acceptor), ca_pem, answers).await
    }

    /// A server without TLS.
    pub(crate) async fn start_plain(answers: &[(&str, u16, &str)]) -> Self {
        Self::listen(None, String::new(), answers).await
    }

    async fn listen(acceptor: Option<TlsAcceptor>, ca_pem: String, answers: &[(&str, u16, &str)]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let server = Self { address, ca_pem, desk: Desk::default() };
        for (line, status, body) in answers {
            server.answer(line, *status, body);
        }
        let desk = server.desk.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (acceptor, desk) = (acceptor.clone(), desk.clone());
                tokio::spawn(async move {
                    match acceptor {
                        None => serve(stream, desk).await,
                        Some(acceptor) => {
                            let Ok(stream) = acceptor.accept(stream).await else { return };
                            serve(stream, desk).await;
                        }
                    }
                });
            }
        });
        server
    }

    /// Answers a request so from now on, after the answers it has already.
    pub(crate) fn answer(&self, line: &str, status: u16, body: &str) {
        let mut answers = self.desk.answers.lock().unwrap();
        answers.entry(line.to_owned()).or_default().push_back((status, body.to_owned()));
    }

    pub(crate) fn context(&self) -> Context {
        Context::with_token(format!("https://{}", self.address), "tpa1.test", self.ca_pem.clone())
    }

    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.desk.asked.lock().unwrap().clone()
    }
}

fn tls(name: &str) -> (TlsAcceptor, String) {
    let ca_key = KeyPair::generate().unwrap();
    let mut ca = CertificateParams::new(Vec::new()).unwrap();
    ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let ca_certificate = ca.self_signed(&ca_key).unwrap();
    let key = KeyPair::generate().unwrap();
    let leaf = CertificateParams::new(vec![name.to_owned()]).unwrap();
    let leaf = leaf.signed_by(&key, &Issuer::new(ca, ca_key)).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(
            vec![leaf.der().clone()],
            PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der())),
        )
        .unwrap();
    (TlsAcceptor::from(Arc::new(config)), ca_certificate.pem())
}

/// Answers one request and closes. What has no answer gets 404.
async fn serve(stream: impl AsyncRead + AsyncWrite + Unpin, desk: Desk) {
    let mut stream = BufReader::new(stream);
    let mut line = String::new();
    stream.read_line(&mut line).await.unwrap();
    let line = line.rsplit_once(' ').map_or("", |(line, _)| line).to_owned();
    let mut headers = BTreeMap::new();
    loop {
        let mut header = String::new();
        stream.read_line(&mut header).await.unwrap();
        let Some((name, value)) = header.trim().split_once(": ") else { break };
        headers.insert(name.to_ascii_lowercase(), value.to_owned());
    }
    let header = |name: &str| headers.get(name).cloned().unwrap_or_default();
    let mut body = vec![0; header("content-length").parse().unwrap_or(0)];
    stream.read_exact(&mut body).await.unwrap();
    let (authorization, if_match) = (header("authorization"), header("if-match"));
    let body = String::from_utf8(body).unwrap();
    desk.asked.lock().unwrap().push(Asked { line: line.clone(), authorization, if_match, body });
    let (status, answer) = {
        let mut answers = desk.answers.lock().unwrap();
        match answers.get_mut(&line) {
            Some(queue) if queue.len() > 1 => queue.pop_front().unwrap(),
            Some(queue) => queue.front().unwrap().clone(),
            None => (
                404,
                r#"{"type": "towpath:not-found", "title": "x", "status": 404, "detail": "nothing here"}"#
                    .to_owned(),
            ),
        }
    };
    let kind = if answer.starts_with("data:") { "text/event-stream" } else { "application/json" };
    let date = jiff::fmt::rfc2822::to_string(&Timestamp::now().to_zoned(jiff::tz::TimeZone::UTC)).unwrap();
    let head = format!(
        "HTTP/1.1 {status} X\r\ncontent-type: {kind}\r\ncontent-length: {}\r\ndate: {date}\r\netag: {ETAG}\r\nconnection: close\r\n\r\n",
        answer.len()
    );
    stream.write_all(format!("{head}{answer}").as_bytes()).await.unwrap();
    stream.shutdown().await.unwrap();
}
