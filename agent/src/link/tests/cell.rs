//! A cell that keeps its log in memory. One task drives each connection.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use bytes::{Bytes, BytesMut};
use parking_lot::Mutex;
use quinn::{Connection, Endpoint, RecvStream, SendStream, VarInt};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::crypto::aws_lc_rs;
use rustls::server::WebPkiClientVerifier;
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tokio::sync::{broadcast, mpsc};
use towpath_proto::control::{self, Decoder};
use towpath_proto::link::{AgentMessage, LaneFault};
use towpath_proto::stream::{FrameDecoder, Preamble, delivery_prefix};
use towpath_record::{Link, LogId, LogOffset, Position, RouteId, SealedFrame, SinkId};
use towpath_session::{CellConfig, CellEvent, CellSession, CellTransmit, GoodbyeCode};

use super::{PATIENCE, memory};
use crate::control::server_address::ServerAddress;

pub(super) const SERVER_NAME: &str = "control.test.internal";
const LOG: LogId = LogId::from_bytes([9; 16]);

pub(super) struct TestCell {
    endpoint: Endpoint,
    agent_tls: Arc<ClientConfig>,
    shared: Arc<Shared>,
}

struct Shared {
    orders: broadcast::Sender<Order>,
    content: Mutex<Content>,
}

#[derive(Default)]
struct Content {
    epoch: u64,
    log: Vec<SealedFrame>,
    sessions: usize,
    connections: Vec<Connection>,
    delivered: Option<LogOffset>,
    rejected: Vec<(LogOffset, u32)>,
    observed: Vec<u64>,
    farewells: Vec<GoodbyeCode>,
}

/// What a test tells every session to do.
#[derive(Clone, Copy)]
enum Order {
    Goodbye(GoodbyeCode),
    BindRoute,
}

impl TestCell {
    pub(super) fn start() -> Self {
        let (server_tls, agent_tls) = tls();
        let crypto = quinn::crypto::rustls::QuicServerConfig::try_from(server_tls).expect("TLS 1.3");
        let config = quinn::ServerConfig::with_crypto(Arc::new(crypto));
        let endpoint = Endpoint::server(config, ([127, 0, 0, 1], 0).into()).expect("a loopback socket");
        let shared = Shared { orders: broadcast::channel(16).0, content: Mutex::default() };
        let cell = Self { endpoint, agent_tls: Arc::new(agent_tls), shared: Arc::new(shared) };
        let (endpoint, shared) = (cell.endpoint.clone(), cell.shared.clone());
        tokio::spawn(async move {
            while let Some(incoming) = endpoint.accept().await {
                let shared = shared.clone();
                tokio::spawn(async move {
                    if let Ok(connection) = incoming.await {
                        shared.content.lock().connections.push(connection.clone());
                        serve(connection, shared).await;
                    }
                });
            }
        });
        cell
    }

    pub(super) fn address(&self) -> ServerAddress {
        let address: SocketAddr = self.endpoint.local_addr().expect("it is bound");
        address.to_string().parse().expect("an address")
    }

    pub(super) fn agent_tls(&self) -> Arc<ClientConfig> {
        self.agent_tls.clone()
    }

    /// The numbers of the frames in the log.
    pub(super) fn sequence(&self) -> Vec<u64> {
        self.shared.content.lock().log.iter().map(|frame| frame.link().seq).collect()
    }

    pub(super) fn sessions(&self) -> usize {
        self.shared.content.lock().sessions
    }

    pub(super) fn peer_addresses(&self) -> Vec<SocketAddr> {
        self.shared.content.lock().connections.iter().map(Connection::remote_address).collect()
    }

    pub(super) fn delivered(&self) -> Option<LogOffset> {
        self.shared.content.lock().delivered
    }

    pub(super) fn rejected(&self) -> Vec<(LogOffset, u32)> {
        self.shared.content.lock().rejected.clone()
    }

    pub(super) fn observed(&self) -> Vec<u64> {
        self.shared.content.lock().observed.clone()
    }

    pub(super) fn farewells(&self) -> Vec<GoodbyeCode> {
        self.shared.content.lock().farewells.clone()
    }

    pub(super) fn lose_log(&self) {
        let mut content = self.shared.content.lock();
        content.log.clear();
        content.epoch = 0;
    }

    pub(super) fn cut_all(&self, code: GoodbyeCode) {
        // Without a session there is nothing to cut.
        let _ = self.shared.orders.send(Order::Goodbye(code));
    }

    pub(super) fn bind_route(&self) {
        let _ = self.shared.orders.send(Order::BindRoute);
    }

