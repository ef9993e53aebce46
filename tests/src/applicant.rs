//! Someone who asks to be enrolled: gRPC over TLS, as the protocol says, with nothing of the agent's own code.

use std::io;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result};
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use rcgen::{CertificateParams, KeyPair};
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, ServerName};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Status};
use towpath_proto::enrol::EnrolRequest;
use towpath_proto::enrol::enrolment_client::EnrolmentClient;

use crate::api::{AdminContext, SERVER_NAME, install_provider};

/// Someone with a key and a connection, who may ask as often as wanted.
pub struct Applicant {
    client: EnrolmentClient<Channel>,
    csr_der: Vec<u8>,
}

/// What an applicant is told.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Answer {
    /// The token was taken.
    Enrolled,
    /// The token is not good, or not any more.
    Refused(String),
    /// Nothing that can be relied on: the control plane went away, or cannot record anything now.
    Nothing(String),
}

impl Applicant {
    /// Connects to the control plane of this admin context, with a fresh key.
    ///
    /// # Errors
    /// Nobody answers there, or it is not who the context says.
    pub async fn connect(context: &Path) -> Result<Self> {
        let key = KeyPair::generate()?;
        let csr_der = CertificateParams::default().serialize_request(&key)?.der().to_vec();
        Ok(Self { client: client(context).await?, csr_der })
    }

    /// Connects again, with the same key.
    ///
    /// # Errors
    /// As [`Applicant::connect`].
    pub async fn reconnect(&mut self, context: &Path) -> Result<()> {
        self.client = client(context).await?;
        Ok(())
    }

    /// Asks to be enrolled under this name.
    pub async fn ask(&mut self, token: &str, name: &str) -> Answer {
        let request = EnrolRequest {
            token: token.to_owned(),
            csr_der: self.csr_der.clone().into(),
            agent_name: name.to_owned(),
            version: "0.0.0".to_owned(),
        };
        match self.client.enrol(request).await {
            Ok(_) => Answer::Enrolled,
            Err(status) if is_of_transport(&status) => Answer::Nothing(status.to_string()),
            Err(status) => Answer::Refused(status.message().to_owned()),
        }
    }
}

/// tonic wraps a lost connection in a status; what the control plane itself said has no source.
fn is_of_transport(status: &Status) -> bool {
    use std::error::Error;
    status.source().is_some() || matches!(status.code(), Code::Unavailable | Code::Cancelled)
}

async fn client(context: &Path) -> Result<EnrolmentClient<Channel>> {
    let context = AdminContext::read(context)?;
    install_provider();
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(context.ca_pem.as_bytes())?)?;
    let mut tls = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    tls.alpn_protocols = vec![b"h2".to_vec()];
    let tcp = TcpStream::connect(context.address()?).await.context("the control plane does not answer")?;
    let stream = TlsConnector::from(Arc::new(tls)).connect(ServerName::try_from(SERVER_NAME)?, tcp).await?;
    let once = Mutex::new(Some(TokioIo::new(stream)));
    let connector = tower::service_fn(move |_| {
        let stream = once.lock().take();
        async { stream.ok_or_else(|| io::Error::other("the connection was lost")) }
    });
    let endpoint = Endpoint::from_shared(format!("https://{SERVER_NAME}"))?;
    Ok(EnrolmentClient::new(endpoint.connect_with_connector(connector).await?))
}
