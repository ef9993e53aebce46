//! The trail cannot lie: what was changed, cut off or forged is found and named, and what retention removes leaves a
//! signed trace.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use towpath_audit::{Line, Verification, Verifier};
use towpath_catalog::{Catalog, Mark, OpenError};
use towpath_resource::Kind;

use crate::fixture::*;

const DAY: u64 = 24 * 3_600;

/// Every file of the trail in this directory whose bytes count, with what the lock and the projection hold left out.
fn files(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for part in ["events", "checkpoints", "snapshots"] {
        let Ok(entries) = fs::read_dir(dir.join(part)) else { continue };
        found.extend(
            entries.map(|entry| entry.unwrap().path()).filter(|path| path.file_name().unwrap() != "lock"),
        );
    }
    found.sort();
    found
}

/// A catalog whose trail has every kind of file: sealed segments with sparse indexes, checkpoints, an anchor and its
/// snapshot.
fn aged(dir: &tempfile::TempDir) -> Catalog {
    let (config, clock) = config();
    let (catalog, _) = Catalog::open(dir.path(), config).unwrap();
    for month in 0..3 {
        for n in 0..2 {
            catalog.put(site(&format!("site-{month}-{n}"))).unwrap();
        }
        assert!(catalog.checkpoint().unwrap());
        clock.advance(30 * DAY as i64);
        catalog.retain(Duration::from_secs(45 * DAY)).unwrap();
    }
    catalog.put(site("last")).unwrap();
    catalog
}

fn named(found: &Verification) -> String {
    found.findings.iter().map(|finding| format!("{finding}\n")).collect()
}

#[test]
fn an_untouched_trail_is_sound() {
    let dir = tempfile::tempdir().unwrap();
    let catalog = aged(&dir);
    let found = catalog.verify().unwrap();
    assert_eq!(named(&found), "");
    assert!(found.first > 1, "retention removed some");
    assert_eq!((found.last, found.head), (7, catalog.state().head));
    assert_eq!(found.vouched, 6, "the last event is not signed yet");
    assert!(files(dir.path()).iter().any(|path| path.extension().is_some_and(|kind| kind == "idx")));
    assert!(files(dir.path()).iter().any(|path| path.parent().unwrap().ends_with("snapshots")));
}

#[test]
fn every_flipped_byte_of_the_trail_is_found_and_its_file_named() {
    let dir = tempfile::tempdir().unwrap();
    let catalog = aged(&dir);
    for path in files(dir.path()) {
        let good = fs::read(&path).unwrap();
        for at in 0..good.len() {
            let mut bad = good.clone();
            bad[at] ^= 1 << (at % 8);
            fs::write(&path, bad).unwrap();
            let found = catalog.verify().unwrap();
            let named = found.findings.iter().any(|finding| finding.place.contains(path.to_str().unwrap()));
            assert!(named, "byte {at} of {}: {found:?}", path.display());
        }
        fs::write(&path, &good).unwrap();
    }
    assert!(catalog.verify().unwrap().is_sound(), "as it was before");
}

#[test]
fn every_removed_or_shortened_file_of_the_trail_is_found() {
    let dir = tempfile::tempdir().unwrap();
    let catalog = aged(&dir);
    for path in files(dir.path()) {
        let good = fs::read(&path).unwrap();
        let is_sidecar = path.extension().is_some_and(|kind| kind == "idx");
        fs::remove_file(&path).unwrap();
        let gone = catalog.verify().unwrap();
        assert_eq!(gone.is_sound(), is_sidecar, "{} is gone: only a sparse index may be", path.display());
        for kept in [0, good.len() / 2, good.len() - 1] {
            fs::write(&path, &good[..kept]).unwrap();
            assert!(!catalog.verify().unwrap().is_sound(), "{} of {kept} bytes", path.display());
        }
        fs::write(&path, &good).unwrap();
    }
}

#[test]
fn what_is_rebuilt_from_a_snapshot_and_the_events_behind_it_is_what_was_live() {
    let dir = tempfile::tempdir().unwrap();
    let live = aged(&dir).state();
    fs::remove_dir_all(dir.path().join("projection")).unwrap();
    let (catalog, opened) = Catalog::open(dir.path(), config().0).unwrap();
    assert_eq!(catalog.state(), live);
    assert!(opened.replayed < live.seq, "the oldest events are gone");
    assert_eq!(catalog.state().names(Kind::Site).len(), 7);
    assert!(catalog.verify().unwrap().is_sound());
}

#[test]
fn without_its_snapshot_a_shortened_trail_is_opened_from_the_projection_or_not_at_all() {
    let dir = tempfile::tempdir().unwrap();
    let live = aged(&dir).state();
    let snapshot =
        files(dir.path()).into_iter().find(|path| path.parent().unwrap().ends_with("snapshots")).unwrap();
    let mut bytes = fs::read(&snapshot).unwrap();
    bytes[40] ^= 1;
    fs::write(&snapshot, bytes).unwrap();
    assert_eq!(Catalog::open(dir.path(), config().0).unwrap().0.state(), live);
    fs::remove_dir_all(dir.path().join("projection")).unwrap();
    let Err(refused) = Catalog::open(dir.path(), config().0) else { panic!("it was forged") };
    assert!(matches!(refused, OpenError::Snapshot(_)), "{refused}");
    assert!(refused.to_string().contains("restore it from a backup"), "{refused}");
}

