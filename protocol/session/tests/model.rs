//! The session machines keep their promises in ten thousand failing worlds.

use std::thread;

use towpath_session::model::{Report, explore};

const SEEDS: u64 = 10_000;

#[test]
fn no_schedule_of_faults_loses_repeats_or_reorders_anything() {
    let workers = thread::available_parallelism().map_or(1, |n| n.get() as u64);
    let share = SEEDS.div_ceil(workers);
    let explorers: Vec<_> =
        (0..workers).map(|worker| thread::spawn(move || explore(worker * share, share))).collect();
    let mut total = Report::default();
    for explorer in explorers {
        let report = explorer.join().unwrap().unwrap_or_else(|failure| panic!("{failure}"));
        total.seeds += report.seeds;
        total.steps += report.steps;
        total.connections += report.connections;
    }
    println!("{total:?}");
    assert!(total.seeds >= SEEDS);
    assert!(
        total.connections > 2 * SEEDS,
        "too few connections were lost for this to prove anything: {total:?}"
    );
}
