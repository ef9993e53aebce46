//! Routes from end to end, and their replay.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::Method;
use axum::routing;
use towpath_resource::api::{ReplayOrder, Replayed, RouteDescription};
use towpath_resource::{Kind, Object, Permission};

use super::endpoint::Endpoint;
use super::extract::Body;
use crate::service::{Asker, Refusal, Service};

pub(super) fn endpoints() -> Vec<Endpoint> {
    vec![
        Endpoint::new(
            Permission::read(Object::Resource(Kind::Route)),
            Method::GET,
            "/v1/routes/{name}/describe",
            routing::get(describe),
            "routes",
            "describe_route",
            "Shows a route from end to end: what feeds it, what it guarantees, how far it is behind and why.",
        )
        .answers::<RouteDescription>(),
        Endpoint::new(
            Permission::operate(Object::Resource(Kind::Route)),
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
    State(service): State<Service>,
    asker: Asker,
    Path(name): Path<String>,
) -> Result<Json<RouteDescription>, Refusal> {
    Ok(Json(service.describe_route(&asker, &name)?))
}

async fn replay(
    State(service): State<Service>,
    asker: Asker,
    Path(name): Path<String>,
    Body(order): Body<ReplayOrder>,
) -> Result<Json<Replayed>, Refusal> {
    Ok(Json(service.replay_route(&asker, &name, order).await?))
}
