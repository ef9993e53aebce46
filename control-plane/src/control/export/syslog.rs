//! Syslog (RFC 5424) over TLS (RFC 5425), TCP with octet counting (RFC 6587) or UDP (RFC 5426).
//!
//! Syslog knows no acknowledgement. What was handed over to a connection that breaks may be lost, so after a break the
//! part before the one that failed is sent again too. Over UDP, what is lost on the way is lost.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::ServerName;
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use towpath_resource::SyslogTransport;

use super::super::os::host_name;
use super::SendError;

/// Facility `log audit`, severity `informational`: RFC 5424, section 6.2.1.
const PRIORITY: u8 = 13 * 8 + 6;

/// The most that a datagram over IPv4 holds.
const MOST_DATAGRAM_BYTES: usize = 65_507;

/// How long connecting, or handing over a part, may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// The receiver.
pub(super) struct SyslogTarget {
    address: String,
    transport: SyslogTransport,
    host: String,
    roots: Option<Arc<RootCertStore>>,
    connection: Option<Connection>,
    /// What was handed over last.
    before: Vec<String>,
}

enum Connection {
    Stream(Box<dyn Stream>),
    Datagram(UdpSocket),
}

trait Stream: AsyncRead + AsyncWrite + Send + Sync + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Sync + Unpin> Stream for T {}

impl SyslogTarget {
    pub(super) fn new(address: String, transport: SyslogTransport) -> Self {
        let host = host_name();
        let host = if host.is_empty() || !host.bytes().all(|b| b.is_ascii_graphic()) {
            "-".to_owned()
        } else {
            host
        };
        Self { address, transport, host, roots: None, connection: None, before: Vec::new() }
    }

    /// Trusts these authorities instead of those of the machine.
    #[cfg(test)]
    pub(super) fn trusting(mut self, roots: RootCertStore) -> Self {
        self.roots = Some(Arc::new(roots));
        self
    }

    /// Hands these lines over, in order.
    pub(super) async fn send(&mut self, lines: &[String]) -> Result<(), SendError> {
        let messages: Vec<String> = lines.iter().map(|line| message(line, &self.host)).collect();
        let had_connection = self.connection.is_some();
        match self.hand_over(&messages).await {
            Ok(()) => {}
            Err(_) if had_connection => {
                self.connection = None;
                let again = std::mem::take(&mut self.before);
                self.hand_over(&again).await?;
                self.hand_over(&messages).await?;
            }
            Err(error) => return Err(error),
        }
        self.before = messages;
        Ok(())
    }

    async fn hand_over(&mut self, messages: &[String]) -> Result<(), SendError> {
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => self.connect().await?,
        };
        let done = timeout(PATIENCE, write(&mut connection, messages)).await;
        done.unwrap_or_else(|_| Err(Failure::Io(io::ErrorKind::TimedOut.into()))).map_err(|failure| {
            match failure {
                Failure::Io(source) => self.failed("sending to", source),
                Failure::TooLong(bytes) => SendError::TooLong(bytes),
            }
        })?;
        self.connection = Some(connection);
        Ok(())
    }

    async fn connect(&self) -> Result<Connection, SendError> {
        let connected = timeout(PATIENCE, self.dial()).await;
        connected.unwrap_or_else(|_| Err(self.failed("connecting to", io::ErrorKind::TimedOut.into())))
    }

    async fn dial(&self) -> Result<Connection, SendError> {
        let failed = |source| self.failed("connecting to", source);
        if self.transport == SyslogTransport::Udp {
            let mut addresses = tokio::net::lookup_host(&self.address).await.map_err(failed)?;
            let to = addresses.next().ok_or_else(|| failed(io::ErrorKind::NotFound.into()))?;
            let from = if to.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
            let socket = UdpSocket::bind(from).await.map_err(failed)?;
            socket.connect(to).await.map_err(failed)?;
            return Ok(Connection::Datagram(socket));
        }
        let stream = TcpStream::connect(&self.address).await.map_err(failed)?;
        if self.transport == SyslogTransport::Tcp {
            return Ok(Connection::Stream(Box::new(stream)));
        }
        let host = self.address.rsplit_once(':').map_or(self.address.as_str(), |(host, _)| host);
        let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        let name = ServerName::try_from(host.clone()).map_err(|_| SendError::Name(host))?;
        let roots = match &self.roots {
            Some(roots) => roots.clone(),
            None => Arc::new(machine_roots()),
        };
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| failed(io::Error::other(error)))?
            .with_root_certificates(roots)
            .with_no_client_auth();
        let stream = TlsConnector::from(Arc::new(config)).connect(name, stream).await.map_err(failed)?;
        Ok(Connection::Stream(Box::new(stream)))
    }

    fn failed(&self, doing: &'static str, source: io::Error) -> SendError {
        SendError::Io { doing, what: self.address.clone(), source }
    }
}

enum Failure {
    Io(io::Error),
    TooLong(usize),
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

async fn write(connection: &mut Connection, messages: &[String]) -> Result<(), Failure> {
    match connection {
        Connection::Stream(stream) => {
            if is_closed(stream).await {
                return Err(Failure::Io(io::ErrorKind::ConnectionReset.into()));
            }
            let framed: String =
                messages.iter().map(|message| format!("{} {message}", message.len())).collect();
            stream.write_all(framed.as_bytes()).await?;
            stream.flush().await?;
        }
        Connection::Datagram(socket) => {
            for message in messages {
                if message.len() > MOST_DATAGRAM_BYTES {
                    return Err(Failure::TooLong(message.len()));
                }
                socket.send(message.as_bytes()).await?;
            }
        }
    }
    Ok(())
}

/// Whether the receiver went away since. It has nothing to say, so anything that can be read is the end.
async fn is_closed(stream: &mut Box<dyn Stream>) -> bool {
    use futures_util::FutureExt;
    use tokio::io::AsyncReadExt;
    let mut byte = [0];
    matches!(stream.read(&mut byte).now_or_never(), Some(Ok(0) | Err(_)))
}

fn machine_roots() -> RootCertStore {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    roots
}

/// The message of a line of the export.
fn message(line: &str, host: &str) -> String {
    let json: Value = serde_json::from_str(line).unwrap_or_default();
    let (said, id) = match json.get("checkpoint") {
        Some(checkpoint) => (checkpoint, "checkpoint"),
        None => (&json["event"], json["event"]["event"].as_str().unwrap_or("event")),
    };
    // The standard has no more than microseconds.
    let at = said["at"].as_str().and_then(|at| at.parse::<Timestamp>().ok());
    let at = at.and_then(|at| Timestamp::from_microsecond(at.as_microsecond()).ok());
    let at = at.map_or_else(|| "-".to_owned(), |at| at.to_string());
    let id: String = id.chars().take(32).collect();
    format!("<{PRIORITY}>1 {at} {host} towpath-control - {id} - {line}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_has_the_form_of_the_standard() {
        let line = r#"{"event":{"seq":7,"at":"2026-01-31T12:00:00.123456789Z","event":"resource_applied"},"previous":"00"}"#;
        let expected =
            format!("<110>1 2026-01-31T12:00:00.123456Z here towpath-control - resource_applied - {line}");
        assert_eq!(message(line, "here"), expected);
        let signed = message(r#"{"checkpoint":{"at":"2026-01-31T12:00:00Z"}}"#, "here");
        assert!(
            signed.starts_with("<110>1 2026-01-31T12:00:00Z here towpath-control - checkpoint - {"),
            "{signed}"
        );
    }
}
