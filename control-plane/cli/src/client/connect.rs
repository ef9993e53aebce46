//! How the control plane is reached and known.

use std::error::Error;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use reqwest::Url;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

use super::ClientError;
use crate::context::Context;

/// The name in the certificate of every control plane. The address by which it is reached proves nothing; its CA does.
pub const SERVER_NAME: &str = "control.towpath.internal";

const CONNECT_WITHIN: Duration = Duration::from_secs(10);

/// The context does not describe a control plane.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The address is not one.
    #[error("server `{server}` is not valid: {reason}; write it as https://HOST:PORT")]
    Server {
        /// The address.
        server: String,
        /// What is wrong.
        reason: String,
    },
    /// The CA's certificate is not one.
    #[error(
        "the CA certificate cannot be used: {0}; take `ca_pem` from the control plane's `admin-context.yaml`"
    )]
    Ca(String),
    /// The client cannot be made.
    #[error("the HTTPS client cannot be set up: {0}")]
    Client(#[from] reqwest::Error),
}

/// An HTTPS client for the control plane, and the address under which it asks for it.
pub(super) fn http(context: &Context) -> Result<(reqwest::Client, Url), ConnectError> {
    let invalid =
        |reason: &str| ConnectError::Server { server: context.server.clone(), reason: reason.to_owned() };
    let mut base: Url = context.server.parse().map_err(|error| invalid(&format!("{error}")))?;
    if base.scheme() != "https" {
        return Err(invalid("the API is served over https only"));
    }
    let dialled = Dialled(host_of(&base).ok_or_else(|| invalid("it names no host"))?);
    base.set_host(Some(SERVER_NAME)).map_err(|error| invalid(&error.to_string()))?;
    base.set_path("");
    let http = reqwest::Client::builder()
        .tls_backend_preconfigured(tls(&context.ca_pem)?)
        .dns_resolver(Arc::new(dialled))
        .https_only(true)
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .connect_timeout(CONNECT_WITHIN)
        .user_agent(concat!("towpath/", env!("CARGO_PKG_VERSION")))
        .build()?;
    Ok((http, base))
}

/// The host of an address, as resolvers take it.
pub(crate) fn host_of(address: &Url) -> Option<String> {
    Some(address.host_str()?.trim_matches(['[', ']']).to_owned())
}

/// TLS that trusts the CA of the context and nothing else.
pub(crate) fn tls(ca_pem: &str) -> Result<rustls::ClientConfig, ConnectError> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(ca_pem.as_bytes()) {
        let certificate = certificate.map_err(|error| ConnectError::Ca(error.to_string()))?;
        roots.add(certificate).map_err(|error| ConnectError::Ca(error.to_string()))?;
    }
    if roots.is_empty() {
        return Err(ConnectError::Ca("it is empty".to_owned()));
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(|error| ConnectError::Ca(error.to_string()))?;
    let mut config = config.with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(config)
}

/// Finds the host of the context whatever name is asked for.
struct Dialled(String);

impl Resolve for Dialled {
    fn resolve(&self, _: Name) -> Resolving {
        let host = self.0.clone();
        Box::pin(async move {
            if let Ok(ip) = host.parse::<IpAddr>() {
                return Ok(Box::new(std::iter::once(SocketAddr::new(ip, 0))) as Addrs);
            }
            let found: Vec<_> = tokio::net::lookup_host((host, 0)).await?.collect();
            Ok(Box::new(found.into_iter()) as Addrs)
        })
    }
}

/// Why there was no answer, from the innermost cause.
pub(super) fn unreachable(server: &str, error: &reqwest::Error) -> ClientError {
    let mut cause: &dyn Error = error;
    let mut is_tls = false;
    while let Some(inner) = cause.source() {
        cause = inner;
        is_tls |=
            cause.downcast_ref::<rustls::Error>().is_some() || cause.to_string().contains("certificate");
    }
    let remedy = if is_tls {
        "the context's CA is not this server's: run `towpath login` with its `--ca`"
    } else if error.is_timeout() {
        "look at the control plane's log and load, then try again"
    } else {
        "check that towpath-control runs there and that the address in the context is right"
    };
    ClientError::Unreachable { server: server.to_owned(), cause: cause.to_string(), remedy }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(server: &str, ca_pem: &str) -> String {
        http(&Context::with_token(server, "t", ca_pem)).unwrap_err().to_string()
    }

    #[test]
    fn a_context_that_describes_no_control_plane_is_refused_with_the_remedy() {
        assert!(refused("http://127.0.0.1:7443", "").contains("https only"));
        assert!(refused("127.0.0.1:7443", "").contains("write it as https://HOST:PORT"));
        assert!(refused("https://127.0.0.1:7443", "").contains("admin-context.yaml"));
        let broken = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        assert!(refused("https://127.0.0.1:7443", broken).contains("cannot be used"));
    }
}
