//! What protects the connection: rustls with the aws-lc provider and no other.

use std::path::Path;
use std::sync::Arc;

use rustls::client::WantsClientCert;
use rustls::{ClientConfig, ConfigBuilder, RootCertStore};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tokio_postgres_rustls::MakeRustlsConnect;
use towpath_adapter_api::{Tls, TlsMode};

use crate::error::PostgresError;

/// The TLS side of the driver's connections.
pub(crate) fn connector(tls: &Tls) -> Result<MakeRustlsConnect, PostgresError> {
    client_config(tls).map(MakeRustlsConnect::new)
}

/// What every connection is protected with.
pub(crate) fn client_config(tls: &Tls) -> Result<ClientConfig, PostgresError> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let config = config.map_err(PostgresError::Tls)?.with_root_certificates(roots(tls)?);
    match (&tls.certificate, &tls.key) {
        (Some(certificate), Some(key)) => with_certificate(config, certificate, key),
        _ => Ok(config.with_no_client_auth()),
    }
}

/// Proves who connects by a certificate.
fn with_certificate(
    config: ConfigBuilder<ClientConfig, WantsClientCert>,
    certificate: &Path,
    key: &Path,
) -> Result<ClientConfig, PostgresError> {
    let unusable = |path: &Path, reason: String| PostgresError::Certificate { path: path.to_owned(), reason };
    let chain = CertificateDer::pem_file_iter(certificate).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let chain = chain.map_err(|error| unusable(certificate, error.to_string()))?;
    if chain.is_empty() {
        return Err(unusable(certificate, "it holds no certificate".to_owned()));
    }
    // The error of a key that cannot be read names its form and never its content.
    let private = PrivateKeyDer::from_pem_file(key).map_err(|error| unusable(key, error.to_string()))?;
    config.with_client_auth_cert(chain, private).map_err(|error| unusable(key, error.to_string()))
}

fn roots(tls: &Tls) -> Result<RootCertStore, PostgresError> {
    let mut roots = RootCertStore::empty();
    if tls.mode == TlsMode::Disable {
        return Ok(roots);
    }
    let Some(path) = &tls.ca else {
        // What the system holds and rustls cannot use is not ours to refuse.
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        return Ok(roots);
    };
    let unusable = |reason: String| PostgresError::Authority { path: path.clone(), reason };
    let certificates = CertificateDer::pem_file_iter(path).map_err(|e| unusable(e.to_string()))?;
    for certificate in certificates {
        let certificate = certificate.map_err(|e| unusable(e.to_string()))?;
        roots.add(certificate).map_err(|e| unusable(e.to_string()))?;
    }
    match roots.is_empty() {
        true => Err(unusable("it holds no certificate".to_owned())),
        false => Ok(roots),
    }
}
