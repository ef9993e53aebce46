//! The stages of the way of the data as tables, for whatever shows them: once, or live.

use towpath_resource::api::fleet::{FleetStatus, Flow, Lag};
use towpath_resource::observed::{SinkGuarantee, Trouble};

use crate::human;
use crate::output::condition;

/// A table of stages.
pub(super) struct Stages {
    /// What they are.
    pub(super) title: &'static str,
    /// The columns, of which the first is the name.
    pub(super) columns: &'static [&'static str],
    /// The rows.
    pub(super) rows: Vec<Vec<Cell>>,
    /// What to say when there are none.
    pub(super) nothing: &'static str,
}

/// A cell of such a table.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Cell {
    /// What is shown.
    pub(super) text: String,
    /// By what it is sorted, if it is a figure.
    pub(super) figure: Option<f64>,
}

/// Every stage, in the order of the way.
pub(super) fn of(status: &FleetStatus) -> [Stages; 5] {
    [agents(status), sources(status), logs(status), routes(status), sinks(status)]
}

fn agents(status: &FleetStatus) -> Stages {
    let row = |agent: &towpath_resource::api::AgentStatus| {
        let (runs, shall) = (agent.applied_generation, agent.desired_generation);
        let generation = if runs == shall { runs.to_string() } else { format!("{runs} of {shall}") };
        vec![
            text(&agent.name),
            text(&agent.site),
            text(condition(agent.condition)),
            figure(human::bytes(agent.spool.bytes as f64), agent.spool.bytes as f64),
            figure(generation, runs as f64),
            text(agent.version.as_deref().unwrap_or_default()),
        ]
    };
    Stages {
        title: "agents",
        columns: &["agent", "site", "condition", "spool", "generation", "version"],
        rows: status.agents.iter().map(row).collect(),
        nothing: "no agent has enrolled; make a token: towpath token create --site SITE",
    }
}

fn sources(status: &FleetStatus) -> Stages {
    let row = |source: &towpath_resource::api::SourceStatus| {
        let [records, rate] = flow(&source.logged);
        let [waiting, age] = lag(&source.lag);
        vec![
            text(&source.name),
            text(&source.agent),
            text(condition(source.condition)),
            records,
            rate,
            waiting,
            age,
            count(source.dead_letters),
        ]
    };
    Stages {
        title: "sources",
        columns: &["source", "agent", "condition", "records", "rate", "waiting", "age", "bad rows"],
        rows: status.sources.iter().map(row).collect(),
        nothing: "no sources",
    }
}

fn logs(status: &FleetStatus) -> Stages {
    let row = |log: &towpath_resource::api::LogStatus| {
        let [records, rate] = flow(&log.logged);
        vec![
            text(&log.region),
            records,
            rate,
            count(log.next_offset.0.saturating_sub(log.first_offset.0)),
            figure(human::bytes(log.disk_bytes as f64), log.disk_bytes as f64),
        ]
    };
    Stages {
        title: "logs",
        columns: &["log", "records", "rate", "frames", "on disk"],
        rows: status.logs.iter().map(row).collect(),
        nothing: "no logs",
    }
}

fn routes(status: &FleetStatus) -> Stages {
    let row = |route: &towpath_resource::api::RouteStatus| {
        let [records, rate] = flow(&route.delivered);
        let [behind, age] = lag(&route.lag);
        let state = match &route.held {
            _ if route.paused => "paused".to_owned(),
            Some(hold) => format!("stopped before version {} of {}", hold.version, hold.stream),
            None => condition(route.condition).to_owned(),
        };
        vec![
            text(&route.name),
            text(&route.sink),
            text(&state),
            records,
            rate,
            behind,
            age,
            text(route.breaker.as_str()),
            count(route.dead_letters),
        ]
    };
    Stages {
        title: "routes",
        columns: &[
            "route",
            "sink",
            "condition",
            "delivered",
            "rate",
            "behind",
            "age",
            "breaker",
            "dead letters",
        ],
        rows: status.routes.iter().map(row).collect(),
        nothing: "no routes",
    }
}

fn sinks(status: &FleetStatus) -> Stages {
    let row = |sink: &towpath_resource::api::SinkStatus| {
        vec![
            text(&sink.name),
            text(&sink.agent),
            text(condition(sink.condition)),
            text(guarantee(sink.guarantee)),
        ]
    };
    Stages {
        title: "sinks",
        columns: &["sink", "agent", "condition", "guarantee"],
        rows: status.sinks.iter().map(row).collect(),
        nothing: "no sinks",
    }
}

/// What is wrong, each thing once: what an agent's absence does to its sources need not be said again.
pub(super) fn troubles(status: &FleetStatus) -> Vec<&Trouble> {
    let all = (status.agents.iter().map(|a| &a.trouble))
        .chain(status.sources.iter().map(|s| &s.trouble))
        .chain(status.logs.iter().map(|l| &l.trouble))
        .chain(status.routes.iter().map(|r| &r.trouble))
        .chain(status.sinks.iter().map(|s| &s.trouble));
    let mut told: Vec<&Trouble> = Vec::new();
    for trouble in all.flatten() {
        if told.iter().all(|before| before.message != trouble.message) {
            told.push(trouble);
        }
    }
    told
}

/// The words for a guarantee.
pub(super) const fn guarantee(guarantee: SinkGuarantee) -> &'static str {
    match guarantee {
        SinkGuarantee::ExactlyOnce => "exactly once",
        SinkGuarantee::AtLeastOnce => "at least once",
        SinkGuarantee::Unknown => "not known yet",
    }
}

fn text(text: &(impl ToString + ?Sized)) -> Cell {
    Cell { text: text.to_string(), figure: None }
}

fn figure(text: String, figure: f64) -> Cell {
    Cell { text, figure: Some(figure) }
}

fn count(number: u64) -> Cell {
    figure(human::count(number), number as f64)
}

fn flow(flow: &Flow) -> [Cell; 2] {
    [count(flow.records), figure(human::rate(flow.records_per_second), flow.records_per_second)]
}

/// How much waits and how old it is.
fn lag(lag: &Lag) -> [Cell; 2] {
    if lag.records == 0 && lag.bytes == 0 {
        return [figure("0".to_owned(), 0.0), figure(String::new(), 0.0)];
    }
    let waiting = format!("{} ({})", human::count(lag.records), human::bytes(lag.bytes as f64));
    [figure(waiting, lag.records as f64), figure(human::duration(lag.seconds), lag.seconds)]
}
