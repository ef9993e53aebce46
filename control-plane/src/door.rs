//! How a request over HTTP is let in, whichever interface it is for.

use axum::extract::ConnectInfo;
use axum::http::header::AUTHORIZATION;
use axum::http::{Extensions, HeaderMap};
use towpath_catalog::{Interface, Origin};
use uuid::Uuid;

use crate::http::Peer;
use crate::service::{Admission, Need, Refusal, Service};

/// Lets whoever sent a request in, by its `Authorization` header.
///
/// # Errors
/// Nobody is known by it, or the need is not met.
pub(crate) async fn admitted(
    service: &Service,
    headers: &HeaderMap,
    extensions: &Extensions,
    interface: Interface,
    need: Need,
) -> Result<Admission, Refusal> {
    service.admit(bearer(headers), origin(extensions, interface), need).await
}

/// The token that a request bears. Of two, whatever stands before us may have looked at the other one: none counts.
pub(crate) fn bearer(headers: &HeaderMap) -> Option<&str> {
    let mut sent = headers.get_all(AUTHORIZATION).iter();
    let only = sent.next().filter(|_| sent.next().is_none())?;
    let (scheme, token) = only.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then_some(token)
}

/// Where a request came from.
pub(crate) fn origin(extensions: &Extensions, interface: Interface) -> Origin {
    let address = extensions.get::<ConnectInfo<Peer>>().map(|ConnectInfo(peer)| peer.ip());
    Origin { address, interface, request: Uuid::now_v7() }
}
