//! Many use one enrolment token at once, while the control plane is killed now and then; and two use one identity.

use std::time::{Duration, Instant};

use anyhow::Result;
use towpath_tests::race::Race;
use towpath_tests::table::Table;

use crate::Options;

const ROUNDS: u64 = 1_000;
const RACERS: usize = 100;
/// Once in so many rounds the control plane is killed while it goes on.
const KILL_EVERY: u64 = 10;
/// One identity is doubled for so many rounds, at least once.
const ROUNDS_PER_DOUBLE: u64 = 100;
const PROGRESS_EVERY: u64 = 100;

pub(crate) async fn run(options: Options) -> Result<bool> {
    let (rounds, seed) = (options.rounds_or(ROUNDS), options.seed());
    println!("sim enrol-race: {rounds} rounds, seed {seed}");
    let started = Instant::now();
    let mut race = Race::start(RACERS, seed).await?;
    let outcome = play(&mut race, rounds, started).await;
    let score = race.score;
    let mut table = Table::new([
        "sim",
        "seed",
        "rounds",
        "uses",
        "won",
        "refused",
        "unanswered",
        "kills",
        "doubles",
        "fenced within",
        "seconds",
    ]);
    let (doubles, slowest) = *outcome.as_ref().unwrap_or(&(0, Duration::ZERO));
    table.row([
        "enrol-race".to_owned(),
        seed.to_string(),
        score.rounds.to_string(),
        score.uses.to_string(),
        score.won.to_string(),
        score.refused.to_string(),
        score.unanswered.to_string(),
        score.kills.to_string(),
        doubles.to_string(),
        format!("{:.2} s", slowest.as_secs_f64()),
        started.elapsed().as_secs().to_string(),
    ]);
    println!("\n{table}");
    let Err(broken) = outcome else { return Ok(true) };
    println!("round {}: {broken:#}", score.rounds);
    println!("{}\nthe fleet's directory is kept: {:?}", race.fleet.post_mortem(), race.fleet.keep());
    Ok(false)
}

/// Plays all rounds, then doubles identities. Returns how many, and how long the slowest took to be cut off.
async fn play(race: &mut Race, rounds: u64, started: Instant) -> Result<(u64, Duration)> {
    for round in 1..=rounds {
        if round % KILL_EVERY == 0 {
            race.round_with_kill().await?;
        } else {
            race.round().await?;
        }
        if round % PROGRESS_EVERY == 0 {
            println!("round {round:5}: {} uses, {} s", race.score.uses, started.elapsed().as_secs());
        }
    }
    let (doubles, mut slowest) = (rounds.div_ceil(ROUNDS_PER_DOUBLE), Duration::ZERO);
    for double in 0..doubles {
        slowest = slowest.max(race.double(&format!("doubled-{double}")).await?);
    }
    race.check().await?;
    Ok((doubles, slowest))
}
