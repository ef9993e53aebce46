//! Bare quinn: one process sends blocks over one stream with mutual TLS, another receives and discards them.

use std::cell::Cell;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, ensure};
use bytes::Bytes;
use clap::Args;
use futures_util::future::LocalBoxFuture;
use quinn::crypto::rustls::{QuicClientConfig, QuicServerConfig};
use quinn::{Endpoint, TransportConfig, VarInt};
use rustls::RootCertStore;
use rustls::server::WebPkiClientVerifier;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use towpath_tests::ports::free_port;
use towpath_tests::process::Launch;

use crate::certificates;
use crate::measure::{Spent, Subject, Trial};

const ALPN: &[u8] = b"bench";
const BLOCK: usize = 1 << 20;
const WINDOW: u32 = 32 << 20;
const LIMIT: Duration = Duration::from_secs(300);

/// Bare quinn as a subject, with as many bytes as the trial before it.
pub(crate) struct Bare {
    pub(crate) folder: PathBuf,
    pub(crate) bytes: Rc<Cell<u64>>,
}

impl Subject for Bare {
    fn name(&self) -> String {
        "quinn, the same bytes".to_owned()
    }

    fn trial(&mut self, _run: usize) -> LocalBoxFuture<'_, Result<Trial>> {
        Box::pin(async move {
            let (bytes, port) = (self.bytes.get(), free_port()?);
            let sides = certificates::make(&self.folder, ["sender", "receiver"])?;
            let program = std::env::current_exe()?;
            let launch = |name: &str, command: &str, side: &certificates::Side| {
                Launch::new(name, &program, &self.folder)
                    .arguments([command, "--port", &port.to_string(), "--bytes", &bytes.to_string()])
                    .arguments(["--certificate"])
                    .arguments([&side.certificate])
                    .arguments(["--key"])
                    .arguments([&side.key])
                    .arguments(["--ca"])
                    .arguments([&side.ca])
            };
            let mut receiver = launch("quinn-receiver", "quinn-receive", &sides[1]).start()?;
            tokio::time::sleep(Duration::from_millis(300)).await;
            let mut sender = launch("quinn-sender", "quinn-send", &sides[0]).start()?;
            // Both are watched until they end, since the kernel forgets the memory of an ended process.
            let (sent, received) = std::thread::scope(|scope| {
                let receiving = scope.spawn(|| receiver.wait(LIMIT));
                let sent = sender.wait(LIMIT);
                (
                    sent,
                    receiving.join().unwrap_or_else(|_| Err(anyhow!("the watch of the receiver panicked"))),
                )
            });
            let ((sent_status, sent), (received_status, received)) = (sent?, received?);
            ensure!(sent_status.success(), "the sender ended with {sent_status}\n{}", sender.log_tail(10));
            ensure!(
                received_status.success(),
                "the receiver ended with {received_status}\n{}",
                receiver.log_tail(10)
            );
            let said = std::fs::read_to_string(self.folder.join("quinn-sender.log"))?;
            let seconds = said.lines().last().and_then(|line| line.parse().ok());
            let seconds: f64 = seconds.with_context(|| format!("no time in {said:?}"))?;
            let nothing = towpath_tests::usage::Usage::default();
            let spent =
                vec![Spent::between("sender", nothing, sent), Spent::between("receiver", nothing, received)];
            Ok(Trial::new(Duration::from_secs_f64(seconds), bytes, 0, spent))
        })
    }
}

/// Where to and how much.
#[derive(Args, Clone, Debug)]
pub(crate) struct Send {
    #[command(flatten)]
    link: Link,
}

/// Where and how much.
#[derive(Args, Clone, Debug)]
pub(crate) struct Receive {
    #[command(flatten)]
    link: Link,
}

#[derive(Args, Clone, Debug)]
struct Link {
    #[arg(long)]
    port: u16,
    #[arg(long)]
    bytes: u64,
    #[arg(long)]
    certificate: PathBuf,
    #[arg(long)]
    key: PathBuf,
    #[arg(long)]
    ca: PathBuf,
}

