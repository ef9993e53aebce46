//! The agent at work: puts its parts together and lets them talk.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use anyhow::Context;
use async_trait::async_trait;
use bytes::Bytes;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use towpath_adapter_api::{Precedence, Registry};
use towpath_record::SchemaHash;
use towpath_resource::desired::Desired;
use towpath_resource::observed::ObservedSpool;
use towpath_segment::private;
use towpath_session::BackoffConfig;
use towpath_spool::{Spool, SpoolConfig};

use crate::control::credentials::{Credentials, SERVER_NAME};
use crate::control::identity_store::IdentityStore;
use crate::control::ledger::Ledger;
use crate::control::questions;
use crate::control::reconcile::{self, Reconciler};
use crate::control::renew::Renewal;
use crate::data::lane::LaneTools;
use crate::data::schemas::SchemaStore;
use crate::link::{self, Dialer, LinkConfig, LinkEvent, LinkHandle, SchemaSource};
use crate::log_ring::LogRing;
use crate::telemetry;

/// How often the agent looks at itself.
const STATUS_EVERY: Duration = Duration::from_secs(1);

/// How an agent runs.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where the agent keeps its identity, spool and ledger.
    pub state_dir: PathBuf,
    /// How large the spool may grow.
    pub spool: SpoolConfig,
    /// Where health and metrics are served, if anywhere.
    pub metrics: Option<SocketAddr>,
    /// The newest lines of the log, for admins who ask for them.
    pub log: LogRing,
}

/// Runs an agent until `stop` is cancelled.
///
/// # Errors
/// The agent is not enrolled, or its state directory cannot be used.
pub async fn run(registry: Registry, options: Options, stop: CancellationToken) -> anyhow::Result<()> {
    let metrics = telemetry::init_metrics()?;
    let made = private::create_dir(&options.state_dir);
    made.with_context(|| format!("cannot create the state directory {}", options.state_dir.display()))?;
    let store = IdentityStore::new(&options.state_dir);
    let identity = store.load()?;
    let enrolment = identity.enrolment().clone();
    tracing::info!(agent = %enrolment.name, id = %enrolment.agent, server = %enrolment.server, "starts");
    let credentials = Credentials::new(identity)?;
    let ledger = Ledger::open(&options.state_dir)?;
    let schemas = SchemaStore::open(&options.state_dir)?;
    let (spool, recoveries) =
        Spool::open(&options.state_dir.join("spool"), options.spool).context("the spool cannot be opened")?;
    let quarantined = recoveries.iter().filter(|recovery| recovery.damage.is_some()).count() as u64;
    for recovery in recoveries {
        tracing::warn!(lane = %recovery.lane, recovery = ?recovery.recovery, damage = ?recovery.damage,
            "the spool was recovered");
    }
    let board = reconcile::board(&registry);
    let tls = credentials.clone();
    let dialer = Dialer::new(enrolment.server.clone(), SERVER_NAME, move || tls.tls());
    let config = LinkConfig {
        agent_version: env!("CARGO_PKG_VERSION").to_owned(),
        adapters: registry.iter().map(|adapter| adapter.kind.to_owned()).collect(),
        backoff: BackoffConfig::default(),
        seed: fastrand::u64(..),
    };
    let link_stop = CancellationToken::new();
    let (link, events, link_task) = link::start(dialer, config, Arc::new(schemas.clone()), link_stop.clone());
    if let Some(address) = options.metrics {
        let (board, stop) = (board.clone(), stop.clone());
        tokio::spawn(async move {
            if let Err(error) = telemetry::serve(address, metrics, board, stop).await {
                tracing::error!(%address, %error, "health and metrics cannot be served");
            }
        });
    }
    let spool = Arc::new(spool);
    let tools = LaneTools {
        link: link.clone(),
        registry,
        spool: spool.clone(),
        schemas,
        ledger,
        board,
        precedence: Precedence::default(),
    };
    let mut agent = Agent {
        reconciler: Reconciler::new(tools.clone()),
        renewal: Renewal::new(store, credentials),
        link,
        tools,
        spool_config: options.spool,
        quarantined,
        state_dir: options.state_dir,
        log: options.log,
        said: Bytes::new(),
    };
    if let Some(desired) = agent.tools.ledger.desired()? {
        agent.reconciler.run(desired).await;
    }
    // Readiness counts from here: what was running before runs again, link or no link.
    drop(sd_notify::notify(&[sd_notify::NotifyState::Ready]));
    agent.work(events, &stop).await;
    agent.reconciler.stop().await;
    link_stop.cancel();
    link_task.await.context("the link ended unexpectedly")
}

