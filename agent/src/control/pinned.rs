//! Trust before there is any: the one server that an enrolling agent accepts.

use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error, OtherError, PeerIncompatible,
    RootCertStore, SignatureScheme,
};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};

use super::token::CaPin;

/// The server did not show the CA that the token pins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "the server is not vouched for by the CA that the token pins; \
     check the address, and that the token is of this control plane"
)]
pub struct WrongCa;

/// Accepts a server only if it shows the CA whose hash is pinned and that CA vouches for it.
#[derive(Debug)]
pub(super) struct PinnedCaVerifier {
    pin: CaPin,
    provider: Arc<CryptoProvider>,
}

/// TLS for enrolment: no certificate of our own yet, HTTP/2, TLS 1.3, and a server under the pinned CA.
///
/// # Errors
/// The TLS library was built without TLS 1.3.
pub(super) fn enrolment_tls(pin: CaPin) -> Result<ClientConfig, Error> {
    let verifier = verifier(pin);
    let mut config = ClientConfig::builder_with_provider(verifier.provider.clone())
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .dangerous() // rustls says so of every verifier that is not its own; this one adds to what that one checks.
        .with_custom_certificate_verifier(verifier)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec()];
    Ok(config)
}

pub(super) fn verifier(pin: CaPin) -> Arc<PinnedCaVerifier> {
    Arc::new(PinnedCaVerifier { pin, provider: Arc::new(aws_lc_rs::default_provider()) })
}

impl ServerCertVerifier for PinnedCaVerifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let ca = intermediates.iter().find(|certificate| self.pin.matches(certificate));
        let ca = ca.ok_or_else(|| CertificateError::Other(OtherError(Arc::new(WrongCa))))?;
        let mut roots = RootCertStore::empty();
        roots.add(ca.clone().into_owned())?;
        WebPkiServerVerifier::builder_with_provider(Arc::new(roots), self.provider.clone())
            .build()
            .map_err(|e| Error::General(e.to_string()))?
            .verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)
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
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, cert, dss, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
