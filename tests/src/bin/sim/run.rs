//! What the simulations of whole fleets have in common: rounds, progress, and the table at the end.

use std::time::Instant;

use anyhow::Result;
use towpath_tests::account::Faults;
use towpath_tests::scene::Scene;
use towpath_tests::table::Table;

const PROGRESS_EVERY: u64 = 10;

/// A simulation under way.
pub(crate) struct Run {
    name: &'static str,
    seed: u64,
    started: Instant,
    rounds: u64,
    harms: u64,
    faults: Faults,
}

impl Run {
    pub(crate) fn begin(name: &'static str, seed: u64, rounds: u64) -> Self {
        println!("sim {name}: {rounds} rounds, seed {seed}");
        Self { name, seed, started: Instant::now(), rounds: 0, harms: 0, faults: Faults::default() }
    }

    /// Notes how a round ended. False: something is wrong, and what is left is worth a look.
    pub(crate) async fn round(&mut self, scene: &mut Scene, harms: u64, faults: Faults) -> bool {
        self.rounds += 1;
        self.harms += harms;
        let rows = scene.expected_rows();
        if self.rounds.is_multiple_of(PROGRESS_EVERY) {
            let seconds = self.started.elapsed().as_secs();
            println!("round {:4}: {:5} harms, {rows:8} rows, {seconds} s", self.rounds, self.harms);
        }
        if faults.is_none() {
            return true;
        }
        println!("round {}: {faults}", self.rounds);
        println!("{}\n{}", scene.status().await, scene.fleet.post_mortem());
        println!("the fleet's directory is kept: {:?}", scene.fleet.keep());
        self.faults = faults;
        false
    }

    /// Reads everything again and prints the table. True: nothing was wrong.
    pub(crate) async fn end(self, scene: &mut Scene) -> Result<bool> {
        let faults = match self.faults.is_none() {
            true => scene.read_again().await?,
            false => self.faults.clone(),
        };
        if self.faults.is_none() && !faults.is_none() {
            println!("reading everything again: {faults}\nkept: {:?}", scene.fleet.keep());
        }
        let mut table = Table::new([
            "sim",
            "seed",
            "rounds",
            "harms",
            "files",
            "rows",
            "lost",
            "doubled",
            "altered",
            "disordered",
            "seconds",
        ]);
        table.row([
            self.name.to_owned(),
            self.seed.to_string(),
            self.rounds.to_string(),
            self.harms.to_string(),
            scene.dropped_files().to_string(),
            scene.expected_rows().to_string(),
            faults.lost.to_string(),
            faults.doubled.to_string(),
            faults.altered.to_string(),
            faults.disordered.to_string(),
            self.started.elapsed().as_secs().to_string(),
        ]);
        println!("\n{table}");
        Ok(faults.is_none())
    }
}
