//! What a log promises to many appenders at once.

#![allow(clippy::unwrap_used, reason = "a test that cannot set up its scene may panic")]

use std::path::Path;
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use bytes::Bytes;
use towpath_segment::batch::Limits;
use towpath_segment::simulated::{Faults, SimulatedStorage, Tear};
use towpath_segment::{AppendError, Config, GroupCommit, GroupCommitConfig, OnTrouble, SegmentLog, Storage};

const SURELY: Duration = Duration::from_secs(20);

fn start(storage: &SimulatedStorage, on_trouble: OnTrouble) -> GroupCommit<SimulatedStorage> {
    let config = Config { segment_bytes: 1024, max_record_bytes: 4096, first_index: 1 };
    let (log, _) = SegmentLog::open(storage.clone(), Path::new("/log"), config).unwrap();
    let limits = Limits { queue: 64, batch_bytes: 2048 };
    GroupCommit::start("test", log, GroupCommitConfig { limits, on_trouble }).unwrap()
}

fn append<S: Storage>(commit: &GroupCommit<S>, text: &str) -> Receiver<Result<u64, AppendError>> {
    let (sender, receiver) = channel();
    let parts = vec![Bytes::from_static(b"> "), Bytes::copy_from_slice(text.as_bytes())];
    commit.append(parts, Box::new(move |result| drop(sender.send(result))));
    receiver
}

#[test]
fn appenders_share_syncs_and_each_keeps_its_order() {
    let storage = SimulatedStorage::default();
    let commit = start(&storage, OnTrouble::Fail);
    std::thread::scope(|scope| {
        for appender in 0..4 {
            let commit = &commit;
            scope.spawn(move || {
                let receipts: Vec<_> = (0..250).map(|n| append(commit, &format!("{appender} {n}"))).collect();
                let indexes: Vec<u64> = receipts.iter().map(|r| r.recv().unwrap().unwrap()).collect();
                assert!(indexes.is_sorted(), "an appender's records changed places");
            });
        }
    });
    assert_eq!(commit.view().durable_index(), 1_001);
    assert!(storage.syncs() < 500, "{} syncs for 1,000 records", storage.syncs());
    assert_eq!(&commit.view().get(1).unwrap().unwrap()[..2], b"> ");
}

#[test]
fn what_was_acknowledged_survives_a_power_cut_at_that_moment() {
    let storage = SimulatedStorage::default();
    let commit = start(&storage, OnTrouble::Fail);
    for n in 0..50 {
        let index = append(&commit, &n.to_string()).recv().unwrap().unwrap();
        let after = start(&storage.power_cut(Tear::Prefix(0)), OnTrouble::Fail);
        assert_eq!(after.view().get(index).unwrap().unwrap(), format!("> {n}").as_bytes());
    }
}

#[test]
fn a_full_disk_fails_appends_or_makes_them_wait_as_configured() {
    let storage = SimulatedStorage::default();
    let commit = start(&storage, OnTrouble::Fail);
    append(&commit, "one").recv().unwrap().unwrap();
    let full = Faults { capacity: Some(commit.view().bytes()), ..Faults::default() };
    storage.set_faults(full);
    let refused = append(&commit, "two").recv().unwrap();
    assert!(matches!(refused, Err(AppendError::NoSpace(_))));
    storage.set_faults(Faults::default());
    assert_eq!(append(&commit, "three").recv().unwrap().unwrap(), 2);
    drop(commit);

    let commit = start(&storage, OnTrouble::Wait);
    storage.set_faults(full);
    let waiting = append(&commit, "four");
    assert!(waiting.recv_timeout(Duration::from_millis(400)).is_err());
    assert!(matches!(commit.stalled(), Some(AppendError::NoSpace(_))));
    storage.set_faults(Faults::default());
    assert_eq!(waiting.recv_timeout(SURELY).unwrap().unwrap(), 3);
}

#[test]
fn trimming_gives_space_to_appends_that_wait_for_it() {
    let storage = SimulatedStorage::default();
    let commit = start(&storage, OnTrouble::Wait);
    let text = "x".repeat(300);
    for _ in 0..12 {
        append(&commit, &text).recv().unwrap().unwrap();
    }
    storage.set_faults(Faults { capacity: Some(commit.view().bytes() + 200), ..Faults::default() });
    let waiting = append(&commit, &text);
    assert!(waiting.recv_timeout(Duration::from_millis(100)).is_err());
    commit.trim_before(12);
    assert_eq!(waiting.recv_timeout(SURELY).unwrap().unwrap(), 13);
}

#[test]
fn a_failed_sync_is_made_good_by_writing_again_what_was_not_acknowledged() {
    let storage = SimulatedStorage::default();
    let commit = start(&storage, OnTrouble::Wait);
    append(&commit, "one").recv().unwrap().unwrap();
    storage.set_faults(Faults { fail_sync: Some(storage.syncs() + 1), ..Faults::default() });
    let index = append(&commit, "two").recv_timeout(SURELY).unwrap().unwrap();
    let after = start(&storage.power_cut(Tear::Prefix(0)), OnTrouble::Fail);
    assert_eq!(after.view().get(index).unwrap().unwrap(), b"> two");
}

#[test]
fn a_failed_sync_fails_its_appends_and_the_next_ones_go_on() {
    let storage = SimulatedStorage::default();
    let commit = start(&storage, OnTrouble::Fail);
    storage.set_faults(Faults { fail_sync: Some(storage.syncs() + 1), ..Faults::default() });
    assert!(matches!(append(&commit, "one").recv().unwrap(), Err(AppendError::Poisoned(_))));
    assert_eq!(append(&commit, "two").recv().unwrap().unwrap(), 1);
}

#[test]
fn closing_finishes_what_was_sent_and_does_not_wait_for_a_disk_that_stays_full() {
    let storage = SimulatedStorage::default();
    let commit = start(&storage, OnTrouble::Wait);
    let receipts: Vec<_> = (0..60).map(|n| append(&commit, &n.to_string())).collect();
    drop(commit);
    assert!(receipts.iter().all(|receipt| receipt.recv().unwrap().is_ok()));

    let commit = start(&storage, OnTrouble::Wait);
    storage.set_faults(Faults { capacity: Some(0), ..Faults::default() });
    let stuck = append(&commit, "stuck");
    let began = Instant::now();
    drop(commit);
    assert!(began.elapsed() < SURELY);
    assert!(matches!(stuck.recv().unwrap(), Err(AppendError::NoSpace(_))));
}

#[test]
fn a_job_runs_between_what_was_queued_before_and_after_it() {
    let storage = SimulatedStorage::default();
    let commit = start(&storage, OnTrouble::Fail);
    append(&commit, "before");
    let (sender, receiver) = channel();
    assert!(commit.run(move |log| sender.send(log.clear().map(|()| log.next_index())).unwrap()));
    let after = append(&commit, "after");
    assert_eq!(receiver.recv().unwrap().unwrap(), 2);
    assert_eq!(after.recv().unwrap().unwrap(), 2);
    assert_eq!(commit.view().first_index(), 2);
}
