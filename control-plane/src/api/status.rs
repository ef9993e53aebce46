//! How the fleet goes.

use axum::Json;
use axum::extract::State;
use axum::http::Method;
use axum::routing;
use towpath_resource::api::FleetStatus;

use super::endpoint::Endpoint;
use super::state::ApiState;

pub(super) fn endpoints() -> Vec<Endpoint> {
    let summary = "Shows every stage of the way of the data, with rates and lags.";
    vec![
        Endpoint::new(Method::GET, "/v1/status", routing::get(show), "status", "get_status", summary)
            .answers::<FleetStatus>(),
    ]
}

async fn show(State(state): State<ApiState>) -> Json<FleetStatus> {
    Json(state.fleet(&state.plane().snapshot()))
}
