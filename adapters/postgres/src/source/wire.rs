//! A connection that rows and changes come by: PostgreSQL's protocol 3.0 as far as one needs it to log in, to copy rows
//! and to start the stream of changes. The driver offers no replication, and takes rows of any length into memory.
//!
//! ```text
//! startup, authentication → ReadyForQuery → START_REPLICATION → CopyBoth: changes come, feedback goes
//!                                         → COPY … TO STDOUT  → CopyOut: rows come → ReadyForQuery
//! ```
//!
//! Source: PostgreSQL manual, "Frontend/Backend Protocol" and "Streaming Replication Protocol".

mod unhurried;
mod frames;
mod changes;
mod feedback;
mod lines;

use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use postgres_protocol::authentication::{md5_hash, sasl};
use postgres_protocol::message::frontend;
use rustls_pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_postgres::config::{Host, SslMode};
use tokio_rustls::TlsConnector;

use crate::error::{PostgresError, Refusal};
use crate::server::Server;
use crate::tls;

pub(crate) use changes::{Changes, Event};
pub(crate) use feedback::Feedback;
pub(crate) use lines::{Line, fields};

use frames::{Frame, Frames, is_strange};
use unhurried::Unhurried;

const CONNECTS_WITHIN: Duration = Duration::from_secs(15);
const DEFAULT_PORT: u16 = 5432;
/// Longest message that is taken before the stream of changes begins.
const MAX_GREETING_BYTES: usize = 1 << 20;
/// The session prints values exactly and in one form, whatever the server's defaults are. A policy that would hide rows
/// is an error and not a gap.
const OPTIONS: &str = "-c datestyle=ISO -c intervalstyle=postgres -c timezone=UTC -c extra_float_digits=1 \
     -c bytea_output=hex -c search_path= -c row_security=off -c statement_timeout=0 \
     -c idle_in_transaction_session_timeout=0";

/// Both directions of a connection.
pub(crate) trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Duplex for T {}

/// What a connection is for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// It gives changes.
    Replication,
    /// It gives rows, and needs no right to replicate.
    Rows,
}

/// A connection that is logged in.
pub(crate) struct Wire {
    frames: Frames<Box<dyn Duplex>>,
}

impl Wire {
    /// Connects to the first host that answers, and logs in.
    ///
    /// # Errors
    /// No host answers, TLS cannot be set up, or the server refuses the login.
    pub(crate) async fn connect(server: &Server, purpose: Purpose) -> Result<Self, PostgresError> {
        let config = server.connection()?;
        let mut failure = None;
        for (index, host) in config.get_hosts().iter().enumerate() {
            let ports = config.get_ports();
            let port = ports.get(index).or(ports.first()).copied().unwrap_or(DEFAULT_PORT);
            let opened = tokio::time::timeout(CONNECTS_WITHIN, open(server, &config, host, port)).await;
            let late = || io::Error::new(io::ErrorKind::TimedOut, "no answer");
            match opened.map_err(|_| PostgresError::wire("connect")(late())).flatten() {
                Ok(stream) => {
                    let mut wire = Self { frames: Frames::new(stream, MAX_GREETING_BYTES) };
                    wire.log_in(&config, purpose).await?;
                    return Ok(wire);
                }
                Err(error) => failure = Some(error),
            }
        }
        Err(failure.expect("a configuration without a host is refused"))
    }

    async fn log_in(
        &mut self,
        config: &tokio_postgres::Config,
        purpose: Purpose,
    ) -> Result<(), PostgresError> {
        const DOING: &str = "log in";
        let user = config.get_user().unwrap_or_default();
        let parameters = [
            ("user", user),
            ("database", config.get_dbname().unwrap_or(user)),
            ("replication", if purpose == Purpose::Replication { "database" } else { "false" }),
            ("application_name", "towpath"),
            ("client_encoding", "UTF8"),
            ("options", OPTIONS),
        ];
        let mut out = BytesMut::new();
        frontend::startup_message(parameters, &mut out).map_err(PostgresError::wire(DOING))?;
        self.send(&out, DOING).await?;
        let mut scram = None;
        loop {
            let Frame { tag, body, .. } = self.answer(DOING).await?;
            match tag {
                b'R' => self.authenticate(config, &mut scram, body).await?,
                b'Z' => return Ok(()),
                _ => {}
            }
        }
    }

