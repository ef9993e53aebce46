//! The TLS of the two faces: the link, where both sides show a certificate, and HTTPS, where only we do.

use std::sync::Arc;

use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::server::NoServerSessionStorage;
use rustls::{Error, ServerConfig};

use super::ca::CertificateAuthority;
use super::server_certificate::ServerCertificate;
use super::verifier::{AgentVerifier, Revocations};

/// What the link calls itself in ALPN.
pub const LINK_ALPN: &[u8] = b"towpath/1";

/// TLS for the link: agents that `ca` vouches for and that are not revoked, TLS 1.3, no resumption.
///
/// A resumed session skips the client's certificate, and so would let a revoked agent back in; and 0-RTT data can be
/// replayed. Neither is offered.
///
/// # Errors
/// The CA's certificate cannot be a trust anchor.
pub fn server_tls(
    ca: &CertificateAuthority,
    server: Arc<ServerCertificate>,
    revocations: Revocations,
) -> Result<ServerConfig, Error> {
    let provider = provider();
    let verifier = AgentVerifier::new(ca, revocations, provider.clone())?;
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_client_cert_verifier(Arc::new(verifier))
        .with_cert_resolver(server);
    config.alpn_protocols = vec![LINK_ALPN.to_vec()];
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    config.max_early_data_size = 0;
    Ok(config)
}

/// TLS for the API and for enrolment: TLS 1.3, HTTP/2 or HTTP/1.1, no client certificate.
///
/// # Errors
/// The TLS library was built without TLS 1.3.
pub fn https_tls(server: Arc<ServerCertificate>) -> Result<ServerConfig, Error> {
    let mut config = ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_no_client_auth()
        .with_cert_resolver(server);
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(config)
}

/// Named here rather than taken from the process, so that no other library's choice becomes ours.
fn provider() -> Arc<CryptoProvider> {
    Arc::new(aws_lc_rs::default_provider())
}
