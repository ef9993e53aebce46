//! The control plane: decides where data may live, who gets it, and that it arrives once and in order.
//!
//! [`control`] knows the agents and tells them what to run; [`link`](self) speaks with them; `data` takes their
//! frames into the region's log and delivers them along routes. What admins can do stands in [`service`]; [`api`] (REST),
//! [`grpc`], `graphql` and `feeds` are thin shells over it, and `door` lets their callers in.

pub mod config;
pub mod control;
pub mod http;
pub mod egress;
mod link;
mod data;
pub mod cell;
pub mod service;
mod door;
pub mod api;
pub mod grpc;
mod feeds;
mod graphql;
pub mod bootstrap;
pub mod serve;
