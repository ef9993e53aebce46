//! What the agent observes of itself: for the control plane, for metrics and for health.

use std::collections::BTreeMap;

use jiff::Timestamp;
use metrics::{counter, gauge};
use parking_lot::Mutex;
use towpath_adapter_api::{AdapterError, Guarantee, Reaction};
use towpath_record::{ResourceName, RouteId, SinkId, SourceId};
use towpath_resource::desired::{DesiredSink, DesiredSource};
use towpath_resource::observed::{
    Backlog, Condition, Observed, ObservedAdapter, ObservedRoute, ObservedSink, ObservedSource,
    ObservedSpool, RefusedGeneration, SinkGuarantee, Trouble,
};

/// The board on which every part of the agent writes how it goes.
pub struct Board(Mutex<State>);

struct State {
    linked: bool,
    observed: Observed,
    names: BTreeMap<SourceId, ResourceName>,
    /// The sources that wait for one that goes first.
    paused: BTreeMap<SourceId, Trouble>,
    sink_names: BTreeMap<SinkId, ResourceName>,
}

impl Board {
    /// A board of an agent with these adapters.
    pub fn new(adapters: Vec<ObservedAdapter>) -> Self {
        let observed = Observed {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            host: rustix::system::uname().nodename().to_str().ok().map(str::to_owned),
            started_at: Some(Timestamp::now()),
            adapters,
            ..Observed::default()
        };
        let state = State {
            linked: false,
            observed,
            names: BTreeMap::new(),
            paused: BTreeMap::new(),
            sink_names: BTreeMap::new(),
        };
        Self(Mutex::new(state))
    }

    /// Everything that is known now.
    pub fn observed(&self) -> Observed {
        self.0.lock().observed.clone()
    }

    pub(crate) fn linked(&self, linked: bool) {
        self.0.lock().linked = linked;
    }

    pub(crate) fn running(&self, generation: u64, sources: &[DesiredSource], sinks: &[DesiredSink]) {
        let mut state = self.0.lock();
        state.observed.generation = generation;
        state.observed.refused = None;
        state.names = sources.iter().map(|s| (s.id, s.name.clone())).collect();
        state.sink_names = sinks.iter().map(|s| (s.id, s.name.clone())).collect();
        let (names, sink_names) = (state.names.clone(), state.sink_names.clone());
        state.observed.sources.retain(|s| names.contains_key(&s.id));
        state.observed.sinks.retain(|s| sink_names.contains_key(&s.id));
        for id in names.keys() {
            find_or_add(&mut state.observed.sources, |s| s.id == *id, || blank_source(*id));
        }
        for id in sink_names.keys() {
            find_or_add(&mut state.observed.sinks, |s| s.id == *id, || blank_sink(*id));
        }
    }

    pub(crate) fn refused(&self, generation: u64, trouble: Trouble) {
        self.0.lock().observed.refused = Some(RefusedGeneration { generation, trouble });
    }

    pub(crate) fn source(&self, id: SourceId, change: impl FnOnce(&mut ObservedSource)) {
        let mut state = self.0.lock();
        change(find_or_add(&mut state.observed.sources, |s| s.id == id, || blank_source(id)));
    }

    pub(crate) fn source_condition(&self, id: SourceId, condition: Condition, trouble: Option<Trouble>) {
        let mut state = self.0.lock();
        // Whatever else it could do, it waits.
        let paused = state.paused.get(&id).filter(|_| condition == Condition::Running).cloned();
        let source = find_or_add(&mut state.observed.sources, |s| s.id == id, || blank_source(id));
        (source.condition, source.trouble) = match paused {
            Some(paused) => (Condition::Waiting, Some(paused)),
            None => (condition, trouble),
        };
    }

