//! What opening makes of files that a crash, a bad disk or a hand has changed.

#![allow(clippy::unwrap_used, reason = "a test that cannot set up its scene may panic")]

use std::fs;
use std::path::{Path, PathBuf};

use towpath_segment::{
    Config, DiskStorage, OpenError, ReadError, Recovery, SEGMENT_HEADER_BYTES, SegmentLog, inspect,
};

const RECORD: usize = 20 + PAYLOAD;
const PAYLOAD: usize = 80;

/// Ten records to a segment.
fn config() -> Config {
    Config {
        segment_bytes: SEGMENT_HEADER_BYTES + 10 * RECORD as u64,
        max_record_bytes: 1024,
        first_index: 1,
    }
}

fn open(dir: &Path) -> (SegmentLog, Recovery) {
    SegmentLog::open(DiskStorage, dir, config()).unwrap()
}

fn payload(index: u64) -> [u8; PAYLOAD] {
    std::array::from_fn(|at| (at as u64 * 3 + index) as u8)
}

/// A log of these many records, each synced for itself, so that each proves the ones before.
fn filled(dir: &Path, count: u64) {
    let (mut log, _) = open(dir);
    for index in 1..=count {
        log.append(&[&payload(index)]).unwrap();
        log.sync().unwrap();
    }
}

fn file(dir: &Path, first: u64, ending: &str) -> PathBuf {
    dir.join(format!("{first:020}{ending}"))
}

fn damage(path: &Path, offset: usize) {
    let mut bytes = fs::read(path).unwrap();
    bytes[offset] ^= 0x40;
    fs::write(path, bytes).unwrap();
}

fn offset_of(place: usize) -> usize {
    SEGMENT_HEADER_BYTES as usize + place * RECORD
}

/// The indexes that can be read, and the ranges that are reported as lost.
fn read_all(log: &SegmentLog) -> (Vec<u64>, Vec<(u64, u64)>) {
    let (mut read, mut lost) = (Vec::new(), Vec::new());
    let mut reader = log.reader(log.first_index());
    loop {
        match reader.next() {
            Ok(Some(record)) => {
                assert_eq!(record.payload, payload(record.index));
                read.push(record.index);
            }
            Ok(None) => return (read, lost),
            Err(ReadError::Lost(range)) => lost.push((range.from, range.to)),
            Err(error) => panic!("{error}"),
        }
    }
}

fn all_but(count: u64, missing: &[u64]) -> Vec<u64> {
    (1..=count).filter(|index| !missing.contains(index)).collect()
}

#[test]
fn a_torn_last_record_is_cut_wherever_it_is_torn() {
    for kept in 0..RECORD {
        let dir = tempfile::tempdir().unwrap();
        filled(dir.path(), 5);
        let last = file(dir.path(), 1, ".seg");
        let mut bytes = fs::read(&last).unwrap();
        bytes.truncate(offset_of(4) + kept);
        fs::write(&last, bytes).unwrap();
        let (mut log, recovery) = open(dir.path());
        assert_eq!(recovery.cut.map_or(0, |cut| cut.bytes), kept as u64);
        assert!(recovery.lost.is_empty() && recovery.quarantined.is_empty());
        assert_eq!(read_all(&log).0, all_but(4, &[]));
        assert_eq!(log.append(&[&payload(5)]).unwrap(), 5);
        log.sync().unwrap();
        assert_eq!(read_all(&log).0, all_but(5, &[]));
    }
}

