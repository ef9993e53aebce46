//! Lets in the agents that this installation vouches for and has not revoked.

use std::collections::HashSet;
use std::sync::Arc;

use parking_lot::RwLock;
use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::CryptoProvider;
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, OtherError, PeerIncompatible,
    RootCertStore, SignatureScheme,
};
use rustls_pki_types::{CertificateDer, UnixTime};
use towpath_record::AgentId;

use super::ca::CertificateAuthority;
use super::identity::{PeerIdentity, Serial, TrustDomain};

/// Who may not come in any more. Clones share one list; a change counts for the next handshake.
///
/// A connection that was let in before is closed by the link, which asks [`Revocations::is_revoked`] again when an
/// agent is revoked.
#[derive(Clone, Default, Debug)]
pub struct Revocations(Arc<RwLock<Arc<Revoked>>>);

/// What is revoked: agents, or single certificates of agents.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub struct Revoked {
    /// Agents, with every certificate they have or will have.
    pub agents: HashSet<AgentId>,
    /// Certificates, such as one whose key was stolen.
    pub serials: HashSet<Serial>,
}

/// Verifies an agent's certificate in the TLS handshake.
#[derive(Debug)]
pub struct AgentVerifier {
    chain: Arc<dyn ClientCertVerifier>,
    trust_domain: TrustDomain,
    revocations: Revocations,
}

impl Revocations {
    /// Puts another list in place of the present one, as after a start or a change of the catalog.
    pub fn replace(&self, revoked: Revoked) {
        *self.0.write() = Arc::new(revoked);
    }

    /// Revokes one agent.
    pub fn revoke_agent(&self, agent: AgentId) {
        Arc::make_mut(&mut *self.0.write()).agents.insert(agent);
    }

    /// Revokes one certificate.
    pub fn revoke_certificate(&self, serial: Serial) {
        Arc::make_mut(&mut *self.0.write()).serials.insert(serial);
    }

    /// Whether this peer may not be here.
    pub fn is_revoked(&self, peer: &PeerIdentity) -> bool {
        let revoked = self.0.read();
        revoked.agents.contains(&peer.agent) || revoked.serials.contains(&peer.serial)
    }
}

impl AgentVerifier {
    /// A verifier that trusts `ca` and nobody else.
    ///
    /// # Errors
    /// The CA's certificate cannot be a trust anchor.
    pub fn new(
        ca: &CertificateAuthority,
        revocations: Revocations,
        provider: Arc<CryptoProvider>,
    ) -> Result<Self, Error> {
        let mut roots = RootCertStore::empty();
        roots.add(ca.certificate().clone())?;
        let chain = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider)
            .build()
            .map_err(|e| Error::General(e.to_string()))?;
        Ok(Self { chain, trust_domain: ca.trust_domain().clone(), revocations })
    }
}

impl ClientCertVerifier for AgentVerifier {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.chain.root_hint_subjects()
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        // The chain first: what the names say means nothing until the CA has vouched for them.
        let verified = self.chain.verify_client_cert(end_entity, intermediates, now)?;
        let peer = PeerIdentity::from_certificate(end_entity, &self.trust_domain)
            .map_err(|e| CertificateError::Other(OtherError(Arc::new(e))))?;
        if self.revocations.is_revoked(&peer) {
            tracing::warn!(agent = %peer.agent, site = %peer.site, serial = %peer.serial,
                "refused the certificate of a revoked agent");
            return Err(CertificateError::Revoked.into());
        }
        Ok(verified)
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(PeerIncompatible::Tls12NotOffered.into())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.chain.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.chain.supported_verify_schemes()
    }
}
