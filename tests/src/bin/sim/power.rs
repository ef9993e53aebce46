//! The power fails at every operation of the segment files.

use anyhow::Result;

use crate::Options;

const ROUNDS: u64 = 40;

pub(crate) fn run(options: Options) -> Result<bool> {
    let (rounds, seed) = (options.rounds_or(ROUNDS), options.seed());
    println!("sim power: {rounds} rounds, seed {seed}");
    let report = towpath_segment::power::explore(seed, rounds);
    println!("{report}");
    Ok(report.violations.is_empty())
}
