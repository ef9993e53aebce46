//! The certificate authority of one installation: signs for agents and for the control plane itself.

mod error;
mod keep;

use std::time::{Duration, SystemTime};

use rcgen::{
    CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, SanType, SerialNumber,
};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use sha2::{Digest, Sha256};

use super::identity::{AgentIdentity, Serial, TrustDomain};
use super::request::CertificateRequest;

pub use error::CaError;
use error::crypto_error;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// How far a certificate's begin is set back, for peers whose clock is behind ours.
const CLOCK_SKEW: Duration = Duration::from_secs(5 * 60);

/// How long an agent's certificate lasts unless the installation says otherwise.
pub const AGENT_CERTIFICATE_LIFE: Duration = DAY;
/// How long the control plane's own certificate lasts. It is signed anew at every start and at two thirds of this.
pub const SERVER_CERTIFICATE_LIFE: Duration = Duration::from_secs(90 * DAY.as_secs());

/// Signs the certificates of one installation.
pub struct CertificateAuthority {
    issuer: Issuer<'static, KeyPair>,
    certificate: CertificateDer<'static>,
    certificate_pem: String,
    trust_domain: TrustDomain,
}

/// The SHA-256 hash of a CA's certificate in DER, by which a token pins it; `openssl x509 -fingerprint -sha256` shows
/// the same.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct CaFingerprint(pub [u8; 32]);

/// A certificate that an agent may show.
#[derive(Clone, Debug)]
pub struct AgentCertificate {
    /// The certificate.
    pub der: CertificateDer<'static>,
    /// Its number.
    pub serial: Serial,
    /// When it ends, in whole seconds.
    pub not_after: SystemTime,
}

impl CertificateAuthority {
    /// The CA's own certificate.
    pub fn certificate(&self) -> &CertificateDer<'static> {
        &self.certificate
    }

    /// The CA's own certificate as PEM, for clients that are told whom to trust.
    pub fn certificate_pem(&self) -> &str {
        &self.certificate_pem
    }

    /// The hash by which tokens pin this CA.
    pub fn fingerprint(&self) -> CaFingerprint {
        CaFingerprint(Sha256::digest(&self.certificate).into())
    }

    /// The trust domain that this CA vouches for.
    pub fn trust_domain(&self) -> &TrustDomain {
        &self.trust_domain
    }

    /// Signs a certificate by which the requester is `identity` for `life` from now.
    ///
    /// # Errors
    /// There is no randomness for the serial, or the signature fails.
    pub fn sign_agent(
        &self,
        request: &CertificateRequest,
        identity: &AgentIdentity,
        life: Duration,
        now: SystemTime,
    ) -> Result<AgentCertificate, CaError> {
        let what = "the agent's certificate";
        let uri = identity.uri(&self.trust_domain).try_into().map_err(crypto_error(what))?;
        // X.509 counts whole seconds; what is recorded must be what the certificate says.
        let not_after = whole_seconds(now + life);
        let serial = random_serial()?;
        let mut params = leaf(&identity.agent.to_string(), ExtendedKeyUsagePurpose::ClientAuth, &serial);
        params.subject_alt_names = vec![SanType::URI(uri)];
        params.not_before = (now - CLOCK_SKEW).into();
        params.not_after = not_after.into();
        let certificate = params.signed_by(request.key(), &self.issuer).map_err(crypto_error(what))?;
        Ok(AgentCertificate { der: certificate.into(), serial, not_after })
    }

    /// Makes a key and a certificate for the control plane itself under these DNS names and IP addresses. The key
    /// lives in memory only: clients pin the CA, so a new one at every start costs nothing and cannot be stolen
    /// from a disk. The chain includes the CA, from which an enrolling agent learns what its token pins.
    ///
    /// # Errors
    /// A name cannot stand in a certificate, or the signature fails.
    pub fn sign_server(
        &self,
        names: &[String],
        now: SystemTime,
    ) -> Result<rustls::sign::CertifiedKey, CaError> {
        let what = "the server's certificate";
        let key = KeyPair::generate().map_err(crypto_error(what))?;
        let named = CertificateParams::new(names).map_err(crypto_error(what))?;
        let mut params =
            leaf("Towpath control plane", ExtendedKeyUsagePurpose::ServerAuth, &random_serial()?);
        params.subject_alt_names = named.subject_alt_names;
        params.not_before = (now - CLOCK_SKEW).into();
        params.not_after = (now + SERVER_CERTIFICATE_LIFE).into();
        let certificate = params.signed_by(&key, &self.issuer).map_err(crypto_error(what))?;
        let private = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let signer = rustls::crypto::aws_lc_rs::sign::any_supported_type(&private).map_err(CaError::Tls)?;
        Ok(rustls::sign::CertifiedKey::new(vec![certificate.into(), self.certificate.clone()], signer))
    }
}

impl std::fmt::Debug for CertificateAuthority {
    /// Leaves the key out.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "CertificateAuthority({}, {:?})", self.trust_domain, self.fingerprint())
    }
}

impl std::fmt::Display for CaFingerprint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl std::fmt::Debug for CaFingerprint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "CaFingerprint({self})")
    }
}

fn leaf(name: &str, usage: ExtendedKeyUsagePurpose, serial: &Serial) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = common_name(name);
    params.is_ca = IsCa::ExplicitNoCa;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![usage];
    params.serial_number = Some(SerialNumber::from_slice(serial.as_bytes()));
    params.use_authority_key_identifier_extension = true;
    params
}

fn common_name(name: &str) -> DistinguishedName {
    let mut distinguished = DistinguishedName::new();
    distinguished.push(DnType::CommonName, name);
    distinguished
}

fn random_serial() -> Result<Serial, CaError> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(CaError::Random)?;
    Ok(Serial::from_random(bytes))
}

fn whole_seconds(time: SystemTime) -> SystemTime {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    SystemTime::UNIX_EPOCH + Duration::from_secs(since.as_secs())
}
