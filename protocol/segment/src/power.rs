//! Cuts the power of a simulated disk at every operation of a workload and shows that nothing acknowledged is lost.
//!
//! Each round makes a workload of appends, syncs, rolls and trims from its seed and runs it against a model of what
//! was acknowledged. The power then fails at every single operation; from each of these points the disk is found
//! torn at every byte of the last operation, at other places of what was pending, and as a random scatter of sectors
//! and names. Whatever is found, the log must open without a loss, hold every acknowledged record byte for byte and
//! nothing that was never appended, and take further records. The same is done to a [`Journal`](crate::Journal)
//! while it compacts, to logs whose disk fails a sync or a write once or is full for a time, and, with single bits
//! flipped, to logs whose disk lies.

mod workload;
mod log;
mod journal;
mod flips;

use std::fmt;

/// What was tried, and what broke a promise.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// The seed; the same seed and rounds try the same.
    pub seed: u64,
    /// Workloads.
    pub rounds: u64,
    /// Operations at which the power failed.
    pub crash_points: u64,
    /// States of a disk that were recovered from.
    pub power_cuts: u64,
    /// Power cuts during a recovery from a power cut.
    pub cuts_in_recovery: u64,
    /// Syncs and writes that failed once, and disks that were full for a time.
    pub faults: u64,
    /// Bits that were flipped.
    pub bit_flips: u64,
    /// Records and values compared.
    pub compared: u64,
    /// Promises broken, each with how to see it again. Empty is success. The first few are kept.
    pub violations: Vec<String>,
}

/// Most violations that a report keeps.
const MAX_VIOLATIONS: usize = 20;

impl Report {
    fn check(&mut self, context: impl FnOnce() -> String, result: Result<u64, String>) {
        match result {
            Ok(compared) => self.compared += compared,
            Err(broken) if self.violations.len() < MAX_VIOLATIONS => {
                self.violations.push(format!("seed {}: {}: {broken}", self.seed, context()));
            }
            Err(_) => {}
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "seed {}, {} rounds: {} crash points, {} power cuts, {} of them in a recovery, {} disk faults, {} bit flips, \
             {} records compared, {} violations",
            self.seed,
            self.rounds,
            self.crash_points,
            self.power_cuts,
            self.cuts_in_recovery,
            self.faults,
            self.bit_flips,
            self.compared,
            self.violations.len()
        )?;
        self.violations.iter().try_for_each(|violation| writeln!(f, "  {violation}"))
    }
}

/// Runs this many rounds from this seed. One round has some 150 crash points, 10,000 power cuts and 5,000 bit flips.
pub fn explore(seed: u64, rounds: u64) -> Report {
    let mut report = Report { seed, rounds, ..Report::default() };
    for round in 0..rounds {
        let mut random =
            fastrand::Rng::with_seed(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_add(round));
        log::crash_everywhere(&mut report, &mut random);
        log::fail_everywhere(&mut report, &mut random);
        log::restart_after_each_failed_sync(&mut report, &mut random);
        log::fill_the_disk(&mut report, &mut random);
        journal::crash_everywhere(&mut report, &mut random);
        flips::flip(&mut report, &mut random, FLIPS_PER_ROUND);
    }
    report
}

const FLIPS_PER_ROUND: u64 = 5_000;

/// The tears to try at a power cut: every byte of the last operation, some places before, some scatters.
fn tears(pending_units: u64, random: &mut fastrand::Rng) -> Vec<crate::simulated::Tear> {
    use crate::simulated::Tear;
    const LAST_OPERATION: u64 = 96;
    const ELSEWHERE: usize = 8;
    const SCATTERS: usize = 8;
    let ending = pending_units.saturating_sub(LAST_OPERATION)..=pending_units;
    let mut tears: Vec<Tear> = ending.map(Tear::Prefix).collect();
    tears.extend((0..ELSEWHERE).map(|_| Tear::Prefix(random.u64(0..=pending_units))));
    tears.extend((0..SCATTERS).map(|_| Tear::Scatter(random.u64(..))));
    tears
}
