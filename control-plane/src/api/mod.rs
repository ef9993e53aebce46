//! The admin API: REST over HTTPS at `/v1`, described by the OpenAPI document that it serves.
//!
//! A request passes the limits (size, time), then authentication, then the endpoint of its topic. Endpoints read the
//! catalog's state and the data path through [`Plane`]; what they change, they change by commands of the catalog. Every
//! refusal is a [`Problem`](towpath_resource::api::Problem).

pub mod plane;
mod rates;
mod overview;
mod state;
mod problem;
mod extract;
mod endpoint;
mod openapi;
mod apply;
mod resources;
mod agents;
mod routes;
mod compare;
mod sources;
mod tokens;
mod status;
mod streams;
mod schemas;
mod letters;
mod events;
mod health;
#[cfg(test)]
mod tests;

use std::time::Duration;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::StatusCode;
use axum::middleware;
use axum::routing;
use tower_http::timeout::TimeoutLayer;

pub use health::metrics_router;
pub use plane::Plane;
pub use state::{ApiConfig, ApiState};

use endpoint::Endpoint;

/// Largest request, in bytes. A fleet of thousands of resources fits.
const MAX_BODY_BYTES: usize = 8 << 20;
/// A request that has not been answered by then is given up. Following a stream is not bound by it: its answer begins
/// at once.
const ANSWER_WITHIN: Duration = Duration::from_secs(60);

/// The API. It expects to be served over TLS only.
pub fn router(state: ApiState) -> Router {
    let guarded = endpoints()
        .into_iter()
        .fold(Router::new(), |router, endpoint| router.route(&endpoint.path, endpoint.handler))
        .route_layer(middleware::from_fn_with_state(state.clone(), extract::authenticate));
    let router = guarded.merge(health::routes(state.serves_metrics())).merge(openapi::routes());
    // Routes and no fallback, so that the router can be merged with one that has its own.
    router
        .route("/", routing::any(problem::no_such_address))
        .route("/{*path}", routing::any(problem::no_such_address))
        .method_not_allowed_fallback(problem::no_such_method)
        .layer(DefaultBodyLimit::max(MAX_BODY_BYTES))
        .layer(TimeoutLayer::with_status_code(StatusCode::GATEWAY_TIMEOUT, ANSWER_WITHIN))
        .layer(middleware::map_response(problem::explain_bare_status))
        .with_state(state)
}

/// Every endpoint that needs a token, topic by topic.
fn endpoints() -> Vec<Endpoint> {
    let topics = [
        apply::endpoints(),
        resources::endpoints(),
        agents::endpoints(),
        routes::endpoints(),
        compare::endpoints(),
        sources::endpoints(),
        tokens::endpoints(),
        status::endpoints(),
        streams::endpoints(),
        schemas::endpoints(),
        letters::endpoints(),
        events::endpoints(),
    ];
    topics.into_iter().flatten().collect()
}
