//! What protects the connection: rustls with the aws-lc provider and no other.
//!
//! The driver takes the provider of the process, and no other is built in. It would trust a list of authorities of
//! its own, so it is given the ones that count here and told to use no others.

use std::path::Path;

use mysql_async::{ClientIdentity, SslOpts};
use rustls::RootCertStore;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use towpath_adapter_api::Tls;

use crate::error::MysqlError;

/// What the driver needs for a protected connection.
///
/// # Errors
/// The file of authorities cannot be used.
pub(crate) fn options(tls: &Tls) -> Result<SslOpts, MysqlError> {
    let authorities = match &tls.ca {
        Some(path) => of_file(path)?,
        None => of_system(),
    };
    let authorities = authorities.into_iter().map(|certificate| certificate.to_vec().into());
    let identity = match (&tls.certificate, &tls.key) {
        (Some(certificate), Some(key)) => {
            Some(ClientIdentity::new(certificate.clone().into(), key.clone().into()))
        }
        _ => None,
    };
    Ok(SslOpts::default()
        .with_root_certs(authorities.collect())
        .with_disable_built_in_roots(true)
        .with_client_identity(identity))
}

/// What the system holds and rustls cannot use is not ours to refuse.
fn of_system() -> Vec<CertificateDer<'static>> {
    let mut usable = RootCertStore::empty();
    let held = rustls_native_certs::load_native_certs().certs;
    held.into_iter().filter(|certificate| usable.add(certificate.clone()).is_ok()).collect()
}

fn of_file(path: &Path) -> Result<Vec<CertificateDer<'static>>, MysqlError> {
    let unusable = |reason: String| MysqlError::Authority { path: path.to_owned(), reason };
    let read = CertificateDer::pem_file_iter(path).map_err(|e| unusable(e.to_string()))?;
    let certificates: Vec<_> = read.collect::<Result<_, _>>().map_err(|e| unusable(e.to_string()))?;
    let mut roots = RootCertStore::empty();
    for certificate in &certificates {
        roots.add(certificate.clone()).map_err(|e| unusable(e.to_string()))?;
    }
    match certificates.is_empty() {
        true => Err(unusable("it holds no certificate".to_owned())),
        false => Ok(certificates),
    }
}
