//! Routes from end to end: described, replayed, compared.

use futures_util::stream::BoxStream;
use towpath_catalog::State;
use towpath_record::{ResourceName, StreamName};
use towpath_resource::api::{
    CompareLine, CompareOrder, FedStream, Feeder, FleetStatus, ReplayOrder, Replayed, RouteDescription,
};
use towpath_resource::observed::SinkGuarantee;
use towpath_resource::{Action, Kind, Object, Permission, ReleaseWhen, Resource, RouteSpec};

use super::plane::{Snapshot, StreamFlow};
use super::{Asker, Refusal, Service, overview};

impl Service {
    /// Shows a route from end to end: what feeds it, what it guarantees, how far it is behind and why.
    ///
    /// # Errors
    /// It is not there, or not the asker's to see.
    pub fn describe_route(&self, asker: &Asker, name: &str) -> Result<RouteDescription, Refusal> {
        let state = self.catalog();
        let route = self.route(asker, &state, Action::Read, name)?;
        let described = self
            .view(&state, |view| description(&state, route, view.snapshot, &overview::fleet(view, |_| true)));
        described.ok_or_else(|| Refusal::Unavailable(format!("route {name} was just changed; try again")))
    }

    /// Sends a route back to deliver again what the log retains from there on.
    ///
    /// # Errors
    /// It is not there, or not the asker's to replay.
    pub async fn replay_route(
        &self,
        asker: &Asker,
        name: &str,
        order: ReplayOrder,
    ) -> Result<Replayed, Refusal> {
        let route = self.route(asker, &self.catalog(), Action::Operate, name)?.name().clone();
        let (replayed, cause) = (route.clone(), asker.cause.clone());
        let replay =
            self.command(move |catalog| catalog.replay_route(replayed.as_str(), order.from, &cause)).await?;
        Ok(Replayed { route, from: order.from, replay })
    }

    /// Compares what the sources of a route have with what its sink keeps. Dropping the answer ends the work.
    ///
    /// # Errors
    /// It is not there, cannot be compared now, or is not the asker's to compare. The answer names keys of rows, so the
    /// asker must be allowed to read records too.
    pub async fn compare_route(
        &self,
        asker: &Asker,
        name: &str,
        order: CompareOrder,
    ) -> Result<BoxStream<'static, CompareLine>, Refusal> {
        if order.limit == 0 {
            return Err(Refusal::invalid("limit: at least 1 row must be listed"));
        }
        let state = self.catalog();
        let route = self.route(asker, &state, Action::Operate, name)?;
        let target = towpath_access::Target::resource(&state, &route.manifest().into());
        asker.require(Permission::read(Object::Record), &target)?;
        Ok(self.plane().compare(route.id, order).await?)
    }

    /// A route with which the asker may do this.
    pub(super) fn route<'a>(
        &self,
        asker: &Asker,
        state: &'a State,
        action: Action,
        name: &str,
    ) -> Result<&'a Resource<RouteSpec>, Refusal> {
        let permission = Permission { action, object: Object::Resource(Kind::Route) };
        self.require(asker, state, permission, Kind::Route, name)?;
        Ok(state.require::<RouteSpec>(name)?)
    }
}

/// A route from end to end, if the fleet's status is of the same moment.
fn description(
    catalog: &State,
    route: &Resource<RouteSpec>,
    snapshot: &Snapshot,
    fleet: &FleetStatus,
) -> Option<RouteDescription> {
    let taken = snapshot.streams.iter().filter(|(stream, _)| route.spec.takes(stream));
    let streams: Vec<_> = taken.map(|(stream, flow)| fed_stream(catalog, stream, flow)).collect();
    let feeds = |source: &ResourceName| streams.iter().any(|s| s.feeders.iter().any(|f| f.source == *source));
    let sources: Vec<_> = fleet.sources.iter().filter(|status| feeds(&status.name)).cloned().collect();
    let sink = fleet.sinks.iter().find(|sink| sink.name == route.spec.sink)?.clone();
    let spooled: Vec<_> = sources
        .iter()
        .filter_map(|status| catalog.sources.get(&status.name))
        .filter(|source| source.spec.release == ReleaseWhen::Spool)
        .map(|source| source.name().to_string())
        .collect();
    Some(RouteDescription {
        name: route.name().clone(),
        patterns: route.spec.streams.clone(),
        guarantee: sink.guarantee,
        guarantee_text: guarantee_text(sink.guarantee, &spooled),
        status: fleet.routes.iter().find(|status| status.name == *route.name())?.clone(),
        streams,
        sources,
        sink,
    })
}

fn fed_stream(catalog: &State, stream: &StreamName, flow: &StreamFlow) -> FedStream {
    let sources = flow.sources.iter().filter_map(|id| catalog.source(*id));
    let feeders =
        sources.map(|source| Feeder { source: source.name().clone(), agent: source.spec.agent.clone() });
    FedStream { stream: stream.clone(), records: flow.records, feeders: feeders.collect() }
}

fn guarantee_text(sink: SinkGuarantee, spooled: &[String]) -> Vec<String> {
    let mut stages = vec![
        "source to log: exactly once and in order, since each frame names the one before it and the log takes only the next".to_owned(),
    ];
    if !spooled.is_empty() {
        let names = spooled.join(", ");
        stages.push(format!(
            "but {names} is released when spooled: losing that agent's disk loses what waits there"
        ));
    }
    stages.push(match sink {
        SinkGuarantee::ExactlyOnce => {
            "log to sink: exactly once, since the sink stores rows and position in one atomic act".to_owned()
        }
        SinkGuarantee::AtLeastOnce => {
            "log to sink: at least once; after a crash some rows may land again".to_owned()
        }
        SinkGuarantee::Unknown => {
            "log to sink: not known until the sink's agent has opened it once".to_owned()
        }
    });
    stages
}
