//! Health and metrics: what machines ask, without a token.

use std::fmt::Write;

use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use axum::{Router, routing};
use towpath_resource::api::{AgentStatus, FleetStatus, LogStatus, RouteStatus, SourceStatus};
use towpath_resource::observed::Condition;

use super::stamp::stamped;
use crate::service::{Refusal, Service};

const PROMETHEUS_TEXT: &str = "text/plain; version=0.0.4";

/// Health and metrics alone, for a listener that only the monitoring reaches.
pub fn metrics_router(service: Service) -> Router {
    stamped(routes(true)).with_state(service)
}

pub(super) fn routes(with_metrics: bool) -> Router<Service> {
    let health = Router::new()
        .route("/healthz", routing::get(|| async { "ok\n" }))
        .route("/readyz", routing::get(ready));
    if with_metrics { health.route("/metrics", routing::get(metrics)) } else { health }
}

async fn ready(State(service): State<Service>) -> Result<&'static str, Refusal> {
    service.ready().map(|()| "ready\n").map_err(Refusal::Unavailable)
}

async fn metrics(State(service): State<Service>) -> impl IntoResponse {
    let fleet = service.fleet();
    let text = service.process_metrics() + &rendered(&fleet);
    ([(CONTENT_TYPE, PROMETHEUS_TEXT)], text)
}

/// The fleet's metrics. Names of resources and regions need no escaping.
fn rendered(fleet: &FleetStatus) -> String {
    let mut page = Page::default();
    fleet.agents.iter().for_each(|agent| page.agent(agent));
    fleet.sources.iter().for_each(|source| page.source(source));
    fleet.logs.iter().for_each(|log| page.log(log));
    fleet.routes.iter().for_each(|route| page.route(route));
    page.text()
}

/// A page of metrics, in which all samples of a metric must stand together.
#[derive(Default)]
struct Page(Vec<Metric>);

struct Metric {
    name: String,
    help: String,
    kind: &'static str,
    samples: String,
}

impl Page {
    fn agent(&mut self, agent: &AgentStatus) {
        let labels = format!("agent=\"{}\"", agent.name);
        self.gauge(
            "towpath_agent_connected",
            "Whether the agent is connected.",
            &labels,
            f64::from(u8::from(agent.connected)),
        );
        self.gauge(
            "towpath_agent_spool_bytes",
            "Bytes of the agent's spool.",
            &labels,
            agent.spool.bytes as f64,
        );
        self.gauge(
            "towpath_agent_spool_max_bytes",
            "Bytes the spool may take.",
            &labels,
            agent.spool.max_bytes as f64,
        );
    }

    fn source(&mut self, source: &SourceStatus) {
        let labels = format!("source=\"{}\",agent=\"{}\"", source.name, source.agent);
        self.up("towpath_source_up", "Whether the source runs.", &labels, source.condition);
        self.flow("towpath_source", "durable in the region's log", &labels, &source.logged);
        self.lag("towpath_source", "the region's log is behind the source", &labels, &source.lag);
        self.counter(
            "towpath_source_dead_letters_total",
            "Rows that could not become records.",
            &labels,
            source.dead_letters,
        );
        self.counter(
            "towpath_source_refused_frames_total",
            "Frames that the region's log refused because policies forbid what they hold.",
            &labels,
            source.refused_frames,
        );
    }

    fn log(&mut self, log: &LogStatus) {
        let labels = format!("region=\"{}\"", log.region);
        self.gauge(
            "towpath_log_disk_bytes",
            "Bytes of the region's log on disk.",
            &labels,
            log.disk_bytes as f64,
        );
        self.counter(
            "towpath_log_lost_frames_total",
            "Frames that the log has acknowledged and lost, as agents proved since it was opened.",
            &labels,
            log.lost_frames,
        );
        self.gauge(
            "towpath_log_next_offset",
            "The number of the log's next frame.",
            &labels,
            log.next_offset.0 as f64,
        );
        self.gauge(
            "towpath_log_schema_versions",
            "Versions of streams' schemas.",
            &labels,
            log.schema_versions as f64,
        );
        self.flow("towpath_log", "durable in the region's log", &labels, &log.logged);
    }

    fn route(&mut self, route: &RouteStatus) {
        let labels = format!("route=\"{}\",sink=\"{}\"", route.name, route.sink);
        self.up("towpath_route_up", "Whether the route delivers.", &labels, route.condition);
        self.flow("towpath_route", "durable in the sink", &labels, &route.delivered);
        self.lag("towpath_route", "the sink is behind the region's log", &labels, &route.lag);
        self.gauge(
            "towpath_route_dead_letters",
            "Refused rows that wait.",
            &labels,
            route.dead_letters as f64,
        );
        self.gauge(
            "towpath_route_schema_held",
            "Whether the route stopped before a version of a schema that breaks its rule.",
            &labels,
            f64::from(u8::from(route.held.is_some())),
        );
        self.gauge("towpath_route_failures", "Failures in a row.", &labels, f64::from(route.failures));
    }

    fn sample(
        &mut self,
        name: &str,
        help: &str,
        kind: &'static str,
        labels: &str,
        value: impl std::fmt::Display,
    ) {
        let at = self.0.iter().position(|metric| metric.name == name).unwrap_or_else(|| {
            self.0.push(Metric {
                name: name.to_owned(),
                help: help.to_owned(),
                kind,
                samples: String::new(),
            });
            self.0.len() - 1
        });
        writeln!(self.0[at].samples, "{name}{{{labels}}} {value}").expect("memory takes all of it");
    }

    fn gauge(&mut self, name: &str, help: &str, labels: &str, value: f64) {
        self.sample(name, help, "gauge", labels, value);
    }

    fn counter(&mut self, name: &str, help: &str, labels: &str, value: u64) {
        self.sample(name, help, "counter", labels, value);
    }

    fn up(&mut self, name: &str, help: &str, labels: &str, condition: Condition) {
        self.gauge(name, help, labels, f64::from(u8::from(condition == Condition::Running)));
    }

    fn flow(&mut self, stem: &str, what: &str, labels: &str, flow: &towpath_resource::api::Flow) {
        self.counter(&format!("{stem}_records_total"), &format!("Records {what}."), labels, flow.records);
        self.counter(&format!("{stem}_bytes_total"), &format!("Bytes of frames {what}."), labels, flow.bytes);
        let (records, bytes) = (flow.records_per_second, flow.bytes_per_second);
        self.gauge(
            &format!("{stem}_records_per_second"),
            &format!("Records a second, {what}."),
            labels,
            records,
        );
        self.gauge(&format!("{stem}_bytes_per_second"), &format!("Bytes a second, {what}."), labels, bytes);
    }

    fn lag(&mut self, stem: &str, what: &str, labels: &str, lag: &towpath_resource::api::Lag) {
        self.gauge(
            &format!("{stem}_lag_records"),
            &format!("How many records {what}."),
            labels,
            lag.records as f64,
        );
        self.gauge(
            &format!("{stem}_lag_bytes"),
            &format!("How many bytes {what}."),
            labels,
            lag.bytes as f64,
        );
        self.gauge(&format!("{stem}_lag_seconds"), &format!("How many seconds {what}."), labels, lag.seconds);
    }

    fn text(self) -> String {
        let mut text = String::new();
        for Metric { name, help, kind, samples } in self.0 {
            write!(text, "# HELP {name} {help}\n# TYPE {name} {kind}\n{samples}")
                .expect("memory takes all of it");
        }
        text
    }
}
