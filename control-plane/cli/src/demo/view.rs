//! What there is to show of a moment, before it is decided how.

use std::path::Path;
use std::time::Duration;

use towpath_resource::api::{DeadLetter, FleetStatus, Flow, Lag};
use towpath_resource::observed::{Condition, ObservedSpool, SinkGuarantee, Trouble};

use super::account::Account;
use super::crm::{self, Written};
use super::figures::{bytes, count, lag, pace};
use super::observe::{Files, Observation};
use super::resources::SOURCE;
use super::stream::Stream;

/// What there is to show.
#[derive(Clone, Debug)]
pub(super) struct View {
    pub(super) since_start: Duration,
    pub(super) stages: Vec<Stage>,
    pub(super) streams: Vec<StreamLine>,
    pub(super) letters: Vec<String>,
    pub(super) troubles: Vec<String>,
    pub(super) crm_changes: u64,
    pub(super) dropped_rows: u64,
    pub(super) dropped_files: u64,
    pub(super) repeated_files: u64,
    pub(super) files: Files,
}

/// A stage of the way of the data.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Stage {
    pub(super) stage: &'static str,
    pub(super) name: String,
    pub(super) rows: String,
    pub(super) pace: String,
    pub(super) waiting: String,
    pub(super) lag: String,
    pub(super) state: String,
    pub(super) is_well: bool,
}

/// What was written of a stream, and what became of it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct StreamLine {
    pub(super) name: &'static str,
    pub(super) written: u64,
    pub(super) repeated: u64,
    pub(super) expected: u64,
    pub(super) logged: u64,
    pub(super) bad: u64,
    pub(super) dead_letters: u64,
}

impl View {
    /// What there is to show of this moment.
    pub(super) fn new(
        account: &Account,
        contacts: Written,
        seen: &Observation,
        since_start: Duration,
    ) -> Self {
        let line = |stream: Stream| {
            let expected = account.of(stream);
            StreamLine {
                name: stream.name(),
                written: expected.dropped,
                repeated: expected.duplicate,
                expected: expected.good(),
                logged: seen.logged(stream.name()),
                bad: expected.bad,
                dead_letters: seen.dead_letters(stream.name()),
            }
        };
        let crm_changes = contacts.records();
        let contacts = StreamLine {
            name: crm::STREAM,
            written: crm_changes,
            repeated: 0,
            expected: crm_changes,
            logged: seen.logged(crm::STREAM),
            bad: 0,
            dead_letters: seen.dead_letters(crm::STREAM),
        };
        Self {
            since_start,
            stages: stages(&seen.fleet, seen.files),
            streams: Stream::ALL.map(line).into_iter().chain([contacts]).collect(),
            letters: seen.letters.iter().map(letter).collect(),
            troubles: troubles(&seen.fleet),
            crm_changes,
            dropped_rows: Stream::ALL.iter().map(|stream| account.of(*stream).dropped).sum(),
            dropped_files: account.files,
            repeated_files: account.duplicate_files,
            files: seen.files,
        }
    }
}

fn stages(fleet: &FleetStatus, files: Files) -> Vec<Stage> {
    let mut stages = Vec::new();
    for source in &fleet.sources {
        // Files lie where they can be counted; what a database has ready does not.
        let waiting = if source.name.as_str() == SOURCE { files.waiting } else { 0 };
        let stage = Stage::new("source", format!("{} @ {}", source.name, source.agent), source.condition);
        stages.push(Stage { waiting: some(waiting, "files"), ..stage });
    }
    for agent in &fleet.agents {
        let sources: Vec<_> = fleet.sources.iter().filter(|source| source.agent == agent.name).collect();
        if sources.is_empty() {
            continue;
        }
        let ObservedSpool { bytes: used, max_bytes, full, .. } = &agent.spool;
        stages.push(Stage {
            waiting: some(sources.iter().map(|source| source.backlog.records).sum(), "rows"),
            lag: lag(sources.iter().map(|source| source.lag.seconds).fold(0.0, f64::max)),
            state: format!("{} of {}", bytes(*used), bytes(*max_bytes)),
            is_well: full.is_none(),
            ..Stage::new("spool", agent.name.to_string(), Condition::Running)
        });
    }
    for log in &fleet.logs {
        let condition = if log.trouble.is_some() { Condition::Waiting } else { Condition::Running };
        let stage = Stage::new("log", log.region.to_string(), condition).flow(&log.logged);
        stages.push(Stage { state: bytes(log.disk_bytes), ..stage });
    }
    for route in &fleet.routes {
        let stage = Stage::new("route", route.name.to_string(), route.condition);
        let stage = stage.flow(&route.delivered).behind(&route.lag);
        let state = format!("{}, breaker {}", stage.state, route.breaker.as_str());
        stages.push(Stage { state, ..stage });
    }
    for sink in &fleet.sinks {
        let stage = Stage::new("sink", format!("{} @ {}", sink.name, sink.agent), sink.condition);
        let guarantee = match sink.guarantee {
            SinkGuarantee::ExactlyOnce => ", exactly once",
            SinkGuarantee::AtLeastOnce => ", at least once",
            SinkGuarantee::Unknown => "",
        };
        stages.push(Stage { state: stage.state.clone() + guarantee, ..stage });
    }
    stages
}

impl Stage {
    fn new(stage: &'static str, name: String, condition: Condition) -> Self {
        let state = match condition {
            Condition::Running => "running",
            Condition::Waiting => "waiting",
            Condition::Failed => "failed",
            Condition::Unknown => "not known yet",
        };
        Self {
            stage,
            name,
            rows: String::new(),
            pace: String::new(),
            waiting: String::new(),
            lag: String::new(),
            state: state.to_owned(),
            is_well: condition == Condition::Running,
        }
    }

    fn flow(self, flow: &Flow) -> Self {
        Self { rows: count(flow.records), pace: pace(flow.records_per_second), ..self }
    }

    fn behind(self, behind: &Lag) -> Self {
        let seconds = if behind.records > 0 { behind.seconds } else { 0.0 };
        Self { waiting: some(behind.records, "rows"), lag: lag(seconds), ..self }
    }
}

/// So many of something; nothing if there are none.
fn some(number: u64, what: &str) -> String {
    if number == 0 { String::new() } else { format!("{} {what}", count(number)) }
}

fn letter(letter: &DeadLetter) -> String {
    let file = Path::new(&letter.resource)
        .file_name()
        .map_or(letter.resource.as_str().into(), |name| name.to_string_lossy());
    let line = letter.line.map(|line| format!(":{line}")).unwrap_or_default();
    let column = letter.column.as_ref().map(|column| format!(" {column}")).unwrap_or_default();
    format!("{file}{line}{column}: {}", letter.reason)
}

fn troubles(fleet: &FleetStatus) -> Vec<String> {
    let agents = fleet.agents.iter().map(|agent| &agent.trouble);
    let sources = fleet.sources.iter().map(|source| &source.trouble);
    let logs = fleet.logs.iter().map(|log| &log.trouble);
    let routes = fleet.routes.iter().map(|route| &route.trouble);
    let sinks = fleet.sinks.iter().map(|sink| &sink.trouble);
    let all = agents.chain(sources).chain(logs).chain(routes).chain(sinks);
    let mut troubles = Vec::new();
    for Trouble { message, remedy, .. } in all.flatten() {
        let trouble = if remedy.is_empty() { message.clone() } else { format!("{message}; {remedy}") };
        // What is wrong with an agent is said of all that runs on it.
        if !troubles.contains(&trouble) {
            troubles.push(trouble);
        }
    }
    troubles
}
