//! The promises of GraphQL, request by request, over a data path that says what the test wants.

mod caller;
mod looks;
mod changes;
mod limits;
mod matrix;
mod socket;
mod page;
