//! The way to the control plane: its name, its port, its certificate.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use reqwest::Url;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use towpath_resource::api::Finding;
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::client::{SERVER_NAME, host_of, tls};
use crate::context::Context;
use crate::human;

const WITHIN: Duration = Duration::from_secs(5);

/// A certificate that ends sooner should have been renewed, or should be thought of.
const SOON: jiff::SignedDuration = jiff::SignedDuration::from_hours(72);

/// Whether there is a way.
pub(super) async fn examine(context: &Context, findings: &mut Vec<Finding>) -> bool {
    match certificates_of_ca(&context.ca_pem) {
        Ok(ca) => findings
            .extend(ca.iter().filter_map(|der| end_of("CA certificate", der, "log in with a new `--ca`"))),
        Err(finding) => {
            findings.push(finding);
            return false;
        }
    }
    let Some(addresses) = resolve(context, findings).await else { return false };
    let Some(stream) = connect(&addresses, findings).await else { return false };
    handshake(context, stream, findings).await
}

fn certificates_of_ca(pem: &str) -> Result<Vec<CertificateDer<'static>>, Finding> {
    let remedy = "take `ca_pem` from the control plane's `admin-context.yaml` and log in with `--ca`";
    let read: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem.as_bytes()).collect();
    match read {
        Ok(all) if !all.is_empty() => Ok(all),
        Ok(_) => Err(Finding::failed("CA certificate", "the context holds none", remedy)),
        Err(error) => Err(Finding::failed("CA certificate", format!("it cannot be read: {error}"), remedy)),
    }
}

async fn resolve(context: &Context, findings: &mut Vec<Finding>) -> Option<Vec<SocketAddr>> {
    let about = "DNS";
    let url = context.server.parse::<Url>().ok();
    let place = url.as_ref().and_then(|url| Some((host_of(url)?, url.port_or_known_default()?)));
    let Some((host, port)) = place else {
        let found = format!("`{}` is not an address", context.server);
        findings.push(Finding::failed("server", found, "log in with `--server https://HOST:PORT`"));
        return None;
    };
    let remedy = "check the name in the context and this machine's DNS";
    match tokio::time::timeout(WITHIN, tokio::net::lookup_host((host.as_str(), port))).await {
        Ok(Ok(found)) => {
            let addresses: Vec<_> = found.collect();
            let listed: Vec<_> = addresses.iter().map(|address| address.ip().to_string()).collect();
            findings.push(Finding::good(about, format!("{host} is {}", listed.join(", "))));
            Some(addresses)
        }
        Ok(Err(error)) => {
            findings.push(Finding::failed(about, format!("{host} has no address: {error}"), remedy));
            None
        }
        Err(_) => {
            findings.push(Finding::failed(about, format!("no answer on {host} within {WITHIN:?}"), remedy));
            None
        }
    }
}

async fn connect(addresses: &[SocketAddr], findings: &mut Vec<Finding>) -> Option<TcpStream> {
    let about = "TCP";
    let mut failures = Vec::new();
    for address in addresses {
        match tokio::time::timeout(WITHIN, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => {
                findings.push(Finding::good(about, format!("{address} takes connections")));
                return Some(stream);
            }
            Ok(Err(error)) => failures.push(format!("{address}: {error}")),
            Err(_) => {
                failures.push(format!("{address}: no answer within {WITHIN:?}; a firewall may drop it"));
            }
        }
    }
    let remedy = "check that towpath-control runs there, and that a firewall lets TCP to this port through";
    findings.push(Finding::failed(about, failures.join("; "), remedy));
    None
}

async fn handshake(context: &Context, stream: TcpStream, findings: &mut Vec<Finding>) -> bool {
    let about = "TLS";
    let config = match tls(&context.ca_pem) {
        Ok(config) => config,
        Err(error) => {
            findings.push(Finding::failed(about, error.to_string(), "log in with the right `--ca`"));
            return false;
        }
    };
    let name = ServerName::try_from(SERVER_NAME).expect("the name is one");
    let connecting = TlsConnector::from(Arc::new(config)).connect(name, stream);
    let stream = match tokio::time::timeout(WITHIN, connecting).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => {
            let remedy = "if this is the right server, its CA is another than the context's: log in with its `--ca`; \
                          a clock that is wrong has the same effect";
            findings.push(Finding::failed(about, format!("the server is not trusted: {error}"), remedy));
            return false;
        }
        Err(_) => {
            let remedy = "check that this port is the control plane's, and no proxy's";
            findings.push(Finding::failed(about, format!("no handshake within {WITHIN:?}"), remedy));
            return false;
        }
    };
    findings.push(Finding::good(about, "the server's certificate is from the context's CA"));
    let chain = stream.get_ref().1.peer_certificates();
    let leaf = chain.and_then(|chain| chain.first());
    let remedy = "restart towpath-control, which renews its certificate";
    findings.extend(leaf.and_then(|leaf| end_of("server certificate", leaf, remedy)));
    true
}

/// When a certificate ends.
fn end_of(about: &str, der: &[u8], remedy: &str) -> Option<Finding> {
    let (_, certificate) = X509Certificate::from_der(der).ok()?;
    let end = Timestamp::from_second(certificate.validity().not_after.timestamp()).ok()?;
    let now = Timestamp::now();
    let found = format!("ends {} ({end})", human::ahead(end, now));
    Some(match end.duration_since(now) {
        left if left.is_negative() => Finding::failed(about, format!("it ended at {end}"), remedy),
        left if left < SOON => Finding::warning(about, found, remedy),
        _ => Finding::good(about, found),
    })
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair, date_time_ymd};
    use towpath_resource::api::Verdict;

    use super::*;

    fn ending(year: i32) -> Verdict {
        let mut params = CertificateParams::new(vec!["x".to_owned()]).unwrap();
        (params.not_before, params.not_after) = (date_time_ymd(2001, 1, 1), date_time_ymd(year, 1, 1));
        let certificate = params.self_signed(&KeyPair::generate().unwrap()).unwrap();
        end_of("certificate", certificate.der(), "renew it").unwrap().verdict
    }

    #[test]
    fn a_certificate_that_has_ended_is_a_fault() {
        assert_eq!(ending(2010), Verdict::Failed);
        assert_eq!(ending(2999), Verdict::Good);
    }

    #[test]
    fn a_ca_that_is_none_is_told_with_where_to_find_it() {
        let found = certificates_of_ca("nothing").unwrap_err();
        assert!(found.remedy.unwrap().contains("admin-context.yaml"));
    }
}
