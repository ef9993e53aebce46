//! Lets web pages of chosen origins use the API from a browser. Off by default.
//!
//! A page must show a bearer token like everyone else: cookies and other credentials of the browser are never asked for.

use std::time::Duration;

use axum::Router;
use axum::http::{HeaderName, HeaderValue, Method, header};
use tower_http::cors::CorsLayer;

use super::settings::{CorsSettings, WebOrigin};
use super::stamp::REQUEST_ID;

/// How long a browser may remember what is allowed.
const REMEMBERED: Duration = Duration::from_secs(600);

/// The router, for pages of these origins too.
pub(super) fn allowed<S: Clone + Send + Sync + 'static>(
    router: Router<S>,
    settings: &CorsSettings,
) -> Router<S> {
    let origins: Vec<HeaderValue> = settings.origins.iter().map(WebOrigin::header).collect();
    if origins.is_empty() {
        return router;
    }
    let header = HeaderName::from_static;
    let cors = CorsLayer::new()
        .allow_origin(origins)
        .allow_methods([Method::GET, Method::POST, Method::PUT, Method::PATCH, Method::DELETE])
        .allow_headers([
            header::AUTHORIZATION,
            header::CONTENT_TYPE,
            header::IF_MATCH,
            header::IF_NONE_MATCH,
            header("idempotency-key"),
            header(super::watch::LAST_EVENT_ID),
        ])
        .expose_headers([header::ETAG, header::RETRY_AFTER, REQUEST_ID])
        .max_age(REMEMBERED);
    router.layer(cors)
}
