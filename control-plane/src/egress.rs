//! The one way out: every request to an address that a resource names, such as an identity provider or a webhook, goes
//! through here. Whoever may write such a resource must not reach by it what only this machine reaches (server-side
//! request forgery).
//!
//! * Only `https`, with the certificate checked. No redirect is followed, no proxy is used.
//! * The name is resolved once, each address is checked, and the connection goes to an address that was checked.
//! * Addresses that are not public are refused, unless `egress.allow` in the configuration names them or the host.
//! * An answer is taken up to 1 MiB and for 10 s, and never decompressed.

mod address;

use std::error::Error;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use ipnet::IpNet;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::header::{ACCEPT_ENCODING, HeaderValue};
use reqwest::{Client, Method, RequestBuilder, StatusCode, Url};
use rustls::RootCertStore;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::config::EgressSettings;

const MOST_BYTES: usize = 1 << 20;
const ANSWER_WITHIN: Duration = Duration::from_secs(10);

/// Somewhere that requests may go though it is not public: a network such as `10.1.0.0/16`, an address, or a host's name.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Allowed {
    /// A network.
    Net(IpNet),
    /// A host, whatever its addresses.
    Host(String),
}

/// A text that is neither network nor host.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is neither a network such as 10.1.0.0/16, nor an address, nor the name of a host")]
pub struct NotAllowed(String);

/// A request was not made, or not answered.
#[derive(Debug, thiserror::Error)]
pub enum EgressError {
    /// The address is not one that requests may go to.
    #[error("{url} is not an https address of a host")]
    Url {
        /// The address.
        url: String,
    },
    /// Its host is not public.
    #[error(
        "{host} is at {address}, which is not public; add the host to `egress.allow` in control.yaml if it is meant"
    )]
    Forbidden {
        /// The host.
        host: String,
        /// The address that it has.
        address: IpAddr,
    },
    /// There was no answer.
    #[error("{host} does not answer: {cause}")]
    Unreachable {
        /// The host.
        host: String,
        /// Why.
        cause: String,
    },
    /// The answer is too long.
    #[error("{host} answers with more than {MOST_BYTES} bytes")]
    TooLong {
        /// The host.
        host: String,
    },
    /// The answer is not what was asked for.
    #[error("{url} answers {status}, and not with what was asked for")]
    Unexpected {
        /// The address.
        url: String,
        /// The status.
        status: StatusCode,
    },
}

/// An answer.
#[derive(Debug)]
pub struct Answer {
    /// Its status.
    pub status: StatusCode,
    /// Its body.
    pub body: Vec<u8>,
}

/// The way out.
pub struct Egress {
    allow: Arc<Vec<Allowed>>,
    http: Client,
}

impl Egress {
    /// The way out, as the configuration has it.
    ///
    /// # Errors
    /// The file with further authorities cannot be read.
    pub fn new(settings: &EgressSettings) -> anyhow::Result<Self> {
        Self::patient(settings, ANSWER_WITHIN)
    }

    /// The same, for answers that come within this time.
    pub(crate) fn patient(settings: &EgressSettings, answer_within: Duration) -> anyhow::Result<Self> {
        let allow = Arc::new(settings.allow.clone());
        let http = Client::builder()
            .tls_backend_preconfigured(tls(settings.ca_file.as_deref())?)
            .dns_resolver(Arc::new(Guarded(allow.clone())))
            .https_only(true)
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .timeout(answer_within)
            .user_agent(concat!("towpath-control/", env!("CARGO_PKG_VERSION")))
            .build()?;
        Ok(Self { allow, http })
    }

    /// Fetches a document of JSON.
    ///
    /// # Errors
    /// The address may not be asked, does not answer, or answers something else.
    pub async fn json<T: DeserializeOwned>(&self, url: &str) -> Result<T, EgressError> {
        let answer = self.fetch(Method::GET, url, |request| request).await?;
        let unexpected = || EgressError::Unexpected { url: url.to_owned(), status: answer.status };
        if answer.status != StatusCode::OK {
            return Err(unexpected());
        }
        serde_json::from_slice(&answer.body).map_err(|_| unexpected())
    }

