//! What an admin asks of the systems at the ends of routes: whether a source is ready, and whether a sink keeps what
//! its sources have.

use futures_util::StreamExt;
use futures_util::stream::{self, BoxStream};
use tokio::sync::mpsc;
use towpath_catalog::State;
use towpath_proto::ids;
use towpath_proto::link::{CheckSource, answer, question};
use towpath_record::{ResourceName, RouteId, SourceId, StreamName};
use towpath_resource::api::{CompareLine, CompareOrder, Finding};
use towpath_resource::{Resource, RouteSpec, SinkSpec};

use super::compare::{self, Flow};
use super::questions::{AskError, ask};
use crate::api::plane::PlaneError;
use crate::cell::Cell;

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
        let log = self.log().status();
        let taken = log.totals.0.keys().filter(|stream| route.spec.takes(stream));
        let flows = taken.map(|stream| {
            let feeds = log.by_source.iter().filter(|(_, source)| source.streams.contains(stream));
            let feeders: Vec<_> = feeds.map(|(id, _)| *id).collect();
            self.flow(state, route, sink, stream, &feeders)
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

    fn flow(
        &self,
        state: &State,
        route: &Resource<RouteSpec>,
        sink: &Resource<SinkSpec>,
        stream: &StreamName,
        feeders: &[SourceId],
    ) -> Result<Flow, PlaneError> {
        let &[source] = feeders else {
            return Err(PlaneError::Conflict(format!(
                "stream {stream} of route {} is fed by {} sources; only what comes from one can be compared",
                route.name(),
                feeders.len()
            )));
        };
        let agent =
            |name: &ResourceName| state.agents.get(name).map(|agent| agent.id).ok_or_else(just_changed);
        let source = state.source(source).ok_or_else(|| {
            PlaneError::Conflict(format!(
                "the source of stream {stream} was deleted; there is nothing to compare"
            ))
        })?;
        let schema = newest_schema(self.log(), stream).ok_or_else(|| {
            PlaneError::Conflict(format!(
                "stream {stream} has brought no records yet; there is nothing to compare"
            ))
        })?;
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
}

fn just_changed() -> PlaneError {
    PlaneError::Unavailable("the resource was just changed; try again".to_owned())
}

fn newest_schema(log: &towpath_log::RegionLog, stream: &StreamName) -> Option<towpath_record::StreamSchema> {
    let mut reader = log.reader(log.status().first);
    let mut newest = None;
    while let Ok(Some(entry)) = reader.next_now() {
        let header = entry.frame.header();
        if header.kind == towpath_record::FrameKind::Records && header.stream == *stream {
            newest = Some(header.schema);
        }
    }
    log.schema(newest?)
}
