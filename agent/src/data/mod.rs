//! The way of the data through an agent: from sources into the log, and from the log into sinks.

pub(crate) mod minimise;
pub(crate) mod capture;
pub(crate) mod schemas;
pub(crate) mod settle;
pub(crate) mod table;
pub(crate) mod lane;
pub(crate) mod apply;
pub(crate) mod route;
