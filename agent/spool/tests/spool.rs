//! What the spool promises to those who fill it and those who empty it.

#![allow(clippy::unwrap_used, reason = "a test that cannot set up its scene may panic")]

mod support;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use support::{chain, frame, lane};
use tokio::time::timeout;
use towpath_segment::simulated::{Faults, SimulatedStorage, Tear};
use towpath_spool::{LaneQueue, Spool, SpoolConfig, SpoolError, WaitReason, check};

const SOON: Duration = Duration::from_millis(600);
const SURELY: Duration = Duration::from_secs(20);

fn small() -> SpoolConfig {
    SpoolConfig { max_bytes: 64 << 10, min_free_bytes: 0, segment_bytes: 8 << 10 }
}

fn roomy() -> SpoolConfig {
    SpoolConfig { max_bytes: 64 << 20, ..small() }
}

fn open(dir: &Path, config: SpoolConfig) -> Spool {
    let (spool, recoveries) = Spool::open(dir, config).unwrap();
    assert_eq!(recoveries, []);
    spool
}

fn segments(dir: &Path, lane: &towpath_record::LaneId) -> Vec<PathBuf> {
    let entries = fs::read_dir(dir.join(lane.to_string())).unwrap();
    let mut files: Vec<_> =
        entries.map(|e| e.unwrap().path()).filter(|p| p.extension().is_some_and(|e| e == "seg")).collect();
    files.sort();
    files
}

#[tokio::test]
async fn frames_come_back_in_order_and_byte_for_byte_also_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let frames = chain(&lane(1), 40, 900);
    {
        let spool = open(dir.path(), roomy());
        let queue = spool.lane(&lane(1)).unwrap();
        let mut receipts = Vec::new();
        for frame in &frames {
            receipts.push(queue.enqueue(frame.clone()).await.unwrap());
        }
        for (receipt, frame) in receipts.into_iter().zip(&frames) {
            assert_eq!(receipt.await.unwrap(), frame.link());
        }
    }
    let spool = open(dir.path(), roomy());
    let queue = spool.lane(&lane(1)).unwrap();
    assert_eq!(queue.head().unwrap().link, frames[39].link());
    assert_eq!(queue.tail().unwrap().unwrap().link, frames[0].link());
    let mut reader = queue.reader(0);
    for frame in &frames {
        assert_eq!(reader.next().await.unwrap().bytes(), frame.bytes());
    }
    assert!(reader.try_next().unwrap().is_none());
    let mut later = queue.reader(25);
    assert_eq!(later.next().await.unwrap().header().seq, 26);
}

#[tokio::test]
async fn a_reader_that_waits_gets_the_next_frame_when_it_is_durable() {
    let dir = tempfile::tempdir().unwrap();
    let queue = open(dir.path(), roomy()).lane(&lane(1)).unwrap();
    let mut reader = queue.reader(0);
    let waiting = tokio::spawn(async move { reader.next().await.unwrap().header().seq });
    tokio::time::sleep(Duration::from_millis(20)).await;
    assert!(!waiting.is_finished());
    queue.append(frame(&lane(1), 1, None, 100)).await.unwrap();
    assert_eq!(timeout(SURELY, waiting).await.unwrap().unwrap(), 1);
}

#[tokio::test]
async fn a_full_spool_makes_the_source_wait_and_goes_on_when_frames_are_shipped() {
    let dir = tempfile::tempdir().unwrap();
    let spool = open(dir.path(), small());
    let queue = spool.lane(&lane(1)).unwrap();
    let frames = chain(&lane(1), 30, 4_000);
    let mut spooled = 0;
    while let Ok(receipt) = timeout(SOON, queue.append(frames[spooled].clone())).await {
        receipt.unwrap();
        spooled += 1;
    }
    assert!((10..20).contains(&spooled), "{spooled} frames of 4 KB fit into 64 KiB");

    let waiting = tokio::spawn({
        let (queue, frame) = (queue.clone(), frames[spooled].clone());
        async move { queue.append(frame).await }
    });
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert!(matches!(queue.waiting(), Some(WaitReason::Full { .. })), "{:?}", queue.waiting());
    assert!(spool.held_bytes() <= small().max_bytes);

    queue.trim_through(5);
    timeout(SURELY, waiting).await.unwrap().unwrap().unwrap();
    assert_eq!(queue.waiting(), None);
    let mut reader = queue.reader(5);
    for expected in 6..=spooled as u64 + 1 {
        assert_eq!(reader.next().await.unwrap().header().seq, expected, "a frame was dropped");
    }
}