    pub(super) async fn wait_until(&self, condition: impl Fn(&Self) -> bool) {
        let reached = async {
            while !condition(self) {
                tokio::time::sleep(std::time::Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(PATIENCE, reached).await.expect("the condition came true in time");
    }
}

enum Input {
    Message(AgentMessage),
    Frame(u32, SealedFrame),
    Lost(quinn::ConnectionError),
}

struct Serving {
    machine: CellSession<SealedFrame>,
    shared: Arc<Shared>,
    connection: Connection,
    control: Option<SendStream>,
    routes: BTreeMap<u32, (SendStream, LogOffset)>,
    over: bool,
}

async fn serve(connection: Connection, shared: Arc<Shared>) {
    let mut orders = shared.orders.subscribe();
    let (inputs, mut happened) = mpsc::channel(64);
    let Ok((control, receive)) = connection.accept_bi().await else { return };
    tokio::spawn(read_control(connection.clone(), receive, inputs.clone()));
    tokio::spawn(accept_lanes(connection.clone(), inputs));
    let mut serving = Serving {
        machine: CellSession::new(CellConfig::default(), Instant::now()),
        shared,
        connection,
        control: Some(control),
        routes: BTreeMap::new(),
        over: false,
    };
    while !serving.over {
        let wake = serving.machine.poll_timeout();
        let now = Instant::now();
        tokio::select! {
            Some(input) = happened.recv() => match input {
                Input::Message(message) => serving.machine.handle_message(now, message),
                Input::Frame(opening, frame) => serving.machine.handle_frame(now, opening, frame),
                Input::Lost(error) => serving.machine.handle_lost(&error.to_string()),
            },
            Ok(order) = orders.recv() => match order {
                Order::Goodbye(code) => serving.machine.goodbye(now, code, "as the test wants", ""),
                Order::BindRoute => {
                    let (route, sink) = (RouteId::from_bytes([1; 16]), SinkId::from_bytes([2; 16]));
                    serving.machine.bind_route(now, route, 0, sink, LOG, &[]);
                }
            },
            () = tokio::time::sleep_until(wake.unwrap_or(now).into()), if wake.is_some() => {
                serving.machine.handle_timeout(Instant::now());
            }
        }
        serving.drain().await;
    }
}

impl Serving {
    async fn drain(&mut self) {
        loop {
            if let Some(transmit) = self.machine.poll_transmit() {
                self.transmit(transmit).await;
            } else if let Some(event) = self.machine.poll_event() {
                self.handle(event).await;
            } else {
                return;
            }
        }
    }

    async fn transmit(&mut self, transmit: CellTransmit<SealedFrame>) {
        match transmit {
            CellTransmit::Message(message) => {
                let mut bytes = BytesMut::new();
                control::encode(&message, &mut bytes).expect("a small message");
                if let Some(control) = &mut self.control {
                    // A connection that is lost tells so elsewhere.
                    let _ = control.write_chunk(bytes.freeze()).await;
                }
            }
            CellTransmit::Delivery { binding, offset, frame } => {
                let Some((stream, _)) = self.routes.get_mut(&binding) else { return };
                let prefix = Bytes::copy_from_slice(&delivery_prefix(offset));
                let _ = stream.write_all_chunks(&mut [prefix, frame.bytes().clone()]).await;
                self.machine.handle_written(Instant::now(), binding);
            }
            CellTransmit::EndLane { .. } | CellTransmit::EndRoute { .. } => {}
            CellTransmit::Close { code, reason } => {
                if let Some(mut control) = self.control.take() {
                    let _ = control.finish();
                    let _ = tokio::time::timeout(PATIENCE, control.stopped()).await;
                }
                let code = VarInt::from_u32(u32::try_from(i32::from(code)).unwrap_or_default());
                self.connection.close(code, reason.as_bytes());
                self.over = true;
            }
        }
    }

    async fn handle(&mut self, event: CellEvent<SealedFrame>) {
        let now = Instant::now();
        match event {
            CellEvent::Greeted(_) => {
                self.shared.content.lock().sessions += 1;
                self.machine.welcome(now, 0);
            }
            CellEvent::LaneRequested(asked) => {
                let (epoch, last) = {
                    let mut content = self.shared.content.lock();
                    content.epoch += u64::from(asked.chain.is_none());
                    (content.epoch, content.last())
                };
                let position = Position::default();
                self.machine.handle_lane_opened(now, asked.opening, epoch, last, position, asked.want_marks);
            }
            CellEvent::MarksWanted { opening, .. } => self.machine.handle_marks(now, opening, vec![], true),
            CellEvent::SchemaOffered { hash, canonical } => {
                assert_eq!((hash, &canonical), (memory::schema().hash(), memory::schema().canonical()));
                self.machine.handle_schema_stored(now, hash);
            }
            CellEvent::Append { opening, frame } => self.append(opening, frame),
            CellEvent::RouteReady { binding, checkpoint } => {
                let behind = checkpoint.filter(|(log, _)| *log == LOG).map(|(_, offset)| offset);
                let mut stream = self.connection.open_uni().await.expect("a stream");
                let _ = stream.write_all(&Preamble::Route { binding }.to_bytes()).await;
                self.routes.insert(binding, (stream, behind.unwrap_or_default().next()));
            }
            CellEvent::DeliveryWanted { binding } => {
                let Some((_, next)) = self.routes.get_mut(&binding) else { return };
                let frame = self.shared.content.lock().log.get(next.0 as usize - 1).cloned();
                if let Some(frame) = frame {
                    let offset = std::mem::replace(next, next.next());
                    self.machine.handle_delivery(now, binding, offset, frame);
                }
            }
            CellEvent::SchemaWanted { hash } => {
                self.machine.handle_schema(now, hash, Some(memory::schema().canonical().clone()));
            }
            CellEvent::Delivered { offset, .. } => self.shared.content.lock().delivered = Some(offset),
            CellEvent::Rejected(rejected) => {
                let rows = rejected.rows.iter().map(|(row, _)| (rejected.offset, *row));
                self.shared.content.lock().rejected.extend(rows);
                self.machine.handle_rejections_stored(now, rejected.binding, rejected.offset);
            }
            CellEvent::Observed { generation, .. } => self.shared.content.lock().observed.push(generation),
            CellEvent::Closed(closed) => self.shared.content.lock().farewells.push(closed.code),
            CellEvent::LaneClosed { .. }
            | CellEvent::RouteRefused { .. }
            | CellEvent::Answered { .. }
            | CellEvent::RenewalWanted { .. } => {}
        }
    }

    fn append(&mut self, opening: u32, frame: SealedFrame) {
        let now = Instant::now();
        let mut content = self.shared.content.lock();
        let last = content.last();
        let (link, seq) = (frame.link(), last.map_or(0, |last| last.seq));
        if link.seq > seq + 1 {
            return self.machine.refuse_lane(now, opening, LaneFault::Gap, "a frame is missing", "");
        }
        if link.seq == seq + 1 {
            content.log.push(frame);
        }
        if let Some(last) = content.last() {
            self.machine.handle_durable(now, opening, last);
        }
    }
}

impl Content {
    fn last(&self) -> Option<Link> {
        self.log.last().map(SealedFrame::link)
    }
}

async fn read_control(connection: Connection, mut stream: RecvStream, inputs: mpsc::Sender<Input>) {
    let mut decoder = Decoder::default();
    while let Ok(Some(chunk)) = stream.read_chunk(64 << 10, true).await {
        decoder.feed(&chunk.bytes);
        while let Some(message) = decoder.next_message().expect("a message") {
            let _ = inputs.send(Input::Message(message)).await;
        }
    }
    let _ = inputs.send(Input::Lost(connection.closed().await)).await;
}

async fn accept_lanes(connection: Connection, inputs: mpsc::Sender<Input>) {
    while let Ok(mut stream) = connection.accept_uni().await {
        let inputs = inputs.clone();
        tokio::spawn(async move {
            let mut preamble = [0; Preamble::BYTES];
            if stream.read_exact(&mut preamble).await.is_err() {
                return;
            }
            let Ok(Preamble::Lane { opening }) = Preamble::parse(&preamble) else { panic!("not a lane") };
            let mut decoder = FrameDecoder::default();
            while let Ok(Some(chunk)) = stream.read_chunk(256 << 10, true).await {
                let mut bytes = chunk.bytes;
                while !bytes.is_empty() {
                    if let Some(frame) = decoder.next_frame(&mut bytes).expect("a frame") {
                        let _ = inputs.send(Input::Frame(opening, frame)).await;
                    }
                }
            }
        });
    }
}

/// TLS of both sides under one authority made for the test.
fn tls() -> (ServerConfig, ClientConfig) {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().expect("a key");
    let issuer = CertifiedIssuer::self_signed(params, key).expect("a self-signed certificate");
    let issue = |name: &str| {
        let key = KeyPair::generate().expect("a key");
        let params = CertificateParams::new(vec![name.to_owned()]).expect("a valid name");
        let certificate = params.signed_by(&key, &issuer).expect("a certificate");
        let key = PrivateKeyDer::try_from(key.serialize_der()).expect("PKCS#8");
        (vec![CertificateDer::from(certificate)], key)
    };
    let mut roots = RootCertStore::empty();
    roots.add(issuer.der().clone()).expect("a root");
    let (roots, provider) = (Arc::new(roots), Arc::new(aws_lc_rs::default_provider()));
    let verifier = WebPkiClientVerifier::builder_with_provider(roots.clone(), provider.clone());
    let (chain, key) = issue(SERVER_NAME);
    let mut server = ServerConfig::builder_with_provider(provider.clone())
        .with_protocol_versions(&[&rustls::version::TLS13])
        .expect("TLS 1.3")
        .with_client_cert_verifier(verifier.build().expect("a verifier"))
        .with_single_cert(chain, key)
        .expect("a certificate with its key");
    let (chain, key) = issue("agent.test.internal");
    let mut agent = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .expect("TLS 1.3")
        .with_root_certificates(roots)
        .with_client_auth_cert(chain, key)
        .expect("a certificate with its key");
    server.alpn_protocols = vec![b"towpath/1".to_vec()];
    agent.alpn_protocols = vec![b"towpath/1".to_vec()];
    (server, agent)
}
