//! Who was turned away at the link, on record as those are who are turned away at the API.

use std::net::SocketAddr;
use std::sync::Arc;

use towpath_catalog::{Actor, Catalog, Cause, Denial, Interface, Origin};
use uuid::Uuid;

/// Where something came from that came over the link.
pub(crate) fn over_link(peer: SocketAddr) -> Origin {
    let address = Some(peer.ip().to_canonical());
    Origin { address, interface: Interface::Link, request: Uuid::now_v7() }
}

/// Records that someone was denied something. A trail that cannot be written keeps nobody from being turned away, so this
/// is not waited for.
pub(crate) fn note(catalog: &Arc<Catalog>, actor: Actor, origin: Origin, denial: Denial) {
    let (catalog, cause) = (catalog.clone(), Cause { actor, origin: Some(origin) });
    tokio::task::spawn_blocking(move || {
        if let Err(error) = catalog.record_denial(&cause, denial) {
            tracing::warn!(%error, "a denied attempt was not recorded");
        }
    });
}

/// Nobody is known by what was presented.
pub(crate) fn unknown(on: Option<String>) -> Denial {
    Denial { lacking: "authentication".to_owned(), on }
}