    /// Says that a source waits for one that goes first, or does so no longer.
    pub(crate) fn paused(&self, id: SourceId, by: Option<Trouble>) {
        let mut state = self.0.lock();
        let was = match by {
            // It has waited since then.
            Some(by) if state.paused.get(&id).is_some_and(|was| was.message == by.message) => return,
            Some(by) => state.paused.insert(id, by),
            None => state.paused.remove(&id),
        };
        let source = find_or_add(&mut state.observed.sources, |s| s.id == id, || blank_source(id));
        // Another trouble is told until it is over.
        let shows_it = was.is_some() && source.trouble == was;
        if source.condition == Condition::Running || shows_it {
            drop(state);
            self.source_condition(id, Condition::Running, None);
        }
    }

    pub(crate) fn captured(&self, id: SourceId, records: u64, dead_letters: u64, bytes: u64) {
        self.source(id, |source| {
            source.records += records;
            source.dead_letters += dead_letters;
            source.bytes += bytes;
            source.last_record_at = Some(Timestamp::now());
        });
    }

    pub(crate) fn backlog(&self, id: SourceId, frames: u64, bytes: u64, oldest_at: Option<Timestamp>) {
        let mut state = self.0.lock();
        // A lane of a source that is gone has no place on the board.
        if let Some(source) = state.observed.sources.iter_mut().find(|source| source.id == id) {
            source.backlog = Backlog { frames, bytes, oldest_at, records: source.backlog.records };
        }
    }

    pub(crate) fn spool(&self, spool: ObservedSpool) {
        self.0.lock().observed.spool = spool;
    }

    pub(crate) fn route(&self, sink: SinkId, route: RouteId, change: impl FnOnce(&mut ObservedRoute)) {
        let mut state = self.0.lock();
        let sink = find_or_add(&mut state.observed.sinks, |s| s.id == sink, || blank_sink(sink));
        change(find_or_add(&mut sink.routes, |r| r.id == route, || blank_route(route)));
        let conditions = || sink.routes.iter().map(|route| route.condition);
        sink.condition = [Condition::Failed, Condition::Waiting, Condition::Running]
            .into_iter()
            .find(|worst| conditions().any(|c| c == *worst))
            .unwrap_or_default();
        sink.trouble = sink.routes.iter().find_map(|route| route.trouble.clone());
    }

    pub(crate) fn guarantee(&self, id: SinkId, guarantee: Guarantee) {
        let mut state = self.0.lock();
        let sink = find_or_add(&mut state.observed.sinks, |s| s.id == id, || blank_sink(id));
        sink.guarantee = match guarantee {
            Guarantee::ExactlyOnce => SinkGuarantee::ExactlyOnce,
            Guarantee::AtLeastOnce => SinkGuarantee::AtLeastOnce,
        };
    }

    /// What an admin should look at, a line each.
    pub fn faults(&self) -> Vec<String> {
        let state = self.0.lock();
        let sources = state.observed.sources.iter().filter(|s| s.condition == Condition::Failed).map(|s| {
            let name = state.names.get(&s.id).map_or_else(|| s.id.to_string(), ToString::to_string);
            format!("source {name}: {}", s.trouble.as_ref().map_or("failed", |t| &t.message))
        });
        let sinks = state.observed.sinks.iter().filter(|s| s.condition == Condition::Failed).map(|s| {
            let name = state.sink_names.get(&s.id).map_or_else(|| s.id.to_string(), ToString::to_string);
            format!("sink {name}: {}", s.trouble.as_ref().map_or("failed", |t| &t.message))
        });
        sources.chain(sinks).collect()
    }