    /// Answers one request of the server to prove who we are.
    async fn authenticate(
        &mut self,
        config: &tokio_postgres::Config,
        scram: &mut Option<sasl::ScramSha256>,
        mut body: Bytes,
    ) -> Result<(), PostgresError> {
        const DOING: &str = "log in";
        let failed = PostgresError::wire(DOING);
        let password = config.get_password().unwrap_or_default();
        let mut out = BytesMut::new();
        let done = match (take_i32(&mut body), scram.as_mut()) {
            (Some(0), _) => return Ok(()),
            (Some(3), _) => frontend::password_message(password, &mut out),
            (Some(5), _) if body.len() >= 4 => {
                let salt = [body[0], body[1], body[2], body[3]];
                let hash = md5_hash(config.get_user().unwrap_or_default().as_bytes(), password, salt);
                frontend::password_message(hash.as_bytes(), &mut out)
            }
            (Some(10), _)
                if body.split(|byte| *byte == 0).any(|name| name == sasl::SCRAM_SHA_256.as_bytes()) =>
            {
                let exchange = sasl::ScramSha256::new(password, sasl::ChannelBinding::unsupported());
                let sent = frontend::sasl_initial_response(sasl::SCRAM_SHA_256, exchange.message(), &mut out);
                *scram = Some(exchange);
                sent
            }
            (Some(11), Some(exchange)) => {
                exchange.update(&body).and_then(|()| frontend::sasl_response(exchange.message(), &mut out))
            }
            (Some(12), Some(exchange)) => exchange.finish(&body),
            _ => Err(io::Error::other("the server asks for a kind of login that is not known here")),
        };
        done.map_err(failed)?;
        if out.is_empty() { Ok(()) } else { self.send(&out, DOING).await }
    }

    /// Starts the stream of changes.
    ///
    /// # Errors
    /// The server refuses; the error carries its reason.
    pub(crate) async fn start(mut self, command: &str) -> Result<(Changes, Feedback), PostgresError> {
        const DOING: &str = "start replication";
        self.query(command, DOING).await?;
        while self.answer(DOING).await?.tag != b'W' {}
        let mut output = None;
        let frames = self.frames.map(|stream| -> Box<dyn AsyncRead + Send + Unpin> {
            let (input, written) = tokio::io::split(stream);
            output = Some(written);
            Box::new(input)
        });
        let output = output.expect("it was split off just now");
        Ok((Changes::new(frames), Feedback::new(Box::new(output))))
    }

    /// Runs a statement and passes over what it answers.
    ///
    /// # Errors
    /// The server refuses; the error carries its reason.
    pub(crate) async fn execute(&mut self, sql: &str, doing: &str) -> Result<(), PostgresError> {
        self.query(sql, doing).await?;
        while self.answer(doing).await?.tag != b'Z' {}
        Ok(())
    }

    async fn query(&mut self, sql: &str, doing: &str) -> Result<(), PostgresError> {
        let mut out = BytesMut::new();
        frontend::query(sql, &mut out).map_err(PostgresError::wire(doing))?;
        self.send(&out, doing).await
    }

    async fn send(&mut self, bytes: &[u8], doing: &str) -> Result<(), PostgresError> {
        let stream = self.frames.inner();
        stream.write_all(bytes).await.map_err(PostgresError::wire(doing))?;
        stream.flush().await.map_err(PostgresError::wire(doing))
    }

    /// The next message that is no notice; a refusal is an error.
    async fn answer(&mut self, doing: &str) -> Result<Frame, PostgresError> {
        loop {
            let frame = self.frames.next().await.map_err(PostgresError::wire(doing))?;
            match frame.tag {
                b'E' => return Err(PostgresError::Refused(Refusal::read(doing, &frame.body))),
                b'N' | b'S' | b'K' => {}
                _ if !frame.whole => return Err(is_strange(doing)),
                _ => return Ok(frame),
            }
        }
    }
}

async fn open(
    server: &Server,
    config: &tokio_postgres::Config,
    host: &Host,
    port: u16,
) -> Result<Box<dyn Duplex>, PostgresError> {
    let failed = || PostgresError::wire("connect");
    let name = match host {
        Host::Tcp(name) => name,
        #[cfg(unix)]
        Host::Unix(folder) => {
            let path = folder.join(format!(".s.PGSQL.{port}"));
            return Ok(Box::new(tokio::net::UnixStream::connect(path).await.map_err(failed())?));
        }
    };
    let stream = TcpStream::connect((&**name, port)).await.map_err(failed())?;
    stream.set_nodelay(true).map_err(failed())?;
    let mut stream = Unhurried::new(stream);
    if config.get_ssl_mode() == SslMode::Disable {
        return Ok(Box::new(stream));
    }
    let mut request = BytesMut::new();
    frontend::ssl_request(&mut request);
    stream.write_all(&request).await.map_err(failed())?;
    let offered = stream.read_u8().await.map_err(failed())? == b'S';
    match (offered, config.get_ssl_mode()) {
        (true, _) => {
            let connector = TlsConnector::from(Arc::new(tls::client_config(&server.0.tls)?));
            let name = ServerName::try_from(name.clone());
            let name = name.map_err(|error| failed()(io::Error::new(io::ErrorKind::InvalidInput, error)))?;
            Ok(Box::new(connector.connect(name, stream).await.map_err(failed())?))
        }
        (false, SslMode::Prefer) => Ok(Box::new(stream)),
        (false, _) => Err(failed()(io::Error::other("the server offers no TLS, and `tls.mode` requires it"))),
    }
}

fn take_i32(body: &mut Bytes) -> Option<i32> {
    (body.len() >= 4).then(|| body.get_i32())
}
