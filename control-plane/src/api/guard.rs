//! Who is let in, and what is done once only.

use axum::extract::{Request, State};
use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;
use axum::middleware::Next;
use axum::response::Response;
use towpath_catalog::Interface;

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
        return Ok(next.run(request).await);
    }
    let (admission, left) = service.let_in(sole_bearer(request.headers())?, origin, need).await?;
    let asker = admission.asker.clone();
    request.extensions_mut().insert(asker.clone());
    request.extensions_mut().insert(admission);
    let mut response = once(service.repeats(), &asker.cause.actor, request, next).await;
    service.note_denials(&asker).await;
    rate::tell(left, response.headers_mut());
    Ok(response)
}

/// The bearer token. A request with two is told so.
pub(super) fn sole_bearer(headers: &HeaderMap) -> Result<Option<&str>, Refused> {
    if headers.get_all(AUTHORIZATION).iter().nth(1).is_some() {
        return Err(Refused::new(ProblemType::Malformed, "two `Authorization` headers came; send one"));
    }
    Ok(bearer(headers))
}
