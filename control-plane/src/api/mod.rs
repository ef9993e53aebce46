//! The admin API: REST over HTTPS at `/v1`, described by the OpenAPI document that it serves.
//!
//! A request passes the limits (size, time), then the guard, which finds out who asks and whether they have what the
//! endpoint needs, then the endpoint of its topic, a thin shell over the [`Service`]. Every refusal is a
//! [`Problem`](towpath_resource::api::Problem).

mod settings;
mod problem_type;
mod problem;
mod stamp;
mod cors;
mod conditions;
mod extract;
mod limit;
mod rate;
mod idempotency;
mod guard;
mod endpoint;
mod lines;
pub mod openapi;
mod docs_page;
mod kinds;
mod apply;
mod watch;
mod resources;
mod agents;
mod routes;
mod compare;
mod sources;
mod tokens;
mod keys;
mod users;
mod auth;
mod status;
mod streams;
mod schemas;
mod policies;
mod letters;
mod events;
mod audit;
mod history;
mod feed;
mod graphql;
mod health;
#[cfg(test)]
pub(crate) mod tests;

use std::time::Duration;

use axum::extract::DefaultBodyLimit;
use axum::http::StatusCode;
use axum::middleware;
use axum::routing;
use axum::{Extension, Router};
use tower_http::timeout::TimeoutLayer;

pub(crate) use extract::read;
pub use health::metrics_router;
pub use idempotency::IdempotencyKeys;
pub use problem_type::ProblemType;
pub use settings::{ApiSettings, CorsSettings, GraphqlSettings, RateSettings, WebOrigin, WebOriginError};

use crate::graphql::Graph;
use crate::service::Service;
use endpoint::Endpoint;

/// Largest request, in bytes. A fleet of thousands of resources fits.
pub(crate) const MAX_BODY_BYTES: usize = 8 << 20;
/// A request that has not been answered by then is given up. Following a stream is not bound by it: its answer begins
/// at once.
pub(crate) const ANSWER_WITHIN: Duration = Duration::from_secs(60);

/// The API. It expects to be served over TLS only.
///
/// `serve_metrics` says whether `/metrics` is served beside it, to anyone who reaches it; else only by
/// [`metrics_router`].
pub fn router(service: Service, settings: &ApiSettings, serve_metrics: bool) -> Router {
    let guarded = endpoints().into_iter().fold(Router::new(), |router, endpoint| {
        if !endpoint.guarded {
            return router.route(&endpoint.path, endpoint.handler);
        }
        let of = (service.clone(), endpoint.need, endpoint.interface);
        let guard = middleware::from_fn_with_state(of, guard::guard);
        router.route(&endpoint.path, endpoint.handler.route_layer(guard))
    });
    let graph = Graph::new(service.clone(), settings.graphql.clone());
    let router = guarded
        .merge(health::routes(serve_metrics))
        .merge(openapi::routes())
        .merge(docs_page::routes())
        .layer(Extension(graph));
    // Routes and no fallback, so that the router can be merged with one that has its own.
    let router = router
        .route("/", routing::any(problem::no_such_address))
        .route("/{*path}", routing::any(problem::no_such_address))
        .method_not_allowed_fallback(problem::no_such_method)
        .layer(DefaultBodyLimit::max(MAX_BODY_BYTES))
        .layer(TimeoutLayer::with_status_code(StatusCode::GATEWAY_TIMEOUT, ANSWER_WITHIN));
    let router = cors::allowed(router, &settings.cors);
    stamp::stamped(router).with_state(service)
}

/// Every endpoint, topic by topic.
fn endpoints() -> Vec<Endpoint> {
    let topics = [
        kinds::endpoints(),
        apply::endpoints(),
        resources::endpoints(),
        agents::endpoints(),
        routes::endpoints(),
        compare::endpoints(),
        sources::endpoints(),
        tokens::endpoints(),
        keys::endpoints(),
        users::endpoints(),
        auth::endpoints(),
        status::endpoints(),
        streams::endpoints(),
        schemas::endpoints(),
        policies::endpoints(),
        letters::endpoints(),
        events::endpoints(),
        audit::endpoints(),
        history::endpoints(),
        feed::endpoints(),
        graphql::endpoints(),
    ];
    topics.into_iter().flatten().map(idempotency::described).collect()
}
