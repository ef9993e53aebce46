//! The outermost layer: gives each request an id, which its answer, its log lines and the audit trail bear, and makes
//! every refusal a problem document.

use std::panic::AssertUnwindSafe;

use axum::Router;
use axum::extract::Request;
use axum::http::{HeaderName, HeaderValue};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use futures_util::FutureExt;
use tracing::Instrument;
use uuid::Uuid;

use super::problem::{Refused, explain};
use super::problem_type::ProblemType;
use crate::door::RequestId;

/// The header that bears the request's id.
pub(super) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The router with ids for its requests and documents for its refusals.
pub(super) fn stamped<S: Clone + Send + Sync + 'static>(router: Router<S>) -> Router<S> {
    router.layer(middleware::from_fn(stamp))
}

async fn stamp(mut request: Request, next: Next) -> Response {
    let id = Uuid::now_v7();
    request.extensions_mut().insert(RequestId(id));
    let span = tracing::info_span!("request", %id);
    let handled = AssertUnwindSafe(next.run(request)).catch_unwind().instrument(span.clone()).await;
    let response = handled.unwrap_or_else(|_| {
        span.in_scope(|| tracing::error!("a request met a fault of ours and was given up"));
        Refused::new(ProblemType::Internal, ProblemType::Internal.meaning()).into_response()
    });
    let mut response = rendered(response, id);
    let value = HeaderValue::from_str(&id.to_string()).expect("an id is plain text");
    response.headers_mut().insert(REQUEST_ID, value);
    response
}

/// A refusal with its document; anything else as it is.
fn rendered(mut response: Response, id: Uuid) -> Response {
    let status = response.status();
    if !status.is_client_error() && !status.is_server_error() {
        return response;
    }
    let refused = response.extensions_mut().remove::<Refused>().unwrap_or_else(|| explain(status));
    let mut document = refused.render(format!("urn:uuid:{id}"));
    // What the layers below added, such as `Allow`, stays; what described the body that is replaced, does not.
    let (mut kept, _) = response.into_parts();
    for described in [axum::http::header::CONTENT_TYPE, axum::http::header::CONTENT_LENGTH] {
        kept.headers.remove(described);
    }
    for (name, value) in document.headers().clone() {
        if let Some(name) = name {
            kept.headers.insert(name, value);
        }
    }
    *document.headers_mut() = kept.headers;
    document
}
