//! A bare server of the same answers: hyper and axum with TLS, that reads nothing and looks nothing up.

use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use axum::Router;
use axum::body::Bytes;
use axum::routing::get;
use clap::Args;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::json;
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use towpath_tests::api::{Api, SERVER_NAME};
use towpath_tests::ports::free_port;
use towpath_tests::process::{Launch, Process};
use towpath_tests::wait::wait_until;

use super::installed::Installed;
use super::loads::Read;
use crate::certificates;

const START_WITHIN: Duration = Duration::from_secs(30);

/// The bare server, as a process of its own.
pub(crate) struct Bare {
    pub(crate) process: Process,
    context: PathBuf,
    _folder: tempfile::TempDir,
}

impl Bare {
    /// Starts a server of the answers that this control plane gives.
    pub(crate) async fn start(like: &Installed) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        for read in Read::ALL {
            let answer = like.fleet.api().get_text(&read.path(like.stock, 1)).await?;
            std::fs::write(folder.path().join(read.word()), answer)?;
        }
        let [side, _] = certificates::make(folder.path(), [SERVER_NAME, "nobody"])?;
        let port = free_port()?;
        let launch = Launch::new("bare", std::env::current_exe()?, folder.path())
            .arguments(["api-bare", "--port", &port.to_string(), "--certificate"])
            .arguments([&side.certificate])
            .arguments(["--key"])
            .arguments([&side.key])
            .arguments(["--answers"])
            .arguments([folder.path()]);
        let process = launch.start()?;
        let context = folder.path().join("context.yaml");
        let ca_pem = std::fs::read_to_string(&side.ca)?;
        let server = format!("https://{SERVER_NAME}:{port}");
        std::fs::write(&context, json!({ "server": server, "token": "none", "ca_pem": ca_pem }).to_string())?;
        let api = Api::from_context(&context)?;
        let answers = async || Ok(api.get_text(&format!("/{}", Read::ALL[0].word())).await.ok());
        wait_until("the bare server answers", START_WITHIN, answers).await?;
        Ok(Self { process, context, _folder: folder })
    }

    /// Clients with a connection of their own each.
    pub(crate) fn clients(&self, count: usize) -> Result<Vec<Api>> {
        (0..count).map(|_| Api::from_context(&self.context)).collect()
    }
}

/// Where, and what.
#[derive(Args, Clone, Debug)]
pub(crate) struct Serve {
    #[arg(long)]
    port: u16,
    #[arg(long)]
    certificate: PathBuf,
    #[arg(long)]
    key: PathBuf,
    /// The folder of the answers.
    #[arg(long)]
    answers: PathBuf,
}

impl Serve {
    /// Serves until it is killed.
    pub(crate) async fn run(self) -> Result<()> {
        let chain = CertificateDer::pem_file_iter(&self.certificate)?.collect::<Result<Vec<_>, _>>()?;
        let mut tls = rustls::ServerConfig::builder_with_protocol_versions(&[&rustls::version::TLS13])
            .with_no_client_auth()
            .with_single_cert(chain, PrivateKeyDer::from_pem_file(&self.key)?)?;
        tls.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        let (acceptor, router) = (TlsAcceptor::from(Arc::new(tls)), router(&self.answers)?);
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, self.port)).await?;
        loop {
            let (stream, _) = listener.accept().await?;
            stream.set_nodelay(true)?;
            let (acceptor, router) = (acceptor.clone(), router.clone());
            tokio::spawn(async move {
                let Ok(stream) = acceptor.accept(stream).await else { return };
                let service = TowerToHyperService::new(router);
                // A client that goes away is none of the server's business.
                let builder = auto::Builder::new(TokioExecutor::new());
                drop(builder.serve_connection(TokioIo::new(stream), service).await);
            });
        }
    }
}

fn router(answers: &Path) -> Result<Router> {
    let mut router = Router::new();
    for read in Read::ALL {
        let word = read.word();
        let answer =
            std::fs::read(answers.join(word)).with_context(|| format!("there is no answer {word}"))?;
        let answer = Bytes::from(answer);
        let answering = get(async move || ([("content-type", "application/json")], answer));
        router = router.route(&format!("/{word}"), answering);
    }
    Ok(router)
}
