//! HTTPS: the admin API and enrolment share one TCP port.
//!
//! Whoever connects is bounded in everything: how long the handshake, a request's head and any silence may take, how
//! large a head may be, how many requests one connection may have open and how many connections there are. What a
//! connection holds is then bounded too, whatever comes in.

mod paced;

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::extract::ConnectInfo;
use axum::http::Request;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::Service;

use paced::{Paced, Patience};

/// Connections at once; more wait in the kernel's queue.
const MOST_CONNECTIONS: usize = 4096;
/// Largest head of a request, in bytes.
const MOST_HEAD_BYTES: usize = 32 << 10;
/// Requests that one connection may have open at once.
const REQUESTS_PER_CONNECTION: u32 = 128;
/// A connection of HTTP/2 on which nothing happens is asked for a sign of life so often, and closed when none comes.
const PING_EVERY: Duration = Duration::from_secs(20);
/// How long open requests may take once the control plane stops.
const STOP_WITHIN: Duration = Duration::from_secs(10);

/// How long whoever connects may take.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Waits {
    /// A client that has not finished its handshake by then is dropped. Default: 10 s.
    pub handshake: Duration,
    /// A request's head that has not come by then is given up, and an unused connection closed. Default: 20 s.
    pub head: Duration,
    /// Silence after which a connection is cut. Streams of events give a sign of life far more often. Default: 120 s.
    pub silence: Duration,
    /// A peer that takes nothing of what is sent for so long is cut. Default: 60 s.
    pub taking: Duration,
}

impl Default for Waits {
    fn default() -> Self {
        let seconds = Duration::from_secs;
        Self { handshake: seconds(10), head: seconds(20), silence: seconds(120), taking: seconds(60) }
    }
}

/// The address of whoever sent a request: of the connection itself. What headers say of it is not believed.
#[derive(Clone, Copy, Debug)]
pub struct Peer(pub SocketAddr);

impl Peer {
    /// Without the port, IPv4 as itself.
    pub fn ip(self) -> IpAddr {
        self.0.ip().to_canonical()
    }
}

/// Serves until `stop` is cancelled and open requests are done, or too long.
pub async fn serve(
    listener: TcpListener,
    tls: Arc<rustls::ServerConfig>,
    router: Router,
    waits: Waits,
    stop: CancellationToken,
) {
    let (acceptor, tasks) = (TlsAcceptor::from(tls), TaskTracker::new());
    let places = Arc::new(Semaphore::new(MOST_CONNECTIONS));
    let cut = CancellationToken::new();
    loop {
        let place = places.clone().acquire_owned().await.expect("the semaphore is never closed");
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = stop.cancelled() => break,
        };
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted; trying on");
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let service = OfPeer { router: router.clone(), peer: Peer(peer) };
        let (acceptor, stop, cut) = (acceptor.clone(), stop.clone(), cut.clone());
        tasks.spawn(async move {
            tokio::select! {
                () = connection(acceptor, stream, service, waits, stop) => {}
                () = cut.cancelled() => {}
            }
            drop(place);
        });
    }
    tasks.close();
    if tokio::time::timeout(STOP_WITHIN, tasks.wait()).await.is_err() {
        tracing::info!("requests that were still open are given up");
        cut.cancel();
        tasks.wait().await;
    }
}

async fn connection(
    acceptor: TlsAcceptor,
    stream: TcpStream,
    service: OfPeer,
    waits: Waits,
    stop: CancellationToken,
) {
    let peer = service.peer.0;
    // Answers are small and awaited.
    drop(stream.set_nodelay(true));
    let stream = match tokio::time::timeout(waits.handshake, acceptor.accept(stream)).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => return tracing::debug!(%peer, %error, "a TLS handshake failed"),
        Err(_) => return tracing::debug!(%peer, "a TLS handshake took too long"),
    };
    let mut builder = auto::Builder::new(TokioExecutor::new());
    let mut http1 = builder.http1();
    http1.timer(TokioTimer::new()).header_read_timeout(waits.head).max_buf_size(MOST_HEAD_BYTES);
    let mut http2 = builder.http2();
    http2
        .timer(TokioTimer::new())
        .max_header_list_size(MOST_HEAD_BYTES as u32)
        .max_concurrent_streams(REQUESTS_PER_CONNECTION)
        .keep_alive_interval(PING_EVERY)
        .keep_alive_timeout(PING_EVERY);
    let patience = Patience { silence: waits.silence, taken_within: waits.taking };
    let io = TokioIo::new(Paced::new(stream, patience));
    let serving = builder.serve_connection_with_upgrades(io, TowerToHyperService::new(service));
    let mut serving = std::pin::pin!(serving);
    let done = tokio::select! {
        done = serving.as_mut() => done,
        () = stop.cancelled() => {
            serving.as_mut().graceful_shutdown();
            serving.await
        }
    };
    if let Err(error) = done {
        tracing::debug!(%peer, error, "a connection ended early");
    }
}

/// The router, for one connection.
#[derive(Clone)]
struct OfPeer {
    router: Router,
    peer: Peer,
}

impl<B> Service<Request<B>> for OfPeer
where
    Router: Service<Request<B>>,
{
    type Response = <Router as Service<Request<B>>>::Response;
    type Error = <Router as Service<Request<B>>>::Error;
    type Future = <Router as Service<Request<B>>>::Future;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Service::<Request<B>>::poll_ready(&mut self.router, context)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        request.extensions_mut().insert(ConnectInfo(self.peer));
        self.router.call(request)
    }
}
