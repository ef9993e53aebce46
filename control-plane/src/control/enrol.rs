//! Enrolment and renewal: a token or a running link in, a short-lived certificate out.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use rustls_pki_types::CertificateDer;
use tonic::{Code, Request, Response, Status};
use towpath_catalog::{Interface, Origin};
use towpath_proto::enrol::enrolment_server::{Enrolment, EnrolmentServer};
use towpath_proto::enrol::{EnrolRequest, EnrolResponse};
use towpath_proto::ids::to_bytes;
use towpath_record::{AgentId, ResourceName};

use super::ca::{AgentCertificate, CaError, CertificateAuthority};
use super::clock::Clock;
use super::identity::{AgentIdentity, PeerIdentity};
use super::request::{CertificateRequest, RequestError};
use super::token::TokenHash;
use crate::door::origin;

/// A gRPC request to enrol: a token, a name, a version and a CSR, with room to spare.
const MAX_ENROL_BYTES: usize = 32 << 10;
const MAX_VERSION_CHARS: usize = 64;

/// What enrolment needs of the catalog. Both are durable when they return `Ok`.
#[async_trait]
pub trait EnrolmentLedger: Send + Sync + 'static {
    /// Uses a token up and creates its agent, in one step: of any number of concurrent uses exactly one succeeds.
    async fn consume_token(
        &self,
        token: TokenHash,
        newcomer: Newcomer,
        now: SystemTime,
    ) -> Result<AgentIdentity, EnrolmentRefusal>;

    /// Records a certificate before it is handed out. Refuses one for a revoked or unknown agent.
    async fn record_certificate(
        &self,
        identity: &AgentIdentity,
        certificate: &AgentCertificate,
    ) -> Result<(), EnrolmentRefusal>;

    /// Records that whoever sent this request had no token that is good, or no more.
    async fn record_denial(&self, origin: Origin, refusal: &EnrolmentRefusal);
}

/// What an agent that enrols says of itself.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Newcomer {
    /// The name it wishes.
    pub name: ResourceName,
    /// The version of its program.
    pub version: String,
}