#[test]
fn damage_that_a_later_record_proves_to_be_a_loss_is_quarantined_and_the_rest_is_kept() {
    let dir = tempfile::tempdir().unwrap();
    filled(dir.path(), 8);
    damage(&file(dir.path(), 1, ".seg"), offset_of(3) + 25);
    let (mut log, recovery) = open(dir.path());
    assert_eq!(recovery.cut, None);
    let lost: Vec<_> = recovery.lost.iter().map(|lost| (lost.from, lost.to, lost.offset)).collect();
    assert_eq!(lost, [(4, 5, Some(offset_of(3) as u64))]);
    let [quarantined] = &recovery.quarantined[..] else { panic!("{recovery:?}") };
    assert_eq!(quarantined.kept_records, 7);
    assert!(quarantined.file.exists());
    let reason = fs::read_to_string(&quarantined.reason_file).unwrap();
    assert!(reason.contains("records 4 to 4") && reason.contains("checksum"), "{reason}");
    assert_eq!(read_all(&log), (all_but(8, &[4]), vec![(4, 5)]));
    assert_eq!(log.append(&[&payload(9)]).unwrap(), 9);
    log.sync().unwrap();
    drop(log);

    let (log, again) = open(dir.path());
    assert_eq!(again.lost.len(), 1, "a loss is forgotten before anybody dealt with it");
    assert_eq!(again.quarantined, []);
    assert_eq!(read_all(&log).0, all_but(9, &[4]));
}

#[test]
fn a_quarantined_segment_goes_when_its_records_are_trimmed() {
    let dir = tempfile::tempdir().unwrap();
    filled(dir.path(), 15);
    fs::remove_file(file(dir.path(), 1, ".idx")).unwrap();
    damage(&file(dir.path(), 1, ".seg"), offset_of(2));
    let (mut log, recovery) = open(dir.path());
    assert!(recovery.quarantined[0].file.exists());
    log.trim_before(12).unwrap();
    assert!(!recovery.quarantined[0].file.exists() && !recovery.quarantined[0].reason_file.exists());
    drop(log);
    assert!(open(dir.path()).1.is_clean());
}

#[test]
fn damage_in_a_sealed_segment_is_found_when_it_is_read_and_named_by_file_and_byte() {
    let dir = tempfile::tempdir().unwrap();
    filled(dir.path(), 35);
    let second = file(dir.path(), 11, ".seg");
    damage(&second, offset_of(6) + 50);
    let (log, recovery) = open(dir.path());
    assert!(recovery.is_clean(), "sealed segments are not read at opening: {recovery:?}");
    let error = log.view().get(17).unwrap_err();
    let said = error.to_string();
    assert!(
        said.contains(second.to_str().unwrap()) && said.contains(&format!("byte {}", offset_of(6))),
        "{said}"
    );
    assert_eq!(read_all(&log), (all_but(35, &[17]), vec![(17, 18)]));
}

#[test]
fn a_length_that_points_anywhere_does_not_hide_the_records_behind_it() {
    for byte in 0..4 {
        let dir = tempfile::tempdir().unwrap();
        filled(dir.path(), 35);
        damage(&file(dir.path(), 11, ".seg"), offset_of(6) + byte);
        let (log, _) = open(dir.path());
        assert_eq!(read_all(&log), (all_but(35, &[17]), vec![(17, 18)]), "byte {byte} of the length");
    }
}

#[test]
fn a_missing_segment_is_a_named_gap_and_its_numbers_are_not_given_again() {
    let dir = tempfile::tempdir().unwrap();
    filled(dir.path(), 35);
    fs::remove_file(file(dir.path(), 11, ".seg")).unwrap();
    let (log, recovery) = open(dir.path());
    assert_eq!(recovery.lost.iter().map(|lost| (lost.from, lost.to)).collect::<Vec<_>>(), [(11, 21)]);
    let (read, lost) = read_all(&log);
    assert_eq!((read.len(), lost), (25, vec![(11, 21)]));
    assert_eq!(log.next_index(), 36);
}

