//! What a request over HTTP says of who sent it and from where, whichever interface it is for.

use axum::extract::ConnectInfo;
use axum::http::header::AUTHORIZATION;
use axum::http::{Extensions, HeaderMap};
use towpath_catalog::{Interface, Origin};
use uuid::Uuid;

use crate::http::Peer;

/// The token that a request bears. Of two, whatever stands before us may have looked at the other one: none counts.
pub(crate) fn bearer(headers: &HeaderMap) -> Option<&str> {
    let mut sent = headers.get_all(AUTHORIZATION).iter();
    let only = sent.next().filter(|_| sent.next().is_none())?;
    token(only.to_str().ok()?)
}

/// The token of a text such as `Bearer TOKEN`.
pub(crate) fn token(text: &str) -> Option<&str> {
    let (scheme, token) = text.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then_some(token)
}

/// The id of a request. It is always ours: one that a client sends is passed over.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct RequestId(pub(crate) Uuid);

/// Where a request came from. Of the address, what headers such as `X-Forwarded-For` say is not believed.
pub(crate) fn origin(extensions: &Extensions, interface: Interface) -> Origin {
    let address = extensions.get::<ConnectInfo<Peer>>().map(|ConnectInfo(peer)| peer.ip());
    let request = extensions.get::<RequestId>().map_or_else(Uuid::now_v7, |id| id.0);
    Origin { address, interface, request }
}
