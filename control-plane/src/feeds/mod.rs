//! Feeds for clients that show what happens: the status, resources, the records of a stream, events.
//!
//! They come over a WebSocket, many at once, or by long polling, one at a time; a token that one gives is taken by the
//! other. A slow client is bounded: a socket sends no more items of a feed than the client gave it credit for.

mod token;
mod topic;
mod message;
mod socket;
mod poll;
#[cfg(test)]
pub(crate) mod tests;

pub(crate) use poll::poll;
pub(crate) use socket::{
    Gone, LOGIN_WITHIN, LONGEST_ID, MOST_MESSAGE_BYTES, MOST_SILENCE, MOST_SUBSCRIPTIONS, PING_EVERY,
    WAITING_ITEMS, send, serve,
};
pub(crate) use topic::Topic;
