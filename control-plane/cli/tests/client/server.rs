//! A small HTTPS server: one certificate, answers by address, a note of every request.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use towpath_cli::context::Context;

/// What was asked: method and address, and the rest.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    pub(crate) line: String,
    pub(crate) authorization: String,
    pub(crate) body: String,
}

/// A server. Ends with the test's runtime.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    pub(crate) ca_pem: String,
    asked: Arc<Mutex<Vec<Asked>>>,
}

type Answers = BTreeMap<&'static str, (u16, String)>;

impl Server {
    /// A server whose certificate is for `name` alone, and that answers these requests (`GET /v1/status`) with a status
    /// and a body.
    pub(crate) async fn start(name: &str, answers: &[(&'static str, u16, &str)]) -> Self {
        let (acceptor, ca_pem) = tls(name);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let answers: Answers =
            answers.iter().map(|(line, status, body)| (*line, (*status, (*body).to_owned()))).collect();
        let (answers, asked) = (Arc::new(answers), Arc::new(Mutex::new(Vec::new())));
        let noted = asked.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, acceptor.clone(), answers.clone(), noted.clone()));
            }
        });
        Self { address, ca_pem, asked }
    }

    pub(crate) fn context(&self) -> Context {
        Context {
            server: format!("https://{}", self.address),
            token: "tpa1.test".into(),
            ca_pem: self.ca_pem.clone(),
        }
    }

    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
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
async fn serve(
    stream: TcpStream,
    acceptor: TlsAcceptor,
    answers: Arc<Answers>,
    asked: Arc<Mutex<Vec<Asked>>>,
) {
    let Ok(stream) = acceptor.accept(stream).await else { return };
    let mut stream = BufReader::new(stream);
    let mut line = String::new();
    stream.read_line(&mut line).await.unwrap();
    let line = line.rsplit_once(' ').map_or("", |(line, _)| line).to_owned();
    let (mut length, mut authorization) = (0, String::new());
    loop {
        let mut header = String::new();
        stream.read_line(&mut header).await.unwrap();
        match header.trim().split_once(": ") {
            None => break,
            Some((name, value)) if name.eq_ignore_ascii_case("content-length") => {
                length = value.parse().unwrap();
            }
            Some((name, value)) if name.eq_ignore_ascii_case("authorization") => {
                authorization = value.to_owned();
            }
            Some(_) => {}
        }
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await.unwrap();
    let (status, answer) = answers.get(line.as_str()).cloned().unwrap_or((404, String::new()));
    asked.lock().unwrap().push(Asked { line, authorization, body: String::from_utf8(body).unwrap() });
    let head =
        format!("HTTP/1.1 {status} X\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", answer.len());
    stream.write_all(format!("{head}{answer}").as_bytes()).await.unwrap();
    stream.shutdown().await.unwrap();
}