struct Agent {
    reconciler: Reconciler,
    renewal: Renewal,
    link: LinkHandle,
    tools: LaneTools,
    spool_config: SpoolConfig,
    quarantined: u64,
    state_dir: PathBuf,
    log: LogRing,
    /// What was last said to the control plane.
    said: Bytes,
}

impl Agent {
    async fn work(&mut self, mut events: mpsc::UnboundedReceiver<LinkEvent>, stop: &CancellationToken) {
        let mut tick = tokio::time::interval(STATUS_EVERY);
        loop {
            tokio::select! {
                event = events.recv() => match event {
                    Some(event) => self.handle(event).await,
                    None => return,
                },
                _ = tick.tick() => {
                    self.observe();
                    self.renew();
                }
                () = stop.cancelled() => return,
            }
        }
    }

    async fn handle(&mut self, event: LinkEvent) {
        match event {
            LinkEvent::Connected { desired_generation, .. } => {
                tracing::info!(desired_generation, "the link to the control plane is up");
                self.tools.board.linked(true);
            }
            LinkEvent::DialFailed { error, retry_in } => {
                let error = anyhow::Error::new(error);
                tracing::warn!(
                    error = format!("{error:#}"),
                    ?retry_in,
                    "the control plane cannot be reached"
                );
            }
            LinkEvent::Disconnected { closed, retry_in: Some(retry_in) } => {
                tracing::warn!(%closed, ?retry_in, "the link to the control plane was lost");
                self.lost();
            }
            LinkEvent::Disconnected { closed, retry_in: None } => {
                tracing::error!(%closed, "the control plane ended the link for good; sources go on into the spool");
                self.lost();
            }
            LinkEvent::Desired { generation, state } => match serde_json::from_slice::<Desired>(&state) {
                Ok(desired) => self.reconciler.become_desired(desired).await,
                Err(error) => {
                    tracing::error!(generation, %error, "the desired state cannot be read; is the agent too old?");
                }
            },
            LinkEvent::RouteBound(route) => self.reconciler.bind(route),
            LinkEvent::Asked(asked) => {
                questions::answer(&self.reconciler, &self.tools.registry, &self.log, asked);
            }
            LinkEvent::Renewed { chain } => {
                let chain = chain.into_iter().map(|der| der.to_vec().into()).collect();
                match self.renewal.handle_renewed(chain, SystemTime::now()) {
                    Ok(()) => tracing::info!("the certificate was renewed"),
                    Err(error) => tracing::error!(%error, "the renewed certificate is not used"),
                }
            }
            LinkEvent::RenewalRefused { reason } => {
                tracing::error!(%reason, "the certificate was not renewed; enrol anew before it expires");
            }
        }
    }

    fn lost(&mut self) {
        self.tools.board.linked(false);
        self.reconciler.disconnected();
        self.renewal.handle_disconnected();
    }

    fn renew(&mut self) {
        match self.renewal.poll_request(SystemTime::now()) {
            Ok(Some(csr)) => self.link.renew(csr.into()),
            Ok(None) => {}
            Err(error) => tracing::error!(%error, "no renewal can be asked for"),
        }
    }

    /// Looks at the spool, and says what is new to the control plane.
    fn observe(&mut self) {
        let (spool, board) = (&self.tools.spool, &self.tools.board);
        let mut full = None;
        for lane in spool.stats() {
            let oldest = lane.oldest_captured_at_us.and_then(|us| jiff::Timestamp::from_microsecond(us).ok());
            board.backlog(lane.lane.source, lane.frames, lane.bytes, oldest);
            full = full.or(lane.waiting);
        }
        board.spool(ObservedSpool {
            bytes: spool.held_bytes(),
            max_bytes: self.spool_config.max_bytes,
            free_disk_bytes: free_disk_bytes(&self.state_dir),
            full: full.map(|reason| reason.to_string()),
            quarantined: self.quarantined,
        });
        let generation = self.reconciler.generation();
        let status = serde_json::to_vec(&board.observed()).expect("what is observed is always JSON");
        if self.said != status {
            self.said = status.into();
            self.link.observe(generation, self.said.clone());
        }
    }
}

/// What the file system of the state directory has left for this process; 0 when it does not tell.
fn free_disk_bytes(state_dir: &Path) -> u64 {
    rustix::fs::statvfs(state_dir).map_or(0, |fs| fs.f_bavail.saturating_mul(fs.f_frsize))
}

#[async_trait]
impl SchemaSource for SchemaStore {
    async fn canonical(&self, hash: SchemaHash) -> Option<Bytes> {
        self.get(hash).map(|schema| schema.canonical().clone())
    }
}
