//! The state machines of the link under virtual time, seed by seed against a reference model.

use std::time::Instant;

use anyhow::{Result, anyhow};
use towpath_session::model::{Report, explore};

use crate::Options;

const SEEDS: u64 = 1_000_000;
const SEEDS_PER_STEP: u64 = 10_000;

pub(crate) fn run(options: Options) -> Result<bool> {
    let (seeds, first) = (options.rounds_or(SEEDS), options.seed());
    println!("sim session: {seeds} seeds from {first}");
    let (started, mut total) = (Instant::now(), Report::default());
    while total.seeds < seeds {
        let step = SEEDS_PER_STEP.min(seeds - total.seeds);
        match explore_on_all_cores(first + total.seeds, step)? {
            Ok(report) => add(&mut total, report),
            Err(broken) => {
                println!("{broken}");
                return Ok(false);
            }
        }
        println!("{:9} seeds, {} s", total.seeds, started.elapsed().as_secs());
    }
    println!(
        "{} seeds, {} connections, {} steps: nothing broken",
        total.seeds, total.connections, total.steps
    );
    Ok(true)
}

fn explore_on_all_cores(first: u64, seeds: u64) -> Result<Result<Report, String>> {
    let cores = std::thread::available_parallelism().map_or(1, |n| n.get() as u64);
    let share = seeds.div_ceil(cores);
    std::thread::scope(|scope| {
        let starts = (0..cores).map(|core| first + core * share);
        let spans = starts.map(|start| (start, share.min((first + seeds).saturating_sub(start))));
        let workers: Vec<_> = spans.map(|(start, span)| scope.spawn(move || explore(start, span))).collect();
        let mut total = Report::default();
        for worker in workers {
            match worker.join().map_err(|_| anyhow!("an explorer panicked"))? {
                Ok(report) => add(&mut total, report),
                Err(failure) => return Ok(Err(failure.to_string())),
            }
        }
        Ok(Ok(total))
    })
}

fn add(total: &mut Report, report: Report) {
    total.seeds += report.seeds;
    total.steps += report.steps;
    total.connections += report.connections;
}