impl Link {
    fn address(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.port).into()
    }

    fn identity(&self) -> Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>)> {
        Ok((read_certificates(&self.certificate)?, PrivateKeyDer::from_pem_file(&self.key)?))
    }

    fn roots(&self) -> Result<RootCertStore> {
        let mut roots = RootCertStore::empty();
        read_certificates(&self.ca)?.into_iter().try_for_each(|certificate| roots.add(certificate))?;
        Ok(roots)
    }
}

impl Send {
    /// Sends, and prints the seconds from the open connection to the receiver's answer.
    pub(crate) async fn run(self) -> Result<()> {
        let (chain, key) = self.link.identity()?;
        let mut tls = rustls::ClientConfig::builder_with_protocol_versions(&[&rustls::version::TLS13])
            .with_root_certificates(self.link.roots()?)
            .with_client_auth_cert(chain, key)?;
        tls.alpn_protocols = vec![ALPN.to_vec()];
        let mut config = quinn::ClientConfig::new(Arc::new(QuicClientConfig::try_from(tls)?));
        config.transport_config(transport());
        let endpoint = Endpoint::client((Ipv4Addr::LOCALHOST, 0).into())?;
        let connection = endpoint.connect_with(config, self.link.address(), "receiver")?.await?;
        let started = Instant::now();
        let (mut stream, mut answer) = connection.open_bi().await?;
        let block = Bytes::from(vec![0x5a; BLOCK]);
        let mut left = self.link.bytes;
        while left > 0 {
            let length = usize::try_from(left)?.min(BLOCK);
            stream.write_chunk(block.slice(..length)).await?;
            left -= length as u64;
        }
        stream.finish()?;
        let answer = answer.read_to_end(16).await?;
        ensure!(answer == self.link.bytes.to_le_bytes(), "the receiver has other bytes: {answer:?}");
        println!("{}", started.elapsed().as_secs_f64());
        connection.close(VarInt::from_u32(0), b"");
        endpoint.wait_idle().await;
        Ok(())
    }
}

impl Receive {
    /// Receives from one connection and answers how many bytes came.
    pub(crate) async fn run(self) -> Result<()> {
        let (chain, key) = self.link.identity()?;
        let verifier = WebPkiClientVerifier::builder(Arc::new(self.link.roots()?)).build()?;
        let mut tls = rustls::ServerConfig::builder_with_protocol_versions(&[&rustls::version::TLS13])
            .with_client_cert_verifier(verifier)
            .with_single_cert(chain, key)?;
        tls.alpn_protocols = vec![ALPN.to_vec()];
        let mut config = quinn::ServerConfig::with_crypto(Arc::new(QuicServerConfig::try_from(tls)?));
        config.transport_config(transport());
        let endpoint = Endpoint::server(config, self.link.address())?;
        let connection = endpoint.accept().await.context("the endpoint is closed")?.await?;
        let (mut answer, mut stream) = connection.accept_bi().await?;
        let mut received = 0_u64;
        while let Some(chunk) = stream.read_chunk(BLOCK, true).await? {
            received += chunk.bytes.len() as u64;
        }
        answer.write_all(&received.to_le_bytes()).await?;
        answer.finish()?;
        connection.closed().await;
        Ok(())
    }
}

fn transport() -> Arc<TransportConfig> {
    let mut transport = TransportConfig::default();
    transport
        .stream_receive_window(VarInt::from_u32(WINDOW))
        .receive_window(VarInt::from_u32(WINDOW))
        .send_window(u64::from(WINDOW));
    Arc::new(transport)
}

fn read_certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>> {
    let certificates = CertificateDer::pem_file_iter(file)?.collect::<Result<Vec<_>, _>>();
    certificates.with_context(|| format!("{} holds no certificates", file.display()))
}