    /// Sets the process's metrics to what is on the board.
    pub fn export(&self) {
        let state = self.0.lock();
        gauge!("towpath_agent_linked").set(f64::from(u8::from(state.linked)));
        gauge!("towpath_agent_generation").set(state.observed.generation as f64);
        let spool = &state.observed.spool;
        gauge!("towpath_spool_bytes").set(spool.bytes as f64);
        gauge!("towpath_spool_max_bytes").set(spool.max_bytes as f64);
        gauge!("towpath_spool_disk_free_bytes").set(spool.free_disk_bytes as f64);
        counter!("towpath_spool_quarantined_total").absolute(spool.quarantined);
        for source in &state.observed.sources {
            let name = state.names.get(&source.id).map_or_else(|| source.id.to_string(), ToString::to_string);
            let label = [("source", name)];
            counter!("towpath_source_records_total", &label).absolute(source.records);
            counter!("towpath_source_dead_letters_total", &label).absolute(source.dead_letters);
            counter!("towpath_source_bytes_total", &label).absolute(source.bytes);
            gauge!("towpath_source_lag_frames", &label).set(source.backlog.frames as f64);
            gauge!("towpath_source_lag_records", &label).set(source.backlog.records as f64);
            gauge!("towpath_source_lag_bytes", &label).set(source.backlog.bytes as f64);
            gauge!("towpath_source_lag_seconds", &label).set(seconds_since(source.backlog.oldest_at));
            let is_paused = state.paused.contains_key(&source.id);
            gauge!("towpath_source_paused", &label).set(f64::from(u8::from(is_paused)));
            gauge!("towpath_source_up", &label).set(up(source.condition));
        }
        for sink in &state.observed.sinks {
            let name =
                state.sink_names.get(&sink.id).map_or_else(|| sink.id.to_string(), ToString::to_string);
            for route in &sink.routes {
                let label = [("sink", name.clone()), ("route", route.id.to_string())];
                counter!("towpath_sink_records_total", &label).absolute(route.records);
                counter!("towpath_sink_bytes_total", &label).absolute(route.bytes);
                counter!("towpath_sink_rejected_total", &label).absolute(route.rejected);
                gauge!("towpath_sink_up", &label).set(up(route.condition));
            }
        }
    }
}

/// What the control plane and the admin are told of a failure.
pub(crate) fn trouble_of(error: &AdapterError) -> (Condition, Trouble) {
    let (reaction, remedy) = error.kind.reaction();
    let condition = match reaction {
        Reaction::AwaitChange => Condition::Failed,
        Reaction::Retry { .. } | Reaction::End => Condition::Waiting,
    };
    (
        condition,
        Trouble { message: error.to_string(), remedy: remedy.to_owned(), since: Some(Timestamp::now()) },
    )
}

/// A trouble that passes by itself.
pub(crate) fn waiting(message: impl Into<String>, remedy: &str) -> Trouble {
    Trouble { message: message.into(), remedy: remedy.to_owned(), since: Some(Timestamp::now()) }
}

fn seconds_since(time: Option<Timestamp>) -> f64 {
    time.map_or(0.0, |time| Timestamp::now().duration_since(time).as_secs_f64().max(0.0))
}

fn up(condition: Condition) -> f64 {
    f64::from(u8::from(condition == Condition::Running))
}

fn find_or_add<T>(items: &mut Vec<T>, wanted: impl Fn(&T) -> bool, blank: impl FnOnce() -> T) -> &mut T {
    let at = items.iter().position(wanted).unwrap_or_else(|| {
        items.push(blank());
        items.len() - 1
    });
    &mut items[at]
}

fn blank_source(id: SourceId) -> ObservedSource {
    ObservedSource {
        id,
        condition: Condition::Unknown,
        trouble: None,
        records: 0,
        bytes: 0,
        dead_letters: 0,
        last_record_at: None,
        backlog: Backlog::default(),
    }
}

fn blank_sink(id: SinkId) -> ObservedSink {
    ObservedSink {
        id,
        condition: Condition::Unknown,
        trouble: None,
        guarantee: SinkGuarantee::Unknown,
        routes: Vec::new(),
    }
}

fn blank_route(id: RouteId) -> ObservedRoute {
    ObservedRoute {
        id,
        condition: Condition::Unknown,
        trouble: None,
        records: 0,
        bytes: 0,
        rejected: 0,
        last_commit_at: None,
    }
}