    /// Makes a request, with the headers and body that `complete` gives it.
    ///
    /// # Errors
    /// The address may not be asked, does not answer, or answers too much.
    pub async fn fetch(
        &self,
        method: Method,
        url: &str,
        complete: impl FnOnce(RequestBuilder) -> RequestBuilder,
    ) -> Result<Answer, EgressError> {
        let (url, host) = self.check(url)?;
        let request = complete(self.http.request(method, url));
        let request = request.header(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        let mut response = request.send().await.map_err(|error| why(&host, &error))?;
        let (status, mut body) = (response.status(), Vec::new());
        while let Some(chunk) = response.chunk().await.map_err(|error| why(&host, &error))? {
            if body.len() + chunk.len() > MOST_BYTES {
                return Err(EgressError::TooLong { host });
            }
            body.extend_from_slice(&chunk);
        }
        Ok(Answer { status, body })
    }

    /// The address, if it may be asked. A host that is written as a number is never resolved, and so is checked here.
    fn check(&self, text: &str) -> Result<(Url, String), EgressError> {
        let invalid = || EgressError::Url { url: text.to_owned() };
        let url: Url = text.parse().map_err(|_| invalid())?;
        let host = url.host_str().ok_or_else(invalid)?.to_owned();
        if url.scheme() != "https" || !url.username().is_empty() || url.password().is_some() {
            return Err(invalid());
        }
        match host.trim_matches(['[', ']']).parse::<IpAddr>() {
            Ok(address) if !may_go(&self.allow, &host, address) => {
                Err(EgressError::Forbidden { host, address })
            }
            _ => Ok((url, host)),
        }
    }
}

/// Whether a connection to this address, found under this host's name, may be made.
fn may_go(allow: &[Allowed], host: &str, address: IpAddr) -> bool {
    let named = |one: &Allowed| match one {
        Allowed::Net(net) => net.contains(&address.to_canonical()),
        Allowed::Host(name) => name.eq_ignore_ascii_case(host),
    };
    address::is_public(address) || allow.iter().any(named)
}

/// Resolves names to those of their addresses that a connection may be made to. What it answers is what is dialled.
struct Guarded(Arc<Vec<Allowed>>);

impl Resolve for Guarded {
    fn resolve(&self, name: Name) -> Resolving {
        let (allow, host) = (self.0.clone(), name.as_str().to_owned());
        Box::pin(async move {
            let found: Vec<SocketAddr> = tokio::net::lookup_host((host.as_str(), 0)).await?.collect();
            let good: Vec<_> = found.iter().filter(|at| may_go(&allow, &host, at.ip())).copied().collect();
            match (good.is_empty(), found.first()) {
                (true, Some(at)) => Err(EgressError::Forbidden { host, address: at.ip() }.into()),
                _ => Ok(Box::new(good.into_iter()) as Addrs),
            }
        })
    }
}

/// Why there was no answer, from the innermost cause.
fn why(host: &str, error: &reqwest::Error) -> EgressError {
    let mut cause: &dyn Error = error;
    while let Some(inner) = cause.source() {
        cause = inner;
        if let Some(EgressError::Forbidden { host, address }) = cause.downcast_ref() {
            return EgressError::Forbidden { host: host.clone(), address: *address };
        }
    }
    EgressError::Unreachable { host: host.to_owned(), cause: cause.to_string() }
}

/// TLS that trusts what this machine trusts, and the authorities in a file.
fn tls(ca_file: Option<&Path>) -> anyhow::Result<rustls::ClientConfig> {
    let mut roots = RootCertStore::empty();
    let native = rustls_native_certs::load_native_certs();
    for error in &native.errors {
        tracing::warn!(%error, "some of the authorities that this machine trusts cannot be read");
    }
    roots.add_parsable_certificates(native.certs);
    if let Some(path) = ca_file {
        let unreadable = || format!("`egress.ca_file` {} cannot be read", path.display());
        let pem = std::fs::read(path).with_context(unreadable)?;
        for certificate in CertificateDer::pem_slice_iter(&pem) {
            roots.add(certificate.with_context(unreadable)?).with_context(unreadable)?;
        }
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config =
        rustls::ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    let mut config = config.with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(config)
}

impl FromStr for Allowed {
    type Err = NotAllowed;

    fn from_str(text: &str) -> Result<Self, NotAllowed> {
        if let Ok(net) = text.parse() {
            return Ok(Self::Net(net));
        }
        if let Ok(address) = text.parse::<IpAddr>() {
            return Ok(Self::Net(address.into()));
        }
        let is_name = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '.';
        let numeric = text.chars().all(|c| c.is_ascii_digit() || c == '.');
        if text.is_empty() || numeric || !text.chars().all(is_name) {
            return Err(NotAllowed(text.to_owned()));
        }
        Ok(Self::Host(text.to_owned()))
    }
}

impl TryFrom<String> for Allowed {
    type Error = NotAllowed;

    fn try_from(text: String) -> Result<Self, NotAllowed> {
        text.parse()
    }
}

impl From<Allowed> for String {
    fn from(allowed: Allowed) -> Self {
        match allowed {
            Allowed::Net(net) => net.to_string(),
            Allowed::Host(host) => host,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn egress(allow: &[&str]) -> Egress {
        let allow = allow.iter().map(|text| text.parse().unwrap()).collect();
        Egress::new(&EgressSettings { allow, ca_file: None }).unwrap()
    }

    async fn said(egress: &Egress, url: &str) -> String {
        egress.fetch(Method::GET, url, |request| request).await.unwrap_err().to_string()
    }

    #[tokio::test]
    async fn an_address_that_is_no_plain_https_address_of_a_host_is_not_asked() {
        let egress = egress(&["127.0.0.1"]);
        for url in ["http://127.0.0.1/", "file:///etc/passwd", "https://me:pw@127.0.0.1/", "gopher://x", ""] {
            assert!(said(&egress, url).await.contains("is not an https address"), "{url}");
        }
    }

    #[tokio::test]
    async fn a_host_that_is_not_public_is_not_asked_however_it_is_written() {
        let egress = egress(&[]);
        for url in [
            "https://127.0.0.1/",
            "https://127.1/",
            "https://2130706433/",
            "https://0x7f.0.0.1/",
            "https://017700000001/",
            "https://[::1]/",
            "https://[::ffff:127.0.0.1]/",
            "https://[::ffff:a9fe:a9fe]/",
            "https://169.254.169.254/latest/meta-data/",
            "https://localhost/",
            "https://localhost:7443/",
        ] {
            let said = said(&egress, url).await;
            assert!(said.contains("not public") && said.contains("egress.allow"), "{url}: {said}");
        }
    }

    #[tokio::test]
    async fn what_the_configuration_allows_is_asked() {
        // Nothing listens on port 1: that it does not answer shows that it was dialled.
        for allow in ["127.0.0.0/8", "127.0.0.1"] {
            assert!(
                said(&egress(&[allow]), "https://127.0.0.1:1/").await.contains("does not answer"),
                "{allow}"
            );
        }
        let by_name = egress(&["localhost"]);
        assert!(said(&by_name, "https://localhost:1/").await.contains("does not answer"));
        assert!(
            said(&by_name, "https://127.0.0.1:1/").await.contains("not public"),
            "the name is not its address"
        );
    }

    #[test]
    fn what_may_be_allowed_is_a_network_an_address_or_a_name() {
        for text in ["10.0.0.0/8", "fd00::/8", "login.corp.example"] {
            assert_eq!(String::from(text.parse::<Allowed>().unwrap()), text);
        }
        for text in ["", "10.0.0.0/33", "https://x", "10.0.0", "a b"] {
            assert!(text.parse::<Allowed>().is_err(), "{text}");
        }
    }
}
