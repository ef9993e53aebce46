//! How the fleet goes.

use axum::Json;
use axum::extract::State;
use axum::http::Method;
use axum::routing;
use towpath_resource::api::FleetStatus;
use towpath_resource::{Object, Permission};

use super::endpoint::Endpoint;
use crate::service::{Asker, Service};

pub(super) fn endpoints() -> Vec<Endpoint> {
    let summary = "Shows every stage of the way of the data, with rates and lags.";
    vec![
        Endpoint::new(
            Permission::read(Object::Status),
            Method::GET,
            "/v1/status",
            routing::get(show),
            "status",
            "get_status",
            summary,
        )
        .answers::<FleetStatus>(),
    ]
}

async fn show(State(service): State<Service>, asker: Asker) -> Json<FleetStatus> {
    Json(service.status(&asker))
}
