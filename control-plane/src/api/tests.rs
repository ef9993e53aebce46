//! The API's promises, request by request, over a data path that says what the test wants.

mod fixture;
mod doors;
mod resources;
mod flow;
mod schemas;
