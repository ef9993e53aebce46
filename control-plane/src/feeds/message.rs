//! What a client and the control plane say to each other on a socket: JSON, one message in each text frame.

use serde::{Deserialize, Serialize};
use towpath_resource::api::{FeedItem, Problem};

use super::topic::Topic;

/// What a client says. Without [`Debug`], since it can hold a secret.
#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub(super) enum Said {
    /// Who it is, as its first message, if neither a header nor a ticket has said so.
    Login {
        /// The token that it would send as `Authorization: Bearer`.
        token: String,
    },
    /// Follows something.
    Subscribe {
        /// The client's own name for it.
        id: String,
        /// What.
        topic: Topic,
        /// The token behind which to go on.
        after: Option<String>,
        /// How many items may be sent before more credit is given. Default: 64.
        credit: Option<u32>,
    },
    /// Allows more items.
    Credit {
        /// Of which subscription.
        id: String,
        /// How many more.
        more: u32,
    },
    /// Follows no longer.
    Unsubscribe {
        /// What.
        id: String,
    },
}

/// What the control plane says.
#[derive(Debug, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum Told {
    /// The client is known.
    Welcome {
        /// How many subscriptions a socket can have.
        most_subscriptions: usize,
    },
    /// A subscription begins.
    Subscribed {
        /// Which.
        id: String,
    },
    /// Something happened.
    Item {
        /// To which subscription it belongs.
        id: String,
        /// What.
        item: FeedItem,
    },
    /// A subscription ended.
    Ended {
        /// Which.
        id: String,
        /// Why, unless it was at its end or the client wished it.
        #[serde(skip_serializing_if = "Option::is_none")]
        problem: Option<Problem>,
    },
    /// What the client said cannot be done, or it may stay no longer. Then the socket is closed.
    Refused {
        /// Why.
        problem: Problem,
    },
}
