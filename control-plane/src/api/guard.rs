//! Who is let in, and what is done once only.

use axum::body::{Body, HttpBody};
use axum::extract::{Request, State};
use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;
use axum::middleware::Next;
use axum::response::Response;
use towpath_catalog::Interface;

use super::extract::whole_body;
use super::idempotency::once;
use super::problem::Refused;
use super::problem_type::ProblemType;
use super::rate;
use crate::door::{bearer, origin};
use crate::service::{Need, Service};

/// Lets a request pass that comes from someone known who has what the endpoint needs, and notes who.
pub(super) async fn guard(
    State((service, need, interface)): State<(Service, Need, Interface)>,
    mut request: Request,
    next: Next,
) -> Result<Response, Refused> {
    let origin = origin(request.extensions(), interface);
    let _place = service.arrive(origin.address)?;
    request.extensions_mut().insert(origin.clone());
    if need == Need::Nothing {
        return Ok(match read(request).await {
            Ok(request) => next.run(request).await,
            Err(refused) => refused,
        });
    }
    let (admission, left) = service.let_in(sole_bearer(request.headers())?, origin, need).await?;
    let asker = admission.asker.clone();
    request.extensions_mut().insert(asker.clone());
    request.extensions_mut().insert(admission);
    let mut response = match read(request).await {
        Ok(request) => once(service.repeats(), &asker.cause.actor, request, next).await,
        Err(refused) => refused,
    };
    service.note_denials(&asker).await;
    rate::tell(left, response.headers_mut());
    Ok(response)
}

/// The request with its body in memory. Whoever is answered before their body was read is cut while they send, and may never
/// see why.
async fn read(request: Request) -> Result<Request, Response> {
    if request.body().is_end_stream() {
        return Ok(request);
    }
    let (parts, body) = request.into_parts();
    let bytes = whole_body(&parts, body).await?;
    Ok(Request::from_parts(parts, Body::from(bytes)))
}

/// The bearer token. A request with two is told so.
pub(super) fn sole_bearer(headers: &HeaderMap) -> Result<Option<&str>, Refused> {
    if headers.get_all(AUTHORIZATION).iter().nth(1).is_some() {
        return Err(Refused::new(ProblemType::Malformed, "two `Authorization` headers came; send one"));
    }
    Ok(bearer(headers))
}
