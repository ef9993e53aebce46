//! Accepts connections on one UDP port.

use std::net::UdpSocket;
use std::sync::Arc;
use std::time::Duration;

use quinn::crypto::rustls::QuicServerConfig;
use quinn::{Endpoint, EndpointConfig, IdleTimeout, ServerConfig, TokioRuntime, TransportConfig, VarInt};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::connection::{self, Owner, SessionHandle};
use super::reset::{RandomIds, ResetKey};
use crate::control::identity::{PeerIdentity, TrustDomain};

/// Streams that an agent may have open at once: one a lane, and the control stream.
const MAX_STREAMS: u32 = 1_100;
/// What may be under way on one stream, in bytes. The session's own windows are what limits in the end.
const STREAM_WINDOW_BYTES: u32 = 16 << 20;
/// What may be under way on one connection, in bytes.
const CONNECTION_WINDOW_BYTES: u32 = 64 << 20;
/// What the system shall hold of datagrams that wait to be read, in bytes: what does not fit is lost, and a sender that
/// loses slows down.
const SOCKET_BUFFER_BYTES: usize = 4 << 20;
/// The session's heartbeats are faster; this catches peers that vanish in the handshake.
const IDLE_TIMEOUT: Duration = Duration::from_secs(30);

/// Makes what owns a session's events, for a peer that was let in.
pub(crate) trait Reception: Send + Sync + 'static {
    /// A session has begun.
    fn receive(
        &self,
        peer: PeerIdentity,
        address: std::net::SocketAddr,
        session: SessionHandle,
    ) -> Box<dyn Owner>;

    /// Whoever is at this address showed nothing by which an agent is known.
    fn turned_away(&self, address: std::net::SocketAddr);
}

/// An endpoint on this socket; `reset_key` lets agents notice at once that it is another process than before.
///
/// # Errors
/// The TLS configuration cannot serve QUIC, or the socket cannot be used.
pub(crate) fn bind(
    socket: UdpSocket,
    tls: rustls::ServerConfig,
    reset_key: ResetKey,
) -> anyhow::Result<Endpoint> {
    let mut config = ServerConfig::with_crypto(Arc::new(QuicServerConfig::try_from(tls)?));
    let mut transport = TransportConfig::default();
    transport
        .max_concurrent_bidi_streams(VarInt::from_u32(1))
        .max_concurrent_uni_streams(VarInt::from_u32(MAX_STREAMS))
        .stream_receive_window(VarInt::from_u32(STREAM_WINDOW_BYTES))
        .receive_window(VarInt::from_u32(CONNECTION_WINDOW_BYTES))
        .send_window(u64::from(CONNECTION_WINDOW_BYTES))
        .max_idle_timeout(Some(IdleTimeout::try_from(IDLE_TIMEOUT)?));
    config.transport_config(Arc::new(transport)).migration(true);
    socket.set_nonblocking(true)?;
    // The system may allow less than asked for, or nothing: then it stays with its own choice.
    let _ = rustix::net::sockopt::set_socket_recv_buffer_size(&socket, SOCKET_BUFFER_BYTES);
    let _ = rustix::net::sockopt::set_socket_send_buffer_size(&socket, SOCKET_BUFFER_BYTES);
    let mut endpoint = EndpointConfig::new(Arc::new(reset_key));
    endpoint.cid_generator(|| Box::new(RandomIds));
    Ok(Endpoint::new(endpoint, Some(config), socket, Arc::new(TokioRuntime))?)
}

/// Accepts agents until stopped, then says goodbye to all.
pub(crate) async fn serve(
    endpoint: Endpoint,
    domain: TrustDomain,
    reception: Arc<dyn Reception>,
    stop: CancellationToken,
) {
    let sessions = TaskTracker::new();
    loop {
        let incoming = tokio::select! {
            incoming = endpoint.accept() => incoming,
            () = stop.cancelled() => break,
        };
        let Some(incoming) = incoming else { break };
        let (domain, reception, stop) = (domain.clone(), reception.clone(), stop.child_token());
        sessions.spawn(async move {
            let address = incoming.remote_address();
            let connection = match incoming.await {
                Ok(connection) => connection,
                Err(error) => {
                    tracing::info!(%address, %error, "an agent was not let in");
                    if is_refusal(&error) {
                        reception.turned_away(address);
                    }
                    return;
                }
            };
            match peer_of(&connection, &domain) {
                Ok(peer) => connection::drive(connection, peer, &*reception, stop).await,
                Err(reason) => {
                    tracing::warn!(%address, %reason, "an agent was not let in");
                    connection.close(VarInt::from_u32(0), reason.as_bytes());
                    reception.turned_away(address);
                }
            }
        });
    }
    sessions.close();
    sessions.wait().await;
    endpoint.wait_idle().await;
}

/// Whether a handshake ended because of what the peer showed (RFC 9001, section 4.8), and not because it was lost.
fn is_refusal(error: &quinn::ConnectionError) -> bool {
    const ALERTS: std::ops::RangeInclusive<u64> = 0x100..=0x1ff;
    matches!(error, quinn::ConnectionError::TransportError(error) if ALERTS.contains(&u64::from(error.code)))
}

fn peer_of(connection: &quinn::Connection, domain: &TrustDomain) -> Result<PeerIdentity, String> {
    let identity = connection.peer_identity().and_then(|any| any.downcast().ok());
    let chain: Box<Vec<rustls_pki_types::CertificateDer<'static>>> =
        identity.ok_or("it showed no certificate")?;
    let leaf = chain.first().ok_or("it showed no certificate")?;
    PeerIdentity::from_certificate(leaf, domain).map_err(|e| e.to_string())
}
