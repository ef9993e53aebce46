//! The CA's files: made at first start, in a directory of their own.
//!
//! ```text
//! ca.key.pem   the private key, ECDSA P-256, mode 0600; written first
//! ca.pem       the self-signed certificate, ten years
//! ```
//!
//! A crash between the two writes leaves a key without a certificate: nothing was signed with it yet, so the next
//! start signs a new certificate for the same key. A certificate without its key is never papered over, since every
//! agent trusts that certificate: the error asks for the key from the backup.

use std::io;
use std::path::Path;
use std::time::{Duration, SystemTime};

use rcgen::{
    BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, KeyUsagePurpose, PublicKeyData, SanType,
    SerialNumber,
};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use towpath_segment::private;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer, X509Certificate};
use zeroize::Zeroizing;

use super::super::identity::TrustDomain;
use super::error::{crypto_error, io_error};
use super::{CLOCK_SKEW, CaError, CertificateAuthority, DAY, common_name, random_serial};

const KEY_FILE: &str = "ca.key.pem";
const CERTIFICATE_FILE: &str = "ca.pem";
const CA_LIFE: Duration = Duration::from_secs(10 * 365 * DAY.as_secs());

impl CertificateAuthority {
    /// Opens the CA kept in `dir`, or makes it where there is none.
    ///
    /// # Errors
    /// The files cannot be read or written, are damaged, incomplete, or of another trust domain.
    pub fn open_or_create(dir: &Path, trust_domain: TrustDomain, now: SystemTime) -> Result<Self, CaError> {
        private::create_dir(dir).map_err(io_error("create", dir))?;
        let (key_path, certificate_path) = (dir.join(KEY_FILE), dir.join(CERTIFICATE_FILE));
        let certificate_is_there =
            certificate_path.try_exists().map_err(io_error("read", &certificate_path))?;
        let key = match read_key(&key_path)? {
            Some(key) => key,
            None if certificate_is_there => return Err(CaError::KeyMissing { path: key_path }),
            None => create_key(&key_path)?,
        };
        if !certificate_is_there {
            let certificate = self_signed(&key, &trust_domain, now)?;
            private::replace_file(&certificate_path, certificate.pem().as_bytes())
                .map_err(io_error("write", &certificate_path))?;
        }
        Self::open(&certificate_path, key, trust_domain, now)
    }

    fn open(path: &Path, key: KeyPair, trust_domain: TrustDomain, now: SystemTime) -> Result<Self, CaError> {
        let damaged = |reason: String| CaError::Damaged { path: path.to_owned(), reason };
        let certificate_pem = std::fs::read_to_string(path).map_err(io_error("read", path))?;
        let certificate =
            CertificateDer::from_pem_slice(certificate_pem.as_bytes()).map_err(|e| damaged(e.to_string()))?;
        let (_, parsed) = X509Certificate::from_der(&certificate).map_err(|e| damaged(e.to_string()))?;
        if parsed.public_key().raw != key.subject_public_key_info() {
            return Err(damaged("it is for another key than the one beside it".to_owned()));
        }
        let names = parsed.subject_alternative_name().map_err(|e| damaged(e.to_string()))?;
        let domain_uri = trust_domain.uri();
        let ours = GeneralName::URI(&domain_uri);
        if !names.is_some_and(|names| names.value.general_names.contains(&ours)) {
            return Err(CaError::OtherTrustDomain { path: path.to_owned(), configured: trust_domain });
        }
        // Refusing to start would turn a wrong clock into an outage; peers that disagree about the time say so.
        let seconds = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
        let validity = parsed.validity();
        if !(validity.not_before.timestamp()..validity.not_after.timestamp()).contains(&seconds.cast_signed())
        {
            tracing::error!(from = %validity.not_before, to = %validity.not_after,
                "the CA certificate is not valid by this machine's clock: agents will refuse it; set the clock");
        }
        let issuer = Issuer::from_ca_cert_der(&certificate, key).map_err(|e| damaged(e.to_string()))?;
        Ok(Self { issuer, certificate, certificate_pem, trust_domain })
    }
}

