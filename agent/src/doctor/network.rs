//! The way to the control plane: its name, UDP for the link, TCP for enrolment, and its clock.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::ServerName;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use towpath_resource::api::Finding;

use crate::control::credentials::{Credentials, SERVER_NAME};
use crate::control::identity::Identity;
use crate::control::server_address::ServerAddress;
use crate::link::{DialError, Dialer};

const WITHIN: Duration = Duration::from_secs(10);

/// Largest head of an answer that is read.
const MOST_HEAD_BYTES: u64 = 16 << 10;

/// What is set to go through a proxy does not concern the link.
pub(super) fn proxies(variable: impl Fn(&str) -> Option<String>) -> Finding {
    const NAMES: [&str; 6] =
        ["HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"];
    let set = NAMES.iter().filter(|name| variable(name).is_some_and(|value| !value.is_empty()));
    let set: Vec<_> = set.copied().collect();
    if set.is_empty() {
        return Finding::good("proxy settings", "none are set");
    }
    Finding::warning(
        "proxy settings",
        format!("{} set, but QUIC is UDP and passes no HTTP proxy: the link goes directly", set.join(", ")),
        "let the firewall pass UDP from this machine to the control plane's port",
    )
}

pub(super) async fn examine(identity: Identity, findings: &mut Vec<Finding>) {
    let server = identity.enrolment().server.clone();
    let ca = identity.ca().clone();
    if !resolve(&server, findings).await {
        return;
    }
    let udp = udp(&server, identity, findings).await;
    match clock_of(&server, ca).await {
        Ok(theirs) => {
            findings.push(Finding::good("TCP", format!("{server} answers over TLS")));
            findings.extend(theirs.map(|theirs| Finding::clock(theirs, Timestamp::now())));
        }
        Err(error) => {
            let found = format!("{server} does not answer: {error}");
            // The link needs it not; enrolment does.
            let remedy =
                "only enrolment needs TCP to this port; let the firewall pass it if you will enrol again";
            findings.push(match udp {
                true => Finding::warning("TCP", found, remedy),
                false => Finding::failed(
                    "TCP",
                    found,
                    "check that towpath-control runs there, and the firewall between",
                ),
            });
        }
    }
}

async fn resolve(server: &ServerAddress, findings: &mut Vec<Finding>) -> bool {
    let remedy = "check this machine's DNS; if the control plane moved, enrol anew with `--force`";
    let found = match timeout(WITHIN, tokio::net::lookup_host((server.host(), server.port()))).await {
        Ok(found) => {
            found.map(|addresses| addresses.map(|address| address.ip().to_string()).collect::<Vec<_>>())
        }
        Err(_) => Err(io::Error::other(format!("no answer within {WITHIN:?}"))),
    };
    match found {
        Ok(addresses) => {
            findings.push(Finding::good("DNS", format!("{} is {}", server.host(), addresses.join(", "))));
            true
        }
        Err(error) => {
            findings.push(Finding::failed(
                "DNS",
                format!("{} has no address: {error}", server.host()),
                remedy,
            ));
            false
        }
    }
}

/// A real handshake of the link, which is given up again before it says who wants to work.
async fn udp(server: &ServerAddress, identity: Identity, findings: &mut Vec<Finding>) -> bool {
    let about = "UDP";
    let credentials = match Credentials::new(identity) {
        Ok(credentials) => credentials,
        Err(error) => {
            let remedy = "enrol anew with `--force`";
            findings.push(Finding::failed(about, format!("the agent's key cannot be used: {error}"), remedy));
            return false;
        }
    };
    let dialer = Dialer::new(server.clone(), SERVER_NAME, move || credentials.tls());
    match dialer.probe().await {
        Ok(took) => {
            findings.push(Finding::good(
                about,
                format!("{server} takes the link, within {} ms", took.as_millis()),
            ));
            true
        }
        Err(error) => {
            let remedy = match &error {
                DialError::Silent { .. } => "let the firewall pass UDP to this port; QUIC needs it",
                DialError::Handshake { .. } => {
                    "if the agent was revoked, or the control plane is another, enrol anew with `--force`"
                }
                _ => "mend what is named, then look again",
            };
            findings.push(Finding::failed(about, format!("{:#}", anyhow::Error::new(error)), remedy));
            false
        }
    }
}

