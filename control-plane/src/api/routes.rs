//! Routes from end to end, and their replay.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::Method;
use axum::routing;
use towpath_catalog::State as CatalogState;
use towpath_record::{ResourceName, StreamName};
use towpath_resource::api::{FedStream, Feeder, FleetStatus, ReplayOrder, Replayed, RouteDescription};
use towpath_resource::observed::SinkGuarantee;
use towpath_resource::{ReleaseWhen, Resource, RouteSpec};

use super::endpoint::Endpoint;
use super::extract::{Admin, Body};
use super::plane::{Snapshot, StreamFlow};
use super::problem::ApiError;
use super::state::ApiState;

pub(super) fn endpoints() -> Vec<Endpoint> {
    vec![
        Endpoint::new(
            Method::GET,
            "/v1/routes/{name}/describe",
            routing::get(describe),
            "routes",
            "describe_route",
            "Shows a route from end to end: what feeds it, what it guarantees, how far it is behind and why.",
        )
        .answers::<RouteDescription>(),
        Endpoint::new(
            Method::POST,
            "/v1/routes/{name}/replay",
            routing::post(replay),
            "routes",
            "replay_route",
            "Sends a route back to deliver again what the log retains from there on.",
        )
        .takes::<ReplayOrder>()
        .answers::<Replayed>(),
    ]
}

async fn describe(
    State(state): State<ApiState>,
    Path(name): Path<String>,
) -> Result<Json<RouteDescription>, ApiError> {
    let snapshot = state.plane().snapshot();
    let fleet = state.fleet(&snapshot);
    let catalog = state.catalog();
    let route = catalog.require::<RouteSpec>(&name)?;
    let described = description(&catalog, route, &snapshot, &fleet);
    described
        .map(Json)
        .ok_or_else(|| ApiError::Unavailable(format!("route {name} was just changed; try again")))
}

async fn replay(
    State(state): State<ApiState>,
    Admin(actor): Admin,
    Path(name): Path<String>,
    Body(order): Body<ReplayOrder>,
) -> Result<Json<Replayed>, ApiError> {
    let route = state.catalog().require::<RouteSpec>(&name)?.name().clone();
    let replay = state.command(move |catalog| catalog.replay_route(&name, order.from, &actor)).await?;
    Ok(Json(Replayed { route, from: order.from, replay }))
}

/// A route from end to end, if the fleet's status is of the same moment.
fn description(
    catalog: &CatalogState,
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

fn fed_stream(catalog: &CatalogState, stream: &StreamName, flow: &StreamFlow) -> FedStream {
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