fn read_key(path: &Path) -> Result<Option<KeyPair>, CaError> {
    let pem = match std::fs::read_to_string(path) {
        Ok(pem) => Zeroizing::new(pem),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(io_error("read", path)(source)),
    };
    if private::tighten(path).map_err(io_error("protect", path))? {
        tracing::warn!(path = %path.display(), "other users could read the CA key; they no longer can");
    }
    KeyPair::from_pem(&pem)
        .map(Some)
        .map_err(|e| CaError::Damaged { path: path.to_owned(), reason: e.to_string() })
}

fn create_key(path: &Path) -> Result<KeyPair, CaError> {
    let key = KeyPair::generate().map_err(crypto_error("the CA key"))?;
    let pem = Zeroizing::new(key.serialize_pem());
    private::replace_file(path, pem.as_bytes()).map_err(io_error("write", path))?;
    Ok(key)
}

fn self_signed(
    key: &KeyPair,
    trust_domain: &TrustDomain,
    now: SystemTime,
) -> Result<rcgen::Certificate, CaError> {
    let what = "the CA certificate";
    let uri = trust_domain.uri().try_into().map_err(crypto_error(what))?;
    let mut params = CertificateParams::default();
    params.distinguished_name = common_name(&format!("Towpath CA of {trust_domain}"));
    params.subject_alt_names = vec![SanType::URI(uri)];
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.serial_number = Some(SerialNumber::from_slice(random_serial()?.as_bytes()));
    params.not_before = (now - CLOCK_SKEW).into();
    params.not_after = (now + CA_LIFE).into();
    params.self_signed(key).map_err(crypto_error(what))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn open(dir: &Path) -> Result<CertificateAuthority, CaError> {
        CertificateAuthority::open_or_create(dir, TrustDomain::default(), SystemTime::now())
    }

    #[test]
    fn the_ca_that_is_opened_again_is_the_one_that_was_made() {
        let dir = tempfile::tempdir().unwrap();
        let made = open(dir.path()).unwrap();
        let opened = open(dir.path()).unwrap();
        assert_eq!(made.fingerprint(), opened.fingerprint());
        assert_eq!(made.issuer.key().public_key_raw(), opened.issuer.key().public_key_raw());
        assert!(opened.certificate_pem().starts_with("-----BEGIN CERTIFICATE-----"));
    }

    #[cfg(unix)]
    #[test]
    fn nobody_else_can_read_the_key_and_a_key_left_open_is_closed() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let (home, key) = (dir.path().join("ca"), dir.path().join("ca").join(KEY_FILE));
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        open(&home).unwrap();
        assert_eq!((mode(&home), mode(&key)), (0o700, 0o600));
        fs::set_permissions(&key, fs::Permissions::from_mode(0o644)).unwrap();
        open(&home).unwrap();
        assert_eq!(mode(&key), 0o600);
    }

    #[test]
    fn a_crash_after_the_key_was_written_costs_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let before = open(dir.path()).unwrap();
        fs::remove_file(dir.path().join(CERTIFICATE_FILE)).unwrap();
        fs::write(dir.path().join("ca.new"), "half a certif").unwrap();
        let after = open(dir.path()).unwrap();
        assert_eq!(before.issuer.key().public_key_raw(), after.issuer.key().public_key_raw());
        assert_eq!(open(dir.path()).unwrap().fingerprint(), after.fingerprint());
    }

    #[test]
    fn a_lost_or_exchanged_key_is_an_error_and_never_a_new_ca() {
        let (dir, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        open(dir.path()).unwrap();
        open(other.path()).unwrap();
        let key = dir.path().join(KEY_FILE);
        fs::copy(other.path().join(KEY_FILE), &key).unwrap();
        assert!(open(dir.path()).unwrap_err().to_string().contains("another key"));
        fs::write(&key, "-----BEGIN PRIVATE KEY-----\n").unwrap();
        assert!(matches!(open(dir.path()), Err(CaError::Damaged { .. })));
        fs::remove_file(&key).unwrap();
        assert!(open(dir.path()).unwrap_err().to_string().contains("restore it from the backup"));
        assert!(!key.exists());
    }

    #[test]
    fn a_ca_does_not_change_its_trust_domain() {
        let dir = tempfile::tempdir().unwrap();
        open(dir.path()).unwrap();
        let other = TrustDomain::new("other.example").unwrap();
        let error = CertificateAuthority::open_or_create(dir.path(), other, SystemTime::now()).unwrap_err();
        assert!(error.to_string().contains("another trust domain than `other.example`"), "{error}");
    }
}
