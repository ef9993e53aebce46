//! One harness for everything that is tested as a whole: system tests, simulations and benches.
//!
//! A [`fleet::Fleet`] is a control plane and its agents as separate processes in a fresh directory. [`data`] makes
//! the files that are dropped into it and knows to the row what must come out; [`sinks`] reads back what came
//! out; [`account`] compares the two. [`proxy`], [`small_disk`] and [`damage`] are what goes wrong; [`scene`] is where
//! most tests play.
//! Every random choice comes from a seed, and every seed is printed.

pub mod binaries;
pub mod ports;
pub mod process;
pub mod usage;
pub mod wait;
pub mod metrics;
pub mod api;
pub mod proxy;
pub mod small_disk;
pub mod damage;
pub mod folder;
pub mod fleet;
pub mod resources;
pub mod data;
pub mod account;
pub mod sinks;
pub mod scene;
pub mod applicant;
pub mod race;
pub mod engines;
pub mod table;
