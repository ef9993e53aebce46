//! How this machine becomes an agent: a key made here, a token spent, a certificate kept.

use std::error::Error;
use std::io;
use std::time::{Duration, SystemTime};

use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use rustls_pki_types::{CertificateDer, ServerName};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tonic::transport::{Channel, Endpoint};
use towpath_proto::enrol::enrolment_client::EnrolmentClient;
use towpath_proto::enrol::{EnrolRequest, EnrolResponse};
use towpath_proto::ids;
use towpath_record::{AgentId, ResourceName};

use super::credentials::SERVER_NAME;
use super::identity::{CertificateFault, Enrolment, Identity, new_key};
use super::identity_store::{IdentityStore, StoreError};
use super::pinned::{WrongCa, enrolment_tls};
use super::server_address::ServerAddress;
use super::token::EnrolmentToken;

const DIAL_TIMEOUT: Duration = Duration::from_secs(10);
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);
/// A chain of two certificates has some 1.5 KiB.
const MAX_ANSWER_BYTES: usize = 64 << 10;

/// What an installer says of the agent to be.
#[derive(Debug)]
pub struct EnrolOptions {
    /// Where the control plane is.
    pub server: ServerAddress,
    /// The one-time token.
    pub token: EnrolmentToken,
    /// The name the agent shall have.
    pub name: ResourceName,
    /// Whether an enrolment that is there may be replaced.
    pub force: bool,
}

