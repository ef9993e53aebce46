//! Reconcile: makes what runs equal to what is desired.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use towpath_adapter_api::{AdapterError, Registry};
use towpath_record::{LaneId, SinkId, SourceId};
use towpath_resource::desired::{Desired, DesiredSink, DesiredSource};
use towpath_resource::observed::Trouble;

use super::secrets;
use super::status::Board;
use crate::data::capture::ResendOrder;
use crate::data::lane::{self, LaneTools};
use crate::data::minimise;
use crate::data::route;
use crate::link::RouteHandle;

/// What runs in this agent.
pub(crate) struct Reconciler {
    tools: LaneTools,
    generation: u64,
    sources: BTreeMap<SourceId, RunningSource>,
    sinks: BTreeMap<SinkId, DesiredSink>,
    /// Cancelled when the sinks change under their routes.
    routes_stop: BTreeMap<SinkId, CancellationToken>,
    routes: TaskTracker,
    /// Routes to sinks that come with a desired state that is under way.
    early: Vec<RouteHandle>,
}

struct RunningSource {
    desired: DesiredSource,
    /// Takes orders to send rows once more.
    resend: mpsc::Sender<ResendOrder>,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Reconciler {
    pub(crate) fn new(tools: LaneTools) -> Self {
        Self {
            tools,
            generation: 0,
            sources: BTreeMap::new(),
            sinks: BTreeMap::new(),
            routes_stop: BTreeMap::new(),
            routes: TaskTracker::new(),
            early: Vec::new(),
        }
    }

    /// The generation that runs.
    pub(crate) fn generation(&self) -> u64 {
        self.generation
    }

    /// Takes a desired state over, if its checks pass; else everything stays as it is.
    pub(crate) async fn become_desired(&mut self, desired: Desired) {
        if desired.generation == self.generation {
            return;
        }
        let board = self.tools.board.clone();
        if let Err(trouble) = check(&self.tools.registry, &desired) {
            tracing::error!(generation = desired.generation, running = self.generation, reason = %trouble.message,
                "the desired state is refused; what ran before goes on");
            return board.refused(desired.generation, trouble);
        }
        if let Err(error) = self.tools.ledger.keep_desired(&desired) {
            tracing::error!(%error, "the desired state cannot be kept on disk; what ran before goes on");
            let remedy = "free space, or check the agent's state directory".to_owned();
            let trouble = Trouble { message: error.to_string(), remedy, since: Some(Timestamp::now()) };
            return board.refused(desired.generation, trouble);
        }
        self.run(desired).await;
    }

    /// Makes what runs equal to a desired state that was kept before.
    pub(crate) async fn run(&mut self, desired: Desired) {
        tracing::info!(
            generation = desired.generation,
            sources = desired.sources.len(),
            sinks = desired.sinks.len(),
            "takes over a desired state"
        );
        self.generation = desired.generation;
        self.tools.board.running(desired.generation, &desired.sources, &desired.sinks);
        self.change_sinks(desired.sinks);
        for handle in std::mem::take(&mut self.early) {
            self.bind_or_else(handle, |_, handle, id| {
                let remedy = "check that the sink still belongs to this agent".to_owned();
                handle.reporter().refuse(format!("sink {id} is not known to the agent"), remedy);
            });
        }
        let wanted: BTreeMap<_, _> = desired.sources.into_iter().map(|source| (source.id, source)).collect();
        let over: Vec<_> = self
            .sources
            .iter()
            .filter(|(id, running)| wanted.get(id) != Some(&running.desired))
            .map(|(id, _)| *id)
            .collect();
        for id in over {
            self.stop_source(id, !wanted.contains_key(&id)).await;
        }
        for (id, source) in wanted {
            if !self.sources.contains_key(&id) {
                self.start_source(source);
            }
        }
    }

    /// Takes a route to its sink. One that is not known yet comes with the next desired state.
    pub(crate) fn bind(&mut self, handle: RouteHandle) {
        self.bind_or_else(handle, |this, handle, _| this.early.push(handle));
    }

    fn bind_or_else(&mut self, handle: RouteHandle, unknown: impl FnOnce(&mut Self, RouteHandle, SinkId)) {
        let id = handle.binding().sink;
        let Some(sink) = self.sinks.get(&id) else { return unknown(self, handle, id) };
        let stop = self.routes_stop.entry(id).or_default().clone();
        let (registry, board) = (self.tools.registry.clone(), self.tools.board.clone());
        self.routes.spawn(route::run(registry, board, sink.clone(), handle, stop));
    }

    /// A source that runs here, and who takes orders to send its rows once more.
    pub(crate) fn source(&self, id: SourceId) -> Option<(&DesiredSource, &mpsc::Sender<ResendOrder>)> {
        self.sources.get(&id).map(|running| (&running.desired, &running.resend))
    }

    /// A sink of this agent.
    pub(crate) fn sink(&self, id: SinkId) -> Option<&DesiredSink> {
        self.sinks.get(&id)
    }

    /// The link is gone, and with it every route that was to begin on it.
    pub(crate) fn disconnected(&mut self) {
        self.early.clear();
    }

    /// Stops everything and waits for it.
    pub(crate) async fn stop(&mut self) {
        self.routes_stop.values().for_each(CancellationToken::cancel);
        self.routes.close();
        let ids: Vec<_> = self.sources.keys().copied().collect();
        for id in ids {
            self.stop_source(id, false).await;
        }
        self.routes.wait().await;
    }

    fn change_sinks(&mut self, sinks: Vec<DesiredSink>) {
        let wanted: BTreeMap<_, _> = sinks.into_iter().map(|sink| (sink.id, sink)).collect();
        for (id, sink) in &self.sinks {
            if wanted.get(id) != Some(sink)
                && let Some(stop) = self.routes_stop.remove(id)
            {
                // The routes are bound anew by the control plane, which is told that they ended.
                stop.cancel();
            }
        }
        self.sinks = wanted;
    }

    fn start_source(&mut self, desired: DesiredSource) {
        let stop = CancellationToken::new();
        let (resend, orders) = mpsc::channel(1);
        let task = tokio::spawn(lane::run(self.tools.clone(), desired.clone(), orders, stop.clone()));
        self.sources.insert(desired.id, RunningSource { desired, resend, stop, task });
    }

    async fn stop_source(&mut self, id: SourceId, forget: bool) {
        let Some(running) = self.sources.remove(&id) else { return };
        running.stop.cancel();
        if running.task.await.is_err() {
            tracing::error!(source = %running.desired.name, "the source's task ended unexpectedly");
        }
        if forget {
            self.forget(&running.desired).await;
        }
    }

    /// A source that was deleted leaves nothing behind. What it had captured and the log has not was not released,
    /// so it is still at the source.
    async fn forget(&self, source: &DesiredSource) {
        let lane = LaneId { source: source.id, region: source.region.clone() };
        if let Err(error) = self.tools.spool.remove_lane(&lane).await {
            tracing::warn!(source = %source.name, %error, "the spool of a deleted source was not removed");
        }
        if let Err(error) = self.tools.ledger.forget(source.id) {
            tracing::warn!(source = %source.name, %error, "the ledger of a deleted source was not removed");
        }
    }
}

/// Whether every adapter of a desired state takes its configuration.
fn check(registry: &Registry, desired: &Desired) -> Result<(), Trouble> {
    let trouble = |kind: &str, name: &dyn std::fmt::Display, error: &AdapterError| Trouble {
        message: format!("{kind} {name}: {error}"),
        remedy: error.kind.reaction().1.to_owned(),
        since: Some(Timestamp::now()),
    };
    for source in &desired.sources {
        minimise::check(source).map_err(|error| trouble("source", &source.name, &error))?;
        // A secret that is missing is this source's own trouble, found when it starts.
        let config = secrets::resolve(&source.config).unwrap_or_else(|_| source.config.clone());
        let built = registry.source(source.adapter.as_str(), &config).map(drop);
        built.map_err(|error| trouble("source", &source.name, &error))?;
    }
    for sink in &desired.sinks {
        let config = secrets::resolve(&sink.config).unwrap_or_else(|_| sink.config.clone());
        let built = registry.sink(sink.adapter.as_str(), &config).map(drop);
        built.map_err(|error| trouble("sink", &sink.name, &error))?;
    }
    Ok(())
}

/// A board that knows what this agent could run.
pub(crate) fn board(registry: &Registry) -> Arc<Board> {
    let adapters = registry.iter().map(|adapter| towpath_resource::observed::ObservedAdapter {
        name: adapter.kind.to_owned(),
        source_config: adapter.source.map(|source| (source.config_schema)()),
        sink_config: adapter.sink.map(|sink| (sink.config_schema)()),
    });
    Arc::new(Board::new(adapters.collect()))
}