/// The control plane's clock, from the head of an HTTPS answer; none if it tells no time.
async fn clock_of(
    server: &ServerAddress,
    ca: rustls_pki_types::CertificateDer<'static>,
) -> io::Result<Option<Timestamp>> {
    let mut roots = RootCertStore::empty();
    roots.add(ca).map_err(io::Error::other)?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let tls = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(io::Error::other)?;
    let mut tls = tls.with_root_certificates(roots).with_no_client_auth();
    tls.alpn_protocols = vec![b"http/1.1".to_vec()];
    let name = ServerName::try_from(SERVER_NAME).map_err(io::Error::other)?;
    let asked = async {
        let tcp = TcpStream::connect((server.host(), server.port())).await?;
        let mut stream = TlsConnector::from(Arc::new(tls)).connect(name, tcp).await?;
        let request = format!("GET /healthz HTTP/1.1\r\nHost: {SERVER_NAME}\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await?;
        let mut answer = Vec::new();
        // Some servers end TLS without a word; the head is there by then.
        match stream.take(MOST_HEAD_BYTES).read_to_end(&mut answer).await {
            Err(error) if answer.is_empty() => Err(error),
            _ => Ok(date_in(&String::from_utf8_lossy(&answer))),
        }
    };
    timeout(WITHIN, asked).await.map_err(|_| io::Error::other(format!("no answer within {WITHIN:?}")))?
}

fn date_in(answer: &str) -> Option<Timestamp> {
    let head = answer.lines().take_while(|line| !line.is_empty());
    let mut headers = head.filter_map(|line| line.split_once(':'));
    let (_, date) = headers.find(|(name, _)| name.eq_ignore_ascii_case("date"))?;
    Some(jiff::fmt::rfc2822::parse(date.trim()).ok()?.timestamp())
}

#[cfg(test)]
mod tests {
    use towpath_resource::api::Verdict;

    use super::*;
    use crate::control::test_authority::TestAuthority;

    #[test]
    fn the_date_is_found_in_the_head_and_nowhere_else() {
        let answer =
            "HTTP/1.1 200 OK\r\ncontent-type: x\r\nDate: Sat, 31 Jan 2026 12:00:00 GMT\r\n\r\ndate: never";
        assert_eq!(date_in(answer).unwrap().to_string(), "2026-01-31T12:00:00Z");
        assert_eq!(date_in("HTTP/1.1 200 OK\r\n\r\ndate: Sat, 31 Jan 2026 12:00:00 GMT"), None);
    }

    #[test]
    fn a_proxy_is_told_with_what_it_means_for_the_link_and_without_its_password() {
        let set = proxies(|name| (name == "https_proxy").then(|| "http://u:secret@proxy:3128".to_owned()));
        assert_eq!(set.verdict, Verdict::Warning);
        assert!(set.found.contains("https_proxy") && !set.to_string().contains("secret"));
    }

    #[tokio::test]
    async fn a_control_plane_that_is_not_there_is_told_for_udp_and_tcp() {
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let identity = TestAuthority::new().identity_at(1, &free.to_string());
        let mut findings = Vec::new();
        examine(identity, &mut findings).await;
        let failed: Vec<_> = findings.iter().filter(|finding| finding.verdict == Verdict::Failed).collect();
        let subjects: Vec<_> = failed.iter().map(|finding| finding.subject.as_str()).collect();
        assert_eq!(subjects, ["UDP", "TCP"], "{findings:?}");
    }
}
