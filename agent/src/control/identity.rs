//! Who this agent is: its key, the certificate that vouches for the key, and the CA that signed it.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use rcgen::{CertificateParams, KeyPair, PublicKeyData};
use rustls::RootCertStore;
use rustls::crypto::aws_lc_rs;
use rustls::server::WebPkiClientVerifier;
use rustls_pki_types::{CertificateDer, UnixTime};
use serde::{Deserialize, Serialize};
use towpath_record::{AgentId, ResourceName};
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer, X509Certificate};

use super::server_address::ServerAddress;

/// What an agent knows of its enrolment beside key and certificates.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Enrolment {
    /// The agent's identity.
    pub agent: AgentId,
    /// Its name as a resource.
    pub name: ResourceName,
    /// The trust domain of the installation.
    pub trust_domain: String,
    /// Where the control plane is.
    pub server: ServerAddress,
}

/// A key and the certificate that says whose it is.
pub struct Identity {
    enrolment: Enrolment,
    ca: CertificateDer<'static>,
    chain: Vec<CertificateDer<'static>>,
    key: KeyPair,
    uri: String,
    not_before: SystemTime,
    not_after: SystemTime,
}

/// Why certificates do not make an identity.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum CertificateFault {
    /// There is none.
    #[error("there is no certificate")]
    None,
    /// The bytes are not a certificate.
    #[error("the certificate cannot be read: {0}")]
    Unreadable(String),
    /// The certificate is for another key.
    #[error("the certificate is for another key than this agent's")]
    OtherKey,
    /// The certificate is for another agent.
    #[error("the certificate names `{found}` where `{expected}` should stand")]
    OtherName {
        /// What it names.
        found: String,
        /// How the name should begin or be.
        expected: String,
    },
    /// The CA does not vouch for it at this time.
    #[error(
        "the CA does not vouch for the certificate now: {0}; compare this machine's clock with the control plane's"
    )]
    NotVouchedFor(rustls::Error),
}

impl Identity {
    /// Puts the parts together: the certificate must be for this key and name this agent.
    ///
    /// # Errors
    /// The parts do not belong together. Whether the certificate's time is over is not looked at.
    pub fn new(
        enrolment: Enrolment,
        ca: CertificateDer<'static>,
        chain: Vec<CertificateDer<'static>>,
        key: KeyPair,
    ) -> Result<Self, CertificateFault> {
        let unreadable = |e: &dyn std::fmt::Display| CertificateFault::Unreadable(e.to_string());
        let leaf = chain.first().ok_or(CertificateFault::None)?;
        let (_, parsed) = X509Certificate::from_der(leaf).map_err(|e| unreadable(&e))?;
        if parsed.public_key().raw != key.subject_public_key_info() {
            return Err(CertificateFault::OtherKey);
        }
        let uri = uri(&parsed)?;
        let (domain, agent) =
            (format!("spiffe://{}/", enrolment.trust_domain), format!("/agent/{}", enrolment.agent));
        if !(uri.starts_with(&domain) && uri.ends_with(&agent)) {
            let expected = format!("{domain}…{agent}");
            return Err(CertificateFault::OtherName { found: uri, expected });
        }
        let at = |t: x509_parser::time::ASN1Time| {
            SystemTime::UNIX_EPOCH + Duration::from_secs(t.timestamp().try_into().unwrap_or(0))
        };
        let (not_before, not_after) = (at(parsed.validity().not_before), at(parsed.validity().not_after));
        Ok(Self { enrolment, ca, chain, key, uri, not_before, not_after })
    }

    /// Checks that the CA vouches for the certificate at `now`. An agent does so before it keeps a certificate; the
    /// control plane does so at every handshake.
    ///
    /// # Errors
    /// The chain does not lead to the CA, is not for a client, or is not valid at this time.
    pub fn verify(&self, now: SystemTime) -> Result<(), CertificateFault> {
        let fault = |e: &dyn std::fmt::Display| {
            CertificateFault::NotVouchedFor(rustls::Error::General(e.to_string()))
        };
        let mut roots = RootCertStore::empty();
        roots.add(self.ca.clone()).map_err(CertificateFault::NotVouchedFor)?;
        let provider = Arc::new(aws_lc_rs::default_provider());
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider)
            .build()
            .map_err(|e| fault(&e))?;
        let now = UnixTime::since_unix_epoch(now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default());
        verifier
            .verify_client_cert(&self.chain[0], &self.chain[1..], now)
            .map_err(CertificateFault::NotVouchedFor)?;
        Ok(())
    }

    /// The same agent with a new key and the certificate for it.
    ///
    /// # Errors
    /// The certificate is not for this key, names another agent or site, or is not vouched for at `now`.
    pub(super) fn renewed(
        &self,
        chain: Vec<CertificateDer<'static>>,
        key: KeyPair,
        now: SystemTime,
    ) -> Result<Self, CertificateFault> {
        let next = Self::new(self.enrolment.clone(), self.ca.clone(), chain, key)?;
        next.verify(now)?;
        if next.uri != self.uri {
            return Err(CertificateFault::OtherName { found: next.uri, expected: self.uri.clone() });
        }
        Ok(next)
    }

    /// What is known beside key and certificates.
    pub fn enrolment(&self) -> &Enrolment {
        &self.enrolment
    }

    /// The CA of the installation.
    pub fn ca(&self) -> &CertificateDer<'static> {
        &self.ca
    }

    /// The agent's certificate and what leads from it to the CA.
    pub fn chain(&self) -> &[CertificateDer<'static>] {
        &self.chain
    }

    /// The SPIFFE id in the certificate.
    pub fn uri(&self) -> &str {
        &self.uri
    }

    /// When the certificate begins.
    pub fn not_before(&self) -> SystemTime {
        self.not_before
    }

    /// When the certificate ends.
    pub fn not_after(&self) -> SystemTime {
        self.not_after
    }

    pub(super) fn key(&self) -> &KeyPair {
        &self.key
    }
}

impl std::fmt::Debug for Identity {
    /// Leaves the key out.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Identity")
            .field("uri", &self.uri)
            .field("not_after", &self.not_after)
            .finish_non_exhaustive()
    }
}

/// Makes a key on this machine and the PKCS#10 request that proves it is held here. The request asks for no name:
/// the control plane decides what the agent is called.
pub(super) fn new_key() -> Result<(KeyPair, Vec<u8>), rcgen::Error> {
    let key = KeyPair::generate()?;
    let mut params = CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    let request = params.serialize_request(&key)?.der().to_vec();
    Ok((key, request))
}

fn uri(certificate: &X509Certificate<'_>) -> Result<String, CertificateFault> {
    let names = certificate
        .subject_alternative_name()
        .map_err(|e| CertificateFault::Unreadable(e.to_string()))?
        .map(|extension| &extension.value.general_names);
    let mut uris = names.into_iter().flatten().filter_map(|name| match name {
        GeneralName::URI(uri) => Some((*uri).to_owned()),
        _ => None,
    });
    uris.next().ok_or_else(|| CertificateFault::Unreadable("it names no agent".to_owned()))
}