#[test]
fn retention_removes_only_what_is_old_and_leaves_one_snapshot() {
    let dir = tempfile::tempdir().unwrap();
    let (config, clock) = config();
    let (catalog, _) = Catalog::open(dir.path(), config).unwrap();
    catalog.put(site("old")).unwrap();
    let age = Duration::from_secs(10 * DAY);
    assert_eq!(catalog.retain(age).unwrap().events, 0);
    clock.advance(5 * DAY as i64);
    assert_eq!(catalog.retain(age).unwrap().events, 0, "its segment is only sealed");
    catalog.put(site("newer")).unwrap();
    clock.advance(6 * DAY as i64);
    let removed = catalog.retain(age).unwrap();
    assert_eq!((removed.events, removed.first), (1, 2));
    assert_eq!(catalog.events(0, 10).unwrap()[0].seq, 2);
    clock.advance(30 * DAY as i64);
    catalog.retain(age).unwrap();
    catalog.put(site("newest")).unwrap();
    assert_eq!(catalog.events(0, 10).unwrap().len(), 1);
    assert_eq!(fs::read_dir(dir.path().join("snapshots")).unwrap().count(), 1);
    assert!(catalog.verify().unwrap().is_sound());
    drop(catalog);
    assert_eq!(open(&dir).state().sites.len(), 3);
}

#[test]
fn events_that_were_signed_and_cut_off_are_named_and_their_numbers_never_given_again() {
    let dir = tempfile::tempdir().unwrap();
    let (catalog, _) = furnished(&dir);
    catalog.checkpoint().unwrap();
    drop(catalog);
    let segment =
        files(dir.path()).into_iter().find(|path| path.starts_with(dir.path().join("events"))).unwrap();
    let good = fs::read(&segment).unwrap();
    fs::write(&segment, &good[..good.len() / 2]).unwrap();
    fs::remove_dir_all(dir.path().join("projection")).unwrap();
    let (catalog, opened) = Catalog::open(dir.path(), config().0).unwrap();
    assert_eq!(opened.lost.last().map(|lost| lost.to), Some(7));
    catalog.put(site("after")).unwrap();
    assert_eq!(catalog.state().seq, 7);
    let found = catalog.verify().unwrap();
    assert!(!found.is_sound());
    assert!(named(&found).contains("to 6 cannot be read"), "{}", named(&found));
    drop(catalog);
    let (catalog, _) = Catalog::open(dir.path(), config().0).unwrap();
    assert_eq!(catalog.state().seq, 7);
}

#[test]
fn an_export_is_verified_without_the_control_plane_and_goes_on_where_it_stopped() {
    let dir = tempfile::tempdir().unwrap();
    let catalog = aged(&dir);
    catalog.checkpoint().unwrap();
    let (mut lines, mut mark) = (Vec::new(), Mark::default());
    loop {
        let part = catalog.export(mark, 2).unwrap();
        if part.lines.is_empty() {
            break;
        }
        lines.extend(part.lines);
        mark = part.mark;
    }
    let whole = catalog.export(Mark::default(), 1_000).unwrap();
    assert_eq!((&whole.lines, whole.mark), (&lines, mark));

    let verify = |lines: &[String]| {
        let mut verifier = Verifier::new(vec![key().public()]);
        let parsed: Vec<Line> = lines.iter().map(|line| Line::parse(line.as_bytes()).unwrap()).collect();
        for (n, line) in parsed.iter().enumerate() {
            if let Line::Checkpoint(signed) = line {
                verifier.checkpoint(signed.clone(), &format!("line {}", n + 1));
            }
        }
        for (n, line) in parsed.iter().enumerate() {
            if let Line::Event(event) = line {
                let record = event.record();
                verifier.event(record.seq().unwrap(), &record, &format!("line {}", n + 1));
            }
        }
        verifier.finish()
    };
    let found = verify(&lines);
    assert_eq!(named(&found), "");
    assert_eq!((found.last, found.vouched, found.head), (7, 7, catalog.state().head));
    let changed = lines.iter().position(|line| line.contains("site-2-0")).unwrap();
    lines[changed] = lines[changed].replace("site-2-0", "site-2-9");
    assert!(named(&verify(&lines)).contains(&format!("line {}", changed + 2)), "{}", named(&verify(&lines)));
}

#[test]
fn a_checkpoint_is_signed_by_itself_after_so_many_events() {
    let dir = tempfile::tempdir().unwrap();
    let catalog = open(&dir);
    let sites: Vec<_> = (0..1_001).map(|n| site(&format!("n{n}"))).collect();
    catalog.apply_all(sites, &admin(), false);
    assert_eq!(catalog.checkpoints(0, 10).unwrap()[0].said().seq, 1_001);
    assert!(!catalog.checkpoint().unwrap(), "nothing happened since");
}
