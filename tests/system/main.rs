//! The whole system, as its users meet it: real processes, real files, real networks. Needs the executables of the same
//! build, which `cargo x test` makes first.

mod flow;
mod dead_letters;
mod duplicates;
mod replay;
mod schema;
mod retention;
mod crash;
mod repeats;
mod trust;
mod races;
mod rotation;
mod privacy;
mod residency;
mod cli;
mod contract;
mod interfaces;
mod observability;
mod postgres;
mod postgres_source;
mod precedence;
mod database_benches;
mod api_bench;
mod sqlite_source;
mod compare;
mod databases;
mod readme;