/// Why the agent is not enrolled.
#[derive(Debug, thiserror::Error)]
pub enum EnrolError {
    /// The identity cannot be kept, or there is one already.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// No key could be made.
    #[error("cannot make a key")]
    Key(#[source] rcgen::Error),
    /// Nobody answers at the address.
    #[error("cannot reach the control plane at {server}; check the address, and that TCP to it is allowed")]
    Unreachable {
        /// Where.
        server: ServerAddress,
        /// What the operating system said.
        #[source]
        source: io::Error,
    },
    /// Whoever answers is not who the token says.
    #[error("refused the server at {server}: {source}")]
    Impostor {
        /// Where.
        server: ServerAddress,
        /// Why.
        source: WrongCa,
    },
    /// TLS failed otherwise.
    #[error(
        "cannot speak TLS with the control plane at {server}; compare the clocks, and check that nothing intercepts TLS"
    )]
    Tls {
        /// Where.
        server: ServerAddress,
        /// What TLS said.
        #[source]
        source: io::Error,
    },
    /// The connection broke after TLS was up.
    #[error("the connection to the control plane at {server} broke; run the command again")]
    Broken {
        /// Where.
        server: ServerAddress,
        /// Why.
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
    /// The control plane refuses.
    #[error("the control plane refuses to enrol `{name}`: {reason}")]
    Refused {
        /// The name asked for.
        name: ResourceName,
        /// The control plane's words, which name the remedy.
        reason: String,
    },
    /// The answer is not what an enrolment is answered with.
    #[error("the control plane's answer is not valid: {0}; upgrade the older of the two")]
    Answer(String),
    /// The certificate is not for us.
    #[error("the control plane sent a certificate that this agent cannot use")]
    Certificate(#[from] CertificateFault),
}

/// Enrols this machine and keeps its identity in the store. The key never leaves it.
///
/// # Errors
/// [`EnrolError`] says what stands in the way. The token is spent only when the control plane accepted it.
pub async fn enrol(store: &IdentityStore, options: EnrolOptions) -> Result<Identity, EnrolError> {
    let EnrolOptions { server, token, name, force } = options;
    if !force {
        store.ensure_vacant()?;
    }
    let (key, csr_der) = new_key().map_err(EnrolError::Key)?;
    let request = EnrolRequest {
        token: token.reveal().to_owned(),
        csr_der: csr_der.into(),
        agent_name: name.to_string(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
    };
    let answer = ask(&server, &token, request, &name).await?;
    let agent = ids::id("agent_id", &answer.agent_id, AgentId::from_bytes)
        .map_err(|e| EnrolError::Answer(e.to_string()))?;
    let ca = CertificateDer::from(answer.ca_der.to_vec());
    if !token.pin().matches(&ca) {
        return Err(EnrolError::Impostor { server, source: WrongCa });
    }
    let chain = answer.certificate_chain.iter().map(|der| CertificateDer::from(der.to_vec())).collect();
    let enrolment = Enrolment { agent, name, trust_domain: answer.trust_domain, server };
    let identity = Identity::new(enrolment, ca, chain, key)?;
    identity.verify(SystemTime::now())?;
    store.save(&identity)?;
    Ok(identity)
}

async fn ask(
    server: &ServerAddress,
    token: &EnrolmentToken,
    request: EnrolRequest,
    name: &ResourceName,
) -> Result<EnrolResponse, EnrolError> {
    let stream = dial(server, token).await?;
    let channel =
        channel(stream).await.map_err(|e| EnrolError::Broken { server: server.clone(), source: e.into() })?;
    let mut client = EnrolmentClient::new(channel).max_decoding_message_size(MAX_ANSWER_BYTES);
    match timeout(ANSWER_TIMEOUT, client.enrol(request)).await {
        Ok(Ok(answer)) => Ok(answer.into_inner()),
        // tonic wraps a lost connection in a status; what the control plane itself said has no source.
        Ok(Err(status)) if status.source().is_some() => {
            Err(EnrolError::Broken { server: server.clone(), source: status.into() })
        }
        Ok(Err(status)) => {
            Err(EnrolError::Refused { name: name.clone(), reason: status.message().to_owned() })
        }
        Err(late) => Err(EnrolError::Broken { server: server.clone(), source: late.into() }),
    }
}

async fn dial(server: &ServerAddress, token: &EnrolmentToken) -> Result<TlsStream<TcpStream>, EnrolError> {
    let unreachable = |source| EnrolError::Unreachable { server: server.clone(), source };
    let tls = |source| EnrolError::Tls { server: server.clone(), source };
    let tcp = timeout(DIAL_TIMEOUT, TcpStream::connect((server.host(), server.port())))
        .await
        .map_err(|late| unreachable(late.into()))?
        .map_err(unreachable)?;
    let config = enrolment_tls(token.pin()).map_err(|e| tls(io::Error::other(e)))?;
    let name = ServerName::try_from(SERVER_NAME).map_err(|e| tls(io::Error::other(e)))?;
    let handshake = TlsConnector::from(std::sync::Arc::new(config)).connect(name, tcp);
    let source = match timeout(DIAL_TIMEOUT, handshake).await {
        Ok(Ok(stream)) => return Ok(stream),
        Ok(Err(source)) => source,
        Err(late) => late.into(),
    };
    match is_wrong_ca(&source) {
        true => Err(EnrolError::Impostor { server: server.clone(), source: WrongCa }),
        false => Err(tls(source)),
    }
}

fn is_wrong_ca(error: &io::Error) -> bool {
    use rustls::{CertificateError, Error};
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<Error>());
    match inner {
        Some(Error::InvalidCertificate(CertificateError::Other(other))) => other.0.is::<WrongCa>(),
        _ => false,
    }
}

/// A gRPC channel over a connection that is made already, which keeps TLS faults typed and out of tonic's hands.
async fn channel(stream: TlsStream<TcpStream>) -> Result<Channel, tonic::transport::Error> {
    let once = Mutex::new(Some(TokioIo::new(stream)));
    let connector = tower::service_fn(move |_| {
        let stream = once.lock().take();
        async { stream.ok_or_else(|| io::Error::other("the connection was lost")) }
    });
    Endpoint::from_shared(format!("https://{SERVER_NAME}"))?.connect_with_connector(connector).await
}

#[cfg(test)]
mod tests;
