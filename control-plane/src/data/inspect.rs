//! What an admin asks of the systems at the ends of routes: whether a source is ready, and whether a sink keeps what
//! its sources have.

use std::collections::BTreeMap;

use futures_util::StreamExt;
use futures_util::stream::{self, BoxStream};
use tokio::sync::mpsc;
use towpath_catalog::State;
use towpath_proto::ids;
use towpath_proto::link::{CheckSource, ReadLog, answer, question};
use towpath_record::{AgentId, ResourceName, RouteId, SourceId, StreamName, StreamSchema};
use towpath_resource::api::{CompareLine, CompareOrder, Finding, LogPage};
use towpath_resource::{Resource, RouteSpec, SinkSpec, SourceSpec};

use super::compare::{self, Flow};
use super::questions::{AskError, ask};
use crate::cell::Cell;
use crate::service::plane::PlaneError;

/// Lines of a comparison that wait for who asked.
const LINES: usize = 16;

impl Cell {
    pub(super) async fn check_system(&self, source: SourceId) -> Result<Vec<Finding>, PlaneError> {
        let agent = {
            let state = self.catalog().state();
            let source = state.source(source).ok_or_else(just_changed)?;
            state.agents.get(&source.spec.agent).ok_or_else(just_changed)?.id
        };
        let asked = CheckSource { source: ids::to_bytes(source.as_bytes()) };
        let answer = ask(self.sessions(), agent, question::Kind::CheckSource(asked)).await;
        let findings = match answer.map_err(|error| PlaneError::Unavailable(error.to_string()))?.pop() {
            Some(answer::Kind::Findings(findings)) => serde_json::from_slice(&findings.findings).ok(),
            _ => None,
        };
        findings.ok_or_else(|| PlaneError::Unavailable(AskError::OtherAnswer.to_string()))
    }

    pub(super) async fn read_log(
        &self,
        agent: AgentId,
        after: Option<String>,
        limit: u32,
    ) -> Result<LogPage, PlaneError> {
        let asked = ReadLog { after: after.unwrap_or_default(), limit };
        let answer = ask(self.sessions(), agent, question::Kind::ReadLog(asked)).await;
        let page = match answer.map_err(|error| PlaneError::Unavailable(error.to_string()))?.pop() {
            Some(answer::Kind::LogLines(lines)) => serde_json::from_slice(&lines.page).ok(),
            _ => None,
        };
        page.ok_or_else(|| PlaneError::Unavailable(AskError::OtherAnswer.to_string()))
    }

    pub(super) async fn compare_route(
        &self,
        route: RouteId,
        order: CompareOrder,
    ) -> Result<BoxStream<'static, CompareLine>, PlaneError> {
        let flows = self.flows(&self.catalog().state(), route)?;
        let (lines, told) = mpsc::channel(LINES);
        tokio::spawn(compare::run(self.sessions().clone(), flows, order, lines));
        Ok(stream::unfold(told, |mut told| async move { told.recv().await.map(|line| (line, told)) }).boxed())
    }

    /// The streams of a route that have come so far, each with its one source.
    fn flows(&self, state: &State, route: RouteId) -> Result<Vec<Flow>, PlaneError> {
        let route = state.route(route).ok_or_else(just_changed)?;
        let sink = state.sinks.get(&route.spec.sink).ok_or_else(just_changed)?;
        let versions = self.log().schema_versions();
        let mut streams: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for (source, stream, _) in versions.iter().filter(|(_, stream, _)| route.spec.takes(stream)) {
            // What a source has brought that was deleted since has nothing to be compared with.
            streams.entry(stream).or_default().extend(state.source(source));
        }
        streams.retain(|_, sources| !sources.is_empty());
        let totals = self.log().status().totals;
        let flows = streams.into_iter().map(|(stream, sources)| {
            let schema = totals.0.get(stream).and_then(|totals| self.log().schema(totals.schema?));
            flow(state, route, sink, stream, schema.ok_or_else(just_changed)?, &sources)
        });
        let flows = flows.collect::<Result<Vec<_>, _>>()?;
        if flows.is_empty() {
            return Err(PlaneError::Conflict(format!(
                "no stream of route {} has come yet; there is nothing to compare",
                route.name()
            )));
        }
        Ok(flows)
    }
}

fn flow(
    state: &State,
    route: &Resource<RouteSpec>,
    sink: &Resource<SinkSpec>,
    stream: &StreamName,
    schema: StreamSchema,
    sources: &[&Resource<SourceSpec>],
) -> Result<Flow, PlaneError> {
    let &[source] = sources else {
        return Err(PlaneError::Conflict(format!(
            "stream {stream} of route {} is fed by {} sources; only what comes from one can be compared",
            route.name(),
            sources.len()
        )));
    };
    let agent = |name: &ResourceName| state.agents.get(name).map(|agent| agent.id).ok_or_else(just_changed);
    Ok(Flow {
        stream: stream.clone(),
        schema,
        source: source.id,
        source_name: source.name().clone(),
        source_agent: agent(&source.spec.agent)?,
        sink: sink.id,
        sink_agent: agent(&sink.spec.agent)?,
    })
}

fn just_changed() -> PlaneError {
    PlaneError::Unavailable("the resource was just changed; try again".to_owned())
}
