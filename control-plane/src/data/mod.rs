//! The way of the data through a cell: frames come in, stand in the log, and go out along routes.

pub(crate) mod sessions;
pub(crate) mod ingest;
pub(crate) mod rows;
pub(crate) mod breaker;
pub(crate) mod route;
pub(crate) mod deliver;
pub(crate) mod letters;
pub(crate) mod retention;
mod view;