#[tokio::test]
async fn the_bound_is_shared_by_all_lanes() {
    let dir = tempfile::tempdir().unwrap();
    let spool = open(dir.path(), small());
    let (one, two) = (spool.lane(&lane(1)).unwrap(), spool.lane(&lane(2)).unwrap());
    for frame in chain(&lane(1), 14, 4_000) {
        one.append(frame).await.unwrap();
    }
    let first_of_two = frame(&lane(2), 1, None, 20_000);
    assert!(
        timeout(SOON, two.append(first_of_two.clone())).await.is_err(),
        "lane 2 was not held back by lane 1"
    );
    one.trim_through(14);
    timeout(SURELY, two.append(first_of_two)).await.unwrap().unwrap();
}

#[tokio::test]
async fn everything_shipped_leaves_nothing_held_and_little_on_the_disk() {
    let dir = tempfile::tempdir().unwrap();
    let spool = open(dir.path(), roomy());
    let queue = spool.lane(&lane(1)).unwrap();
    let frames = chain(&lane(1), 100, 1_000);
    for frame in &frames {
        queue.append(frame.clone()).await.unwrap();
    }
    assert!(queue.stats().bytes >= 100_000);
    assert_eq!(queue.stats().oldest_captured_at_us, Some(1_000_000));
    queue.trim_through(100);
    assert_eq!((queue.stats().frames, queue.stats().bytes, spool.held_bytes()), (0, 0, 0));
    assert_eq!(queue.stats().oldest_captured_at_us, None);
    wait_for("old segments to go", || segments(dir.path(), &lane(1)).len() == 1).await;
    let next = frame(&lane(1), 1, Some(frames[99].link()), 10);
    queue.append(next).await.unwrap();
    assert_eq!(queue.tail().unwrap().unwrap().link.seq, 101);
}

#[tokio::test]
async fn a_frame_that_does_not_follow_is_refused_and_named() {
    let dir = tempfile::tempdir().unwrap();
    let queue = open(dir.path(), roomy()).lane(&lane(1)).unwrap();
    let frames = chain(&lane(1), 3, 10);
    queue.append(frames[0].clone()).await.unwrap();
    let gap = queue.enqueue(frames[2].clone()).await.unwrap_err();
    assert!(matches!(gap, SpoolError::OutOfOrder { .. }), "{gap}");
    assert!(gap.to_string().contains("seq 3") && gap.to_string().contains("seq 1"), "{gap}");
    let other = queue.enqueue(frame(&lane(2), 1, None, 10)).await.unwrap_err();
    assert!(matches!(other, SpoolError::OtherLane { .. }), "{other}");
    queue.append(frames[1].clone()).await.unwrap();
}

#[tokio::test]
async fn a_reset_lane_begins_anew_under_another_epoch() {
    let dir = tempfile::tempdir().unwrap();
    let spool = open(dir.path(), roomy());
    let queue = spool.lane(&lane(1)).unwrap();
    for frame in chain(&lane(1), 20, 1_000) {
        queue.append(frame).await.unwrap();
    }
    let mut old_reader = queue.reader(3);
    queue.reset().await.unwrap();
    assert!(matches!(old_reader.next().await, Err(SpoolError::Gone { .. })));
    assert_eq!((queue.head(), spool.held_bytes()), (None, 0));
    let resumed = towpath_record::Link { epoch: 1, seq: 56, crc: 7 };
    queue.append(frame(&lane(1), 2, Some(resumed), 10)).await.unwrap();
    drop((queue, old_reader, spool));

    let spool = open(dir.path(), roomy());
    let mut reader = spool.lane(&lane(1)).unwrap().reader(0);
    let only = reader.next().await.unwrap();
    assert_eq!((only.header().epoch, only.header().seq), (2, 57));
}

#[tokio::test]
async fn a_removed_lane_leaves_nothing_behind() {
    let dir = tempfile::tempdir().unwrap();
    let spool = open(dir.path(), roomy());
    for number in [1, 2] {
        let frames = chain(&lane(number), 1, 1_000);
        spool.lane(&lane(number)).unwrap().append(frames[0].clone()).await.unwrap();
    }
    spool.remove_lane(&lane(1)).await.unwrap();
    let left: Vec<_> = fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, [std::ffi::OsString::from(lane(2).to_string())]);
    assert_eq!(spool.lanes().len(), 1);
}

#[tokio::test]
async fn a_reset_does_not_wait_for_a_frame_that_waits_for_room() {
    let dir = tempfile::tempdir().unwrap();
    let spool = open(dir.path(), small());
    let (one, two) = (spool.lane(&lane(1)).unwrap(), spool.lane(&lane(2)).unwrap());
    for frame in chain(&lane(1), 14, 4_000) {
        one.append(frame).await.unwrap();
    }
    let stuck = tokio::spawn({
        let two = two.clone();
        async move { two.append(frame(&lane(2), 1, None, 20_000)).await }
    });
    tokio::time::sleep(Duration::from_millis(50)).await;
    timeout(SURELY, two.reset()).await.expect("the reset waits for room").unwrap();
    assert!(matches!(stuck.await.unwrap(), Err(SpoolError::Gone { seq: 1, .. })));
}