/// Why the catalog refuses an enrolment or a renewal.
#[derive(Debug, thiserror::Error)]
pub enum EnrolmentRefusal {
    /// No such token was made here.
    #[error("the token is not known here; make one with `towpath token create --site SITE`")]
    UnknownToken,
    /// The token was used.
    #[error("the token was used already; make another with `towpath token create --site {site}`")]
    UsedToken {
        /// The site it was for.
        site: ResourceName,
    },
    /// The token's time is over.
    #[error("the token has expired; make another with `towpath token create --site {site}`")]
    ExpiredToken {
        /// The site it was for.
        site: ResourceName,
    },
    /// The name is taken.
    #[error(
        "there is an agent `{name}` already; enrol under another name with `--name`, or delete that agent first"
    )]
    NameTaken {
        /// The name.
        name: ResourceName,
    },
    /// The agent was revoked or deleted.
    #[error("agent {agent} is revoked or deleted; enrol it again with a new token")]
    Revoked {
        /// The agent.
        agent: AgentId,
    },
    /// The catalog cannot write now.
    #[error("the catalog cannot record the enrolment now; try again")]
    Unavailable(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// Why no certificate was issued.
#[derive(Debug, thiserror::Error)]
pub enum IssueError {
    /// The request is not acceptable.
    #[error(transparent)]
    Request(#[from] RequestError),
    /// The catalog refuses.
    #[error(transparent)]
    Refused(#[from] EnrolmentRefusal),
    /// The CA failed.
    #[error("the CA cannot sign the certificate")]
    Ca(#[from] CaError),
}

/// Issues certificates to agents, each recorded before it is handed out. Cheap to clone.
pub struct CertificateIssuer<L> {
    ca: Arc<CertificateAuthority>,
    ledger: Arc<L>,
    life: Duration,
    clock: Clock,
}

impl<L: EnrolmentLedger> CertificateIssuer<L> {
    /// An issuer of certificates that last `life`.
    pub fn new(ca: Arc<CertificateAuthority>, ledger: Arc<L>, life: Duration, clock: Clock) -> Self {
        Self { ca, ledger, life, clock }
    }

    /// Enrols an agent that presents a token.
    ///
    /// # Errors
    /// The request is refused; the token is used up only if the request was sound.
    pub async fn enrol(
        &self,
        token: TokenHash,
        newcomer: Newcomer,
        csr_der: &[u8],
    ) -> Result<(AgentIdentity, AgentCertificate), IssueError> {
        let request = CertificateRequest::from_der(csr_der)?;
        let now = (self.clock)();
        let name = newcomer.name.clone();
        let identity = self.ledger.consume_token(token, newcomer, now).await?;
        let certificate = self.issue(&identity, &request, now).await?;
        tracing::info!(agent = %identity.agent, %name, site = %identity.site, "enrolled an agent");
        Ok((identity, certificate))
    }

    /// Issues the next certificate to an agent whose link proves who it is.
    ///
    /// # Errors
    /// The request is not sound, or the agent was revoked.
    pub async fn renew(&self, peer: &PeerIdentity, csr_der: &[u8]) -> Result<AgentCertificate, IssueError> {
        let request = CertificateRequest::from_der(csr_der)?;
        self.issue(&peer.clone().into(), &request, (self.clock)()).await
    }

    /// The certificates that the holder of this one presents.
    pub fn chain(&self, certificate: &AgentCertificate) -> Vec<CertificateDer<'static>> {
        vec![certificate.der.clone()]
    }

    async fn issue(
        &self,
        identity: &AgentIdentity,
        request: &CertificateRequest,
        now: SystemTime,
    ) -> Result<AgentCertificate, IssueError> {
        let certificate = self.ca.sign_agent(request, identity, self.life, now)?;
        self.ledger.record_certificate(identity, &certificate).await?;
        Ok(certificate)
    }
}

impl<L> Clone for CertificateIssuer<L> {
    fn clone(&self) -> Self {
        Self { ca: self.ca.clone(), ledger: self.ledger.clone(), life: self.life, clock: self.clock.clone() }
    }
}

/// The gRPC service `towpath.enrol.v1.Enrolment`.
pub struct EnrolmentService<L>(CertificateIssuer<L>);

impl<L: EnrolmentLedger> EnrolmentService<L> {
    /// The service over this issuer.
    pub fn new(issuer: CertificateIssuer<L>) -> Self {
        Self(issuer)
    }

    /// The service, ready to be routed to, with a bound on what it reads.
    pub fn into_server(self) -> EnrolmentServer<Self> {
        EnrolmentServer::new(self).max_decoding_message_size(MAX_ENROL_BYTES)
    }
}

#[async_trait]
impl<L: EnrolmentLedger> Enrolment for EnrolmentService<L> {
    async fn enrol(&self, request: Request<EnrolRequest>) -> Result<Response<EnrolResponse>, Status> {
        let origin = origin(request.extensions(), Interface::Enrolment);
        let EnrolRequest { token, csr_der, agent_name, version } = request.into_inner();
        let name = ResourceName::new(agent_name).map_err(|e| Status::invalid_argument(e.to_string()))?;
        let newcomer = Newcomer { name, version: version.chars().take(MAX_VERSION_CHARS).collect() };
        let enrolled = self.0.enrol(TokenHash::of(&token), newcomer, &csr_der).await;
        if let Err(IssueError::Refused(refusal)) = &enrolled {
            self.0.ledger.record_denial(origin, refusal).await;
        }
        let (identity, certificate) = enrolled.map_err(|error| status(&error))?;
        let not_after = certificate.not_after.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        Ok(Response::new(EnrolResponse {
            agent_id: to_bytes(identity.agent.as_bytes()),
            certificate_chain: self.0.chain(&certificate).iter().map(|der| to_bytes(der)).collect(),
            ca_der: to_bytes(self.0.ca.certificate()),
            trust_domain: self.0.ca.trust_domain().to_string(),
            not_after_unix: not_after.as_secs().try_into().unwrap_or(i64::MAX),
        }))
    }
}

/// What the agent is told: the reason and remedy, never the inner cause, which is for our own log.
fn status(error: &IssueError) -> Status {
    let code = match error {
        IssueError::Request(_) => Code::InvalidArgument,
        IssueError::Refused(refusal) => match refusal {
            EnrolmentRefusal::UnknownToken
            | EnrolmentRefusal::UsedToken { .. }
            | EnrolmentRefusal::ExpiredToken { .. } => Code::Unauthenticated,
            EnrolmentRefusal::NameTaken { .. } => Code::AlreadyExists,
            EnrolmentRefusal::Revoked { .. } => Code::PermissionDenied,
            EnrolmentRefusal::Unavailable(_) => Code::Unavailable,
        },
        IssueError::Ca(_) => Code::Internal,
    };
    tracing::warn!(error = error as &dyn std::error::Error, "refused an enrolment");
    Status::new(code, error.to_string())
}
