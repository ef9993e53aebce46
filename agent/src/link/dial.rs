//! From the address of the control plane to a QUIC connection.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::time::{Duration, Instant};

use quinn::crypto::rustls::{NoInitialCipherSuite, QuicClientConfig};
use quinn::{
    AckFrequencyConfig, ClientConfig, ConnectError, Connection, ConnectionError, Endpoint, EndpointConfig,
    IdleTimeout, TokioRuntime, TransportConfig, VarInt,
};
use towpath_session::limits::MAX_ROUTES;

use crate::control::server_address::ServerAddress;

/// What may be under way on one stream, in bytes. The windows of lanes and routes are what limits in the end.
const STREAM_WINDOW_BYTES: u32 = 16 << 20;
/// What may be under way on one connection, in bytes.
const CONNECTION_WINDOW_BYTES: u32 = 32 << 20;
/// What may be sent and not be confirmed yet, in bytes. More than the other side's socket holds is lost whenever its
/// process is busy for a moment, and whoever loses slows down.
const SEND_WINDOW_BYTES: u64 = 4 << 20;
/// What the kernel is asked to buffer for the socket, in bytes. It may allow less, which costs speed only.
const SOCKET_BUFFER_BYTES: usize = 4 << 20;
/// Streams that the cell may have open at once: one a route. Those of ended routes may not be closed yet.
const MAX_STREAMS: u32 = MAX_ROUTES as u32 + 100;
/// The session's heartbeats are faster; this catches a control plane that vanishes in the handshake.
const IDLE_TIMEOUT: Duration = Duration::from_secs(30);
/// How long one address may take to answer.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Knows where the control plane is and how to prove who dials.
#[derive(Clone)]
pub struct Dialer {
    server: ServerAddress,
    server_name: String,
    tls: Arc<dyn Fn() -> Arc<rustls::ClientConfig> + Send + Sync>,
}

/// Why the control plane cannot be reached.
#[derive(Debug, thiserror::Error)]
pub enum DialError {
    /// The name has no address.
    #[error("the control plane's name `{host}` has no address; check the name and this machine's DNS")]
    Resolve {
        /// The name.
        host: String,
        /// What the resolver said, if anything.
        #[source]
        source: Option<io::Error>,
    },
    /// There is no socket to send from.
    #[error("no UDP socket can be opened to reach {address}; check this machine's network and limits")]
    Socket {
        /// Where to.
        address: SocketAddr,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The TLS configuration cannot be used for QUIC.
    #[error("the agent's TLS configuration cannot serve QUIC")]
    Tls(#[source] NoInitialCipherSuite),
    /// The connection could not be begun.
    #[error("the link to {address} cannot be begun")]
    Begin {
        /// Where to.
        address: SocketAddr,
        /// Why.
        #[source]
        source: ConnectError,
    },
    /// Nobody answered.
    #[error(
        "{address} does not answer on UDP; check that it runs and that no firewall drops UDP to that port"
    )]
    Silent {
        /// Where to.
        address: SocketAddr,
    },
    /// The other side is not the control plane, or refused.
    #[error("{address} answered, and the link was not made")]
    Handshake {
        /// Where to.
        address: SocketAddr,
        /// Why.
        #[source]
        source: ConnectionError,
    },
}

/// A connection and the socket under it.
pub(super) struct Dialed {
    pub(super) connection: Connection,
    pub(super) endpoint: Endpoint,
}

impl Dialer {
    /// Dials `server`, whose certificate must be for `server_name`. `tls` is asked anew for each connection, so
    /// that a renewed certificate is used from the next one on.
    pub fn new(
        server: ServerAddress,
        server_name: impl Into<String>,
        tls: impl Fn() -> Arc<rustls::ClientConfig> + Send + Sync + 'static,
    ) -> Self {
        Self { server, server_name: server_name.into(), tls: Arc::new(tls) }
    }

    /// Shakes hands with the control plane and ends the connection before anything is said on it. Tells how long that took.
    ///
    /// # Errors
    /// As for a link.
    pub async fn probe(&self) -> Result<Duration, DialError> {
        let began = Instant::now();
        let Dialed { connection, endpoint } = self.dial().await?;
        let took = began.elapsed();
        connection.close(VarInt::from_u32(0), b"only looks");
        // Lets the other side know, so that it does not wait for more.
        endpoint.wait_idle().await;
        Ok(took)
    }

    /// Tries the addresses of the control plane in turn.
    pub(super) async fn dial(&self) -> Result<Dialed, DialError> {
        let host = self.server.host();
        let unresolved = |source| DialError::Resolve { host: host.to_owned(), source };
        let addresses = tokio::net::lookup_host((host, self.server.port()))
            .await
            .map_err(|error| unresolved(Some(error)))?;
        let mut last = None;
        for address in addresses {
            match self.dial_address(address).await {
                Ok(dialed) => return Ok(dialed),
                Err(error) => last = Some(error),
            }
        }
        Err(last.unwrap_or_else(|| unresolved(None)))
    }

    async fn dial_address(&self, address: SocketAddr) -> Result<Dialed, DialError> {
        let endpoint = endpoint_towards(address).map_err(|source| DialError::Socket { address, source })?;
        let tls = QuicClientConfig::try_from((self.tls)()).map_err(DialError::Tls)?;
        let mut config = ClientConfig::new(Arc::new(tls));
        config.transport_config(Arc::new(transport()));
        let connecting = endpoint
            .connect_with(config, address, &self.server_name)
            .map_err(|source| DialError::Begin { address, source })?;
        match tokio::time::timeout(CONNECT_TIMEOUT, connecting).await {
            Ok(Ok(connection)) => Ok(Dialed { connection, endpoint }),
            Ok(Err(ConnectionError::TimedOut)) | Err(_) => Err(DialError::Silent { address }),
            Ok(Err(source)) => Err(DialError::Handshake { address, source }),
        }
    }
}

/// A socket that reaches addresses of the same family.
pub(super) fn socket_towards(address: SocketAddr) -> io::Result<UdpSocket> {
    let any: SocketAddr = match address {
        SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
        SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
    };
    let socket = UdpSocket::bind(any)?;
    // The system may allow less than asked for, or nothing: then it stays with its own choice.
    let _ = rustix::net::sockopt::set_socket_recv_buffer_size(&socket, SOCKET_BUFFER_BYTES);
    let _ = rustix::net::sockopt::set_socket_send_buffer_size(&socket, SOCKET_BUFFER_BYTES);
    Ok(socket)
}

fn endpoint_towards(address: SocketAddr) -> io::Result<Endpoint> {
    let socket = socket_towards(address)?;
    Endpoint::new(EndpointConfig::default(), None, socket, Arc::new(TokioRuntime))
}

/// Early data is never sent: nothing here calls `into_0rtt`, and the TLS configuration does not offer it.
fn transport() -> TransportConfig {
    let mut transport = TransportConfig::default();
    transport
        .max_concurrent_bidi_streams(VarInt::from_u32(0))
        .max_concurrent_uni_streams(VarInt::from_u32(MAX_STREAMS))
        .stream_receive_window(VarInt::from_u32(STREAM_WINDOW_BYTES))
        .receive_window(VarInt::from_u32(CONNECTION_WINDOW_BYTES))
        .send_window(SEND_WINDOW_BYTES)
        .ack_frequency_config(Some(AckFrequencyConfig::default()))
        .max_idle_timeout(Some(
            IdleTimeout::try_from(IDLE_TIMEOUT).expect("30 s fit a QUIC variable integer"),
        ));
    transport
}