#[tokio::test]
async fn a_bit_flipped_on_the_disk_breaks_the_lane_until_it_is_reset() {
    let dir = tempfile::tempdir().unwrap();
    let frames = chain(&lane(1), 40, 1_000);
    {
        let queue = open(dir.path(), roomy()).lane(&lane(1)).unwrap();
        for frame in &frames {
            queue.append(frame.clone()).await.unwrap();
        }
    }
    let second = segments(dir.path(), &lane(1))[1].clone();
    let mut bytes = fs::read(&second).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&second, bytes).unwrap();
    assert!(!check(dir.path()).unwrap().is_sound());

    let (spool, _) = Spool::open(dir.path(), roomy()).unwrap();
    let queue = spool.lane(&lane(1)).unwrap();
    let error = read_all(&queue).await.unwrap_err();
    let SpoolError::Broken { damage, .. } = &error else { panic!("{error}") };
    let lost = damage.lost.clone().unwrap();
    assert!(lost.end - lost.start == 1 && (2..40).contains(&lost.start), "{lost:?}");
    assert!(error.to_string().contains(second.to_str().unwrap()), "{error}");
    assert!(queue.damage().is_some());
    let next = frame(&lane(1), 1, Some(frames[39].link()), 10);
    assert!(matches!(queue.enqueue(next).await, Err(SpoolError::Broken { .. })));

    queue.reset().await.unwrap();
    queue.append(frame(&lane(1), 2, Some(frames[4].link()), 10)).await.unwrap();
    assert!(check(dir.path()).unwrap().is_sound());
}

#[tokio::test]
async fn a_missing_segment_is_reported_when_the_spool_opens() {
    let dir = tempfile::tempdir().unwrap();
    {
        let queue = open(dir.path(), roomy()).lane(&lane(1)).unwrap();
        for frame in chain(&lane(1), 40, 1_000) {
            queue.append(frame).await.unwrap();
        }
    }
    fs::remove_file(&segments(dir.path(), &lane(1))[2]).unwrap();
    let (spool, recoveries) = Spool::open(dir.path(), roomy()).unwrap();
    let damage = recoveries[0].damage.clone().unwrap();
    assert!(damage.lost.unwrap().start > 10);
    assert!(spool.lane(&lane(1)).unwrap().damage().is_some());
}

#[tokio::test]
async fn a_torn_end_is_cut_and_only_what_was_not_acknowledged_goes_with_it() {
    let dir = tempfile::tempdir().unwrap();
    let frames = chain(&lane(1), 5, 500);
    {
        let queue = open(dir.path(), roomy()).lane(&lane(1)).unwrap();
        for frame in &frames {
            queue.append(frame.clone()).await.unwrap();
        }
    }
    let last = segments(dir.path(), &lane(1)).pop().unwrap();
    let mut bytes = fs::read(&last).unwrap();
    bytes.extend_from_slice(&[7; 33]);
    fs::write(&last, bytes).unwrap();
    let (spool, recoveries) = Spool::open(dir.path(), roomy()).unwrap();
    assert_eq!(recoveries[0].recovery.cut.as_ref().unwrap().bytes, 33);
    assert_eq!(recoveries[0].damage, None);
    let queue = spool.lane(&lane(1)).unwrap();
    assert_eq!(queue.head().unwrap().link, frames[4].link());
    queue.append(frame(&lane(1), 1, Some(frames[4].link()), 10)).await.unwrap();
}

#[tokio::test]
async fn a_full_disk_makes_the_source_wait_and_no_frame_is_lost() {
    let storage = SimulatedStorage::default();
    let (spool, _) = Spool::open_on(storage.clone(), Path::new("/spool"), &[], roomy()).unwrap();
    let queue = spool.lane(&lane(1)).unwrap();
    let frames = chain(&lane(1), 20, 1_000);
    queue.append(frames[0].clone()).await.unwrap();
    storage.set_faults(Faults { capacity: Some(6_000), ..Faults::default() });
    let source = tokio::spawn({
        let (queue, frames) = (queue.clone(), frames.clone());
        async move {
            for frame in &frames[1..] {
                queue.append(frame.clone()).await.unwrap();
            }
        }
    });
    wait_for("the lane to say that it waits", || queue.is_full()).await;
    assert!(!source.is_finished());
    storage.set_faults(Faults::default());
    timeout(SURELY, source).await.unwrap().unwrap();
    assert_eq!(queue.waiting(), None);
    let mut reader = queue.reader(0);
    for frame in &frames {
        assert_eq!(reader.next().await.unwrap().bytes(), frame.bytes());
    }
}

