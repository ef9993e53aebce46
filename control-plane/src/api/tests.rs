//! The API's promises, request by request, over a data path that says what the test wants.

pub(crate) mod fixture;
mod operations;
mod doors;
mod problems;
mod resources;
mod lists;
mod changes;
mod watch;
mod repeats;
mod attacks;
mod wire;
mod kinds;
mod flow;
mod schemas;
mod policies;
mod keys;
mod audit;
mod sessions;
mod scopes;
mod certificates;
mod oidc;
mod matrix;
mod evenness;
mod rights;

pub(crate) use operations::operations;