#[test]
fn a_sealed_segment_that_was_cut_short_loses_its_end_only() {
    let dir = tempfile::tempdir().unwrap();
    filled(dir.path(), 25);
    let first = file(dir.path(), 1, ".seg");
    let bytes = fs::read(&first).unwrap();
    fs::write(&first, &bytes[..offset_of(7) + 30]).unwrap();
    let (log, recovery) = open(dir.path());
    assert_eq!(recovery.lost.iter().map(|lost| (lost.from, lost.to)).collect::<Vec<_>>(), [(8, 11)]);
    assert_eq!(read_all(&log), (all_but(25, &[8, 9, 10]), vec![(8, 11)]));
}

#[test]
fn a_damaged_header_costs_no_record() {
    let dir = tempfile::tempdir().unwrap();
    filled(dir.path(), 25);
    for first in [11, 21] {
        damage(&file(dir.path(), first, ".seg"), 20);
    }
    let (log, recovery) = open(dir.path());
    assert_eq!((recovery.lost.len(), recovery.quarantined.len()), (0, 2));
    assert_eq!(read_all(&log), (all_but(25, &[]), vec![]));
    drop(log);
    assert!(open(dir.path()).1.is_clean());
}

#[test]
fn a_segment_that_was_never_born_is_removed_and_numbers_before_it_stay_taken() {
    let dir = tempfile::tempdir().unwrap();
    filled(dir.path(), 9);
    // The successor's birth proves that ten records were durable; the tenth is then damaged.
    let (mut log, _) = open(dir.path());
    log.append(&[&payload(10)]).unwrap();
    log.sync().unwrap();
    drop(log);
    fs::write(file(dir.path(), 11, ".seg"), b"TOWPS").unwrap();
    damage(&file(dir.path(), 1, ".seg"), offset_of(9) + 30);
    let (mut log, recovery) = open(dir.path());
    assert!(!file(dir.path(), 11, ".seg").exists());
    assert_eq!(recovery.lost.iter().map(|lost| (lost.from, lost.to)).collect::<Vec<_>>(), [(10, 11)]);
    assert_eq!(log.append(&[&payload(11)]).unwrap(), 11, "the number of a lost record was given again");
    log.sync().unwrap();
    assert_eq!(read_all(&log), (all_but(11, &[10]), vec![(10, 11)]));
}

#[test]
fn numbers_that_are_known_to_be_given_are_left_out_and_found_lost() {
    let dir = tempfile::tempdir().unwrap();
    filled(dir.path(), 3);
    let (mut log, _) = open(dir.path());
    log.advance_to(2).unwrap();
    assert_eq!(log.next_index(), 4, "the log went back");
    log.advance_to(8).unwrap();
    log.advance_to(9).unwrap();
    assert_eq!(log.append(&[&payload(9)]).unwrap(), 9);
    log.sync().unwrap();
    assert_eq!(read_all(&log), (vec![1, 2, 3, 9], vec![(4, 8), (8, 9)]));
    drop(log);
    let (log, recovery) = open(dir.path());
    assert_eq!(recovery.lost.iter().map(|lost| (lost.from, lost.to)).collect::<Vec<_>>(), [(4, 8), (8, 9)]);
    assert_eq!((read_all(&log).0, log.next_index()), (vec![1, 2, 3, 9], 10));
}

#[test]
fn a_quarantine_that_was_interrupted_is_completed() {
    let dir = tempfile::tempdir().unwrap();
    filled(dir.path(), 25);
    let (segment, salvage) = (file(dir.path(), 11, ".seg"), file(dir.path(), 11, ".seg.salvage"));
    // As after the first rename: the damaged file is aside, the copy has not got its name.
    fs::copy(&segment, &salvage).unwrap();
    fs::rename(&segment, file(dir.path(), 11, ".seg.quarantined")).unwrap();
    let (log, recovery) = open(dir.path());
    assert!(recovery.lost.is_empty() && segment.exists() && !salvage.exists());
    assert_eq!(read_all(&log).0, all_but(25, &[]));
    drop(log);
    // As before it: the copy is only half made.
    fs::write(&salvage, b"half").unwrap();
    let (log, _) = open(dir.path());
    assert!(!salvage.exists());
    assert_eq!(read_all(&log).0, all_but(25, &[]));
}

