//! A network that misbehaves on purpose: it stands between agents and the control plane on loopback.
//!
//! UDP datagrams are dropped, doubled, delayed and reordered as the [`Weather`] says; [`Proxy::rebind`] makes the server see
//! every client at a new address, as a NAT that forgot its table does. TCP on the same port number is passed through,
//! or refused while the link is cut, so that an agent can enrol through the proxy.

use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context, Result};
use parking_lot::Mutex;
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio_util::sync::CancellationToken;

use crate::ports::free_port;

/// Large enough for every UDP datagram.
const DATAGRAM_BYTES: usize = 65_536;

/// What happens to datagrams, in both directions.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Weather {
    /// Which share is dropped, 0 to 1.
    pub loss: f64,
    /// Which share arrives twice, 0 to 1.
    pub doubled: f64,
    /// Which share is held back so that later ones overtake it, 0 to 1.
    pub reordered: f64,
    /// How long every datagram takes.
    pub delay: Duration,
    /// Whether nothing passes at all.
    pub cut: bool,
}

impl Weather {
    /// Everything passes at once.
    pub const FAIR: Self =
        Self { loss: 0.0, doubled: 0.0, reordered: 0.0, delay: Duration::ZERO, cut: false };

    /// Nothing passes.
    pub const CUT: Self = Self { cut: true, ..Self::FAIR };
}

/// How long a held-back datagram is late.
const REORDER_DELAY: Duration = Duration::from_millis(8);

/// How many datagrams went which way.
#[derive(Default, Debug)]
pub struct Counters {
    /// Those that passed.
    pub passed: AtomicU64,
    /// Those that were dropped.
    pub dropped: AtomicU64,
    /// Those that were held back.
    pub reordered: AtomicU64,
    /// Those that were sent twice.
    pub doubled: AtomicU64,
}

/// A running proxy. Dropped means stopped.
pub struct Proxy {
    port: u16,
    shared: Arc<Shared>,
    stop: CancellationToken,
}

struct Shared {
    server: SocketAddr,
    /// Where clients send to.
    front: UdpSocket,
    weather: Mutex<Weather>,
    rng: Mutex<fastrand::Rng>,
    /// For each client the socket by which the server knows it.
    sessions: Mutex<HashMap<SocketAddr, Session>>,
    counters: Counters,
}

struct Session {
    back: Arc<UdpSocket>,
    /// Cancelled when the socket is given up.
    over: CancellationToken,
}

impl Proxy {
    /// Starts a proxy before a server on loopback.
    ///
    /// # Errors
    /// No port is free.
    pub async fn start(server_port: u16, seed: u64) -> Result<Self> {
        let port = free_port()?;
        let front =
            UdpSocket::bind((Ipv4Addr::LOCALHOST, port)).await.context("the proxy cannot bind UDP")?;
        let listener =
            TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await.context("the proxy cannot bind TCP")?;
        let shared = Arc::new(Shared {
            server: (Ipv4Addr::LOCALHOST, server_port).into(),
            front,
            weather: Mutex::new(Weather::FAIR),
            rng: Mutex::new(fastrand::Rng::with_seed(seed)),
            sessions: Mutex::new(HashMap::new()),
            counters: Counters::default(),
        });
        let stop = CancellationToken::new();
        tokio::spawn(stop.clone().run_until_cancelled_owned(shared.clone().serve_datagrams(stop.clone())));
        tokio::spawn(stop.clone().run_until_cancelled_owned(shared.clone().serve_streams(listener)));
        Ok(Self { port, shared, stop })
    }

    /// The port to which clients connect.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Changes the weather from now on.
    pub fn set(&self, weather: Weather) {
        *self.shared.weather.lock() = weather;
    }

    /// Makes the server see every client at a new address.
    pub fn rebind(&self) {
        for (_, session) in self.shared.sessions.lock().drain() {
            session.over.cancel();
        }
    }

    /// What has happened so far.
    pub fn counters(&self) -> &Counters {
        &self.shared.counters
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.stop.cancel();
        self.rebind();
    }
}

impl Shared {
    async fn serve_datagrams(self: Arc<Self>, stop: CancellationToken) {
        let mut buffer = vec![0; DATAGRAM_BYTES];
        loop {
            // An error here is an ICMP answer to an earlier datagram; UDP goes on.
            let Ok((length, client)) = self.front.recv_from(&mut buffer).await else { continue };
            let Ok(back) = self.session(client, &stop).await else { continue };
            let server = self.server;
            self.forward(buffer[..length].to_vec(), move |datagram| {
                let back = back.clone();
                async move { drop(back.send_to(&datagram, server).await) }
            });
        }
    }

