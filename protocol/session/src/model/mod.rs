//! Both machines in a world that fails: a network that delays, reorders between streams and is cut, processes
//! that crash, disks that are lost, a log that forgets what was not synced, and two machines with one identity.
//!
//! Time is virtual and every choice is drawn from a seed, so that a failure is replayed by its seed. In every
//! world it must hold that
//! * an agent trims a frame only when the log durably holds that very frame,
//! * neither side ever exceeds a window or says what it may not say,
//! * a sink holds a prefix of the log, each frame once and in order,
//! * and when faults end, the log comes to hold the records of every source, each once and in order, everything
//!   is acknowledged, and the sink holds the whole log.

mod frame;
mod log;
mod network;
mod world;
mod agent;
mod cell;
mod faults;

use world::World;

/// What was explored.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct Report {
    /// How many worlds.
    pub seeds: u64,
    /// How many things happened in them.
    pub steps: u64,
    /// How many connections were made in them.
    pub connections: u64,
}

/// A world in which something did not hold.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("seed {seed}: {broken}")]
pub struct Failure {
    /// The seed that replays it.
    pub seed: u64,
    /// What did not hold.
    pub broken: String,
}

/// Tries the worlds of `seeds` seeds from `first_seed` on.
///
/// # Errors
/// The first world in which something did not hold.
pub fn explore(first_seed: u64, seeds: u64) -> Result<Report, Failure> {
    let mut report = Report::default();
    for seed in first_seed..first_seed.saturating_add(seeds) {
        let mut world = World::new(seed);
        world.run().map_err(|broken| Failure { seed, broken })?;
        report.seeds += 1;
        report.steps += world.steps;
        report.connections += u64::from(world.next_conn);
    }
    Ok(report)
}