#[test]
fn a_segment_of_a_newer_release_is_neither_read_nor_put_aside() {
    let dir = tempfile::tempdir().unwrap();
    filled(dir.path(), 5);
    let path = file(dir.path(), 1, ".seg");
    let mut bytes = fs::read(&path).unwrap();
    bytes[8] = 2;
    let crc = crc32c::crc32c_append(crc32c::crc32c(&bytes[..12]), &bytes[16..32]);
    bytes[12..16].copy_from_slice(&crc.to_le_bytes());
    fs::write(&path, &bytes).unwrap();
    let error = SegmentLog::open(DiskStorage, dir.path(), config()).unwrap_err();
    assert!(matches!(error, OpenError::Version { found: 2, .. }), "{error}");
    assert!(error.to_string().contains("newer release"), "{error}");
    assert_eq!(fs::read(&path).unwrap(), bytes);
}

#[test]
fn an_inspection_changes_nothing_and_finds_what_an_opening_would() {
    let dir = tempfile::tempdir().unwrap();
    filled(dir.path(), 35);
    damage(&file(dir.path(), 11, ".seg"), offset_of(6) + 50);
    let listing = |dir: &Path| {
        let mut files: Vec<_> = fs::read_dir(dir)
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .map(|path| (path.clone(), fs::read(path).unwrap()))
            .collect();
        files.sort();
        files
    };
    let before = listing(dir.path());
    let mut seen = Vec::new();
    let found = inspect(&DiskStorage, dir.path(), |record| {
        assert_eq!(record.payload, payload(record.index));
        assert_eq!(record.offset, offset_of((record.index as usize - 1) % 10) as u64);
        seen.push(record.index);
    })
    .unwrap();
    assert_eq!(seen, all_but(35, &[17]));
    assert!(!found.is_sound());
    assert_eq!((found.segments, found.records, found.lost.len()), (4, 34, 1));
    assert_eq!(listing(dir.path()), before);
}

#[test]
fn an_inspection_finds_every_flipped_byte_and_names_the_file() {
    let dir = tempfile::tempdir().unwrap();
    filled(dir.path(), 25);
    let look = || inspect(&DiskStorage, dir.path(), |_| {}).unwrap();
    let sound = look();
    assert!(sound.is_sound() && sound.damaged_sidecars.is_empty() && sound.unfinished.is_none(), "{sound:?}");
    let files = fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().path());
    let mut kinds = Vec::new();
    for path in files.filter(|path| path.extension().is_some_and(|kind| kind == "seg" || kind == "idx")) {
        let good = fs::read(&path).unwrap();
        for at in 0..good.len() {
            let mut bad = good.clone();
            bad[at] ^= 1 << (at % 8);
            fs::write(&path, bad).unwrap();
            let found = look();
            let named = found.damaged_headers.contains(&path)
                || found.lost.iter().any(|lost| lost.file == path)
                || found.damaged_sidecars.contains(&(path.clone(), at as u64))
                || found.unfinished.as_ref().is_some_and(|cut| cut.file == path);
            assert!(named, "byte {at} of {}: {found:?}", path.display());
        }
        for longer in [true, false] {
            let resized = if longer { [&good[..], b"x"].concat() } else { good[..good.len() - 1].to_vec() };
            fs::write(&path, resized).unwrap();
            let found = look();
            let named =
                !found.lost.is_empty() || !found.damaged_sidecars.is_empty() || found.unfinished.is_some();
            assert!(named, "{} with another end: {found:?}", path.display());
        }
        fs::write(&path, good).unwrap();
        kinds.push(path.extension().unwrap().to_owned());
    }
    assert!(kinds.iter().any(|kind| kind == "idx") && kinds.iter().any(|kind| kind == "seg"));
    assert_eq!(look(), sound);
}