    async fn session(
        self: &Arc<Self>,
        client: SocketAddr,
        stop: &CancellationToken,
    ) -> Result<Arc<UdpSocket>> {
        if let Some(session) = self.sessions.lock().get(&client) {
            return Ok(session.back.clone());
        }
        let back = Arc::new(UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await?);
        let over = stop.child_token();
        let answers = self.clone().serve_answers(client, back.clone());
        tokio::spawn(over.clone().run_until_cancelled_owned(answers));
        self.sessions.lock().insert(client, Session { back: back.clone(), over });
        Ok(back)
    }

    async fn serve_answers(self: Arc<Self>, client: SocketAddr, back: Arc<UdpSocket>) {
        let mut buffer = vec![0; DATAGRAM_BYTES];
        loop {
            let Ok((length, _)) = back.recv_from(&mut buffer).await else { continue };
            let shared = self.clone();
            self.forward(buffer[..length].to_vec(), move |datagram| {
                let shared = shared.clone();
                async move { drop(shared.front.send_to(&datagram, client).await) }
            });
        }
    }

    /// Sends a datagram on as the weather has it.
    fn forward<F>(&self, datagram: Vec<u8>, send: impl Fn(Vec<u8>) -> F + Send + 'static)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let weather = *self.weather.lock();
        let (lost, doubled, late) = {
            let mut rng = self.rng.lock();
            let mut happens = |share: f64| share > 0.0 && rng.f64() < share;
            (happens(weather.loss), happens(weather.doubled), happens(weather.reordered))
        };
        if weather.cut || lost {
            self.counters.dropped.fetch_add(1, Ordering::Relaxed);
            return;
        }
        self.counters.passed.fetch_add(1, Ordering::Relaxed);
        self.counters.doubled.fetch_add(u64::from(doubled), Ordering::Relaxed);
        self.counters.reordered.fetch_add(u64::from(late), Ordering::Relaxed);
        let delay = weather.delay + if late { REORDER_DELAY } else { Duration::ZERO };
        tokio::spawn(async move {
            if !delay.is_zero() {
                tokio::time::sleep(delay).await;
            }
            if doubled {
                send(datagram.clone()).await;
            }
            send(datagram).await;
        });
    }

    async fn serve_streams(self: Arc<Self>, listener: TcpListener) {
        loop {
            let Ok((mut client, _)) = listener.accept().await else { continue };
            if self.weather.lock().cut {
                continue;
            }
            let server = self.server;
            tokio::spawn(async move {
                if let Ok(mut upstream) = TcpStream::connect(server).await {
                    // A stream that breaks is what its two ends see; the proxy has nothing to add.
                    let _ = tokio::io::copy_bidirectional(&mut client, &mut upstream).await;
                }
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A server that answers each datagram with the address it came from.
    async fn echo() -> u16 {
        let server = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let port = server.local_addr().unwrap().port();
        tokio::spawn(async move {
            let mut buffer = [0; 64];
            while let Ok((_, from)) = server.recv_from(&mut buffer).await {
                server.send_to(from.to_string().as_bytes(), from).await.unwrap();
            }
        });
        port
    }

    async fn ask(client: &UdpSocket) -> Option<String> {
        client.send(b"?").await.unwrap();
        let mut buffer = [0; 64];
        let answer = tokio::time::timeout(Duration::from_millis(300), client.recv(&mut buffer)).await.ok()?;
        Some(String::from_utf8_lossy(&buffer[..answer.unwrap()]).into_owned())
    }

    async fn client_of(proxy: &Proxy) -> UdpSocket {
        let client = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        client.connect((Ipv4Addr::LOCALHOST, proxy.port())).await.unwrap();
        client
    }

    #[tokio::test]
    async fn the_server_sees_another_address_after_a_rebind() {
        let proxy = Proxy::start(echo().await, 1).await.unwrap();
        let client = client_of(&proxy).await;
        let before = ask(&client).await.unwrap();
        assert_eq!(ask(&client).await.unwrap(), before);
        proxy.rebind();
        assert_ne!(ask(&client).await.unwrap(), before);
    }

    #[tokio::test]
    async fn nothing_passes_a_cut_link_until_it_is_restored() {
        let proxy = Proxy::start(echo().await, 1).await.unwrap();
        let client = client_of(&proxy).await;
        proxy.set(Weather::CUT);
        assert_eq!(ask(&client).await, None);
        proxy.set(Weather::FAIR);
        assert!(ask(&client).await.is_some());
    }

    #[tokio::test]
    async fn the_share_that_is_lost_is_the_share_that_was_asked_for() {
        let proxy = Proxy::start(echo().await, 7).await.unwrap();
        let client = client_of(&proxy).await;
        proxy.set(Weather { loss: 0.2, ..Weather::FAIR });
        for _ in 0..2_000 {
            client.send(b"?").await.unwrap();
            tokio::task::yield_now().await;
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
        let dropped = proxy.counters().dropped.load(Ordering::Relaxed) as f64;
        let passed = proxy.counters().passed.load(Ordering::Relaxed) as f64;
        assert!((0.15..0.25).contains(&(dropped / (dropped + passed))), "{dropped} of {}", dropped + passed);
    }
}