#[tokio::test]
async fn after_a_failed_sync_nothing_is_acknowledged_that_a_power_cut_takes() {
    let storage = SimulatedStorage::default();
    let (spool, _) = Spool::open_on(storage.clone(), Path::new("/spool"), &[], roomy()).unwrap();
    let queue = spool.lane(&lane(1)).unwrap();
    let frames = chain(&lane(1), 6, 100);
    for (at, frame) in frames.iter().enumerate() {
        if at == 3 {
            storage.set_faults(Faults { fail_sync: Some(storage.syncs() + 1), ..Faults::default() });
        }
        timeout(SURELY, queue.append(frame.clone())).await.unwrap().unwrap();
    }
    let after = storage.power_cut(Tear::Prefix(0));
    let (spool, recoveries) = Spool::open_on(after, Path::new("/spool"), &[lane(1)], roomy()).unwrap();
    assert_eq!(recoveries, []);
    let mut reader = spool.lane(&lane(1)).unwrap().reader(0);
    for frame in &frames {
        assert_eq!(reader.next().await.unwrap().bytes(), frame.bytes());
    }
}

/// Shippers and sources at once, on a spool that is far too small, with a disk that fails now and then; whatever is
/// acknowledged is there, in order, after the power is cut.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_acknowledged_is_lost_while_lanes_fill_and_empty_under_a_failing_disk() {
    let storage = SimulatedStorage::default();
    let config = SpoolConfig { max_bytes: 40 << 10, min_free_bytes: 0, segment_bytes: 4 << 10 };
    let (spool, _) = Spool::open_on(storage.clone(), Path::new("/spool"), &[], config).unwrap();
    let mut tasks = Vec::new();
    for number in 1..=3 {
        let queue = spool.lane(&lane(number)).unwrap();
        let frames = chain(&lane(number), 150, 700);
        let source = queue.clone();
        tasks.push(tokio::spawn(async move {
            for frame in frames {
                source.append(frame).await.unwrap();
            }
        }));
        tasks.push(tokio::spawn(async move {
            let mut reader = queue.reader(0);
            for expected in 1..=140 {
                let seq = reader.next().await.unwrap().header().seq;
                assert_eq!(seq, expected, "lane {number}");
                queue.trim_through(seq.saturating_sub(3));
            }
        }));
    }
    let failing = tokio::spawn({
        let storage = storage.clone();
        async move {
            // Now and then, so that a retry, which takes two syncs, also succeeds.
            for ahead in (1..=9).cycle() {
                storage.set_faults(Faults { fail_sync: Some(storage.syncs() + ahead), ..Faults::default() });
                tokio::time::sleep(Duration::from_millis(40)).await;
            }
        }
    });
    for task in tasks {
        timeout(SURELY * 3, task).await.expect("the spool is stuck").unwrap();
    }
    failing.abort();
    let lanes = [lane(1), lane(2), lane(3)];
    let after = storage.power_cut(Tear::Prefix(0));
    let (spool, recoveries) = Spool::open_on(after, Path::new("/spool"), &lanes, config).unwrap();
    assert_eq!(recoveries, []);
    for lane in &lanes {
        let queue = spool.lane(lane).unwrap();
        assert_eq!(queue.head().unwrap().link.seq, 150);
        let mut reader = queue.reader(137);
        for seq in 138..=150 {
            assert_eq!(reader.next().await.unwrap().header().seq, seq);
        }
    }
}

#[tokio::test]
async fn a_spool_in_use_is_not_opened_twice() {
    let dir = tempfile::tempdir().unwrap();
    let spool = open(dir.path(), roomy());
    spool.lane(&lane(1)).unwrap();
    let error = Spool::open(dir.path(), roomy()).unwrap_err();
    let cause = std::error::Error::source(&error).unwrap().to_string();
    assert!(cause.contains(&format!("process {}", std::process::id())), "{cause}");
}

async fn read_all(queue: &LaneQueue) -> Result<u64, SpoolError> {
    let mut reader = queue.reader(0);
    let mut count = 0;
    while let Some(frame) = reader.try_next()? {
        count += 1;
        assert_eq!(frame.header().seq, count);
    }
    Ok(count)
}

async fn wait_for(what: &str, done: impl Fn() -> bool) {
    for _ in 0..200 {
        if done() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("waited in vain for {what}");
}
