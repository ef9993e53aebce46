//! Events that were changed and projections that were damaged are found.

use std::fs;
use std::path::{Path, PathBuf};

use towpath_catalog::{Catalog, OpenError};
use towpath_segment::{Config, DiskStorage, SegmentLog};

use crate::fixture::*;

fn records(dir: &Path) -> Vec<Vec<u8>> {
    let (log, _) = SegmentLog::open(DiskStorage, dir, Config::default()).unwrap();
    (log.first_index()..log.next_index()).map(|index| log.view().get(index).unwrap().unwrap()).collect()
}

fn write_records(dir: &Path, records: &[Vec<u8>]) {
    let (mut log, _) = SegmentLog::open(DiskStorage, dir, Config::default()).unwrap();
    for record in records {
        log.append(&[record]).unwrap();
    }
    log.sync().unwrap();
}

fn segment_file(dir: &Path) -> PathBuf {
    let files = fs::read_dir(dir.join("events")).unwrap().map(|entry| entry.unwrap().path());
    files.into_iter().find(|path| path.extension().is_some_and(|e| e == "seg")).unwrap()
}

#[test]
fn a_forged_event_is_found_even_with_all_checksums_renewed() {
    let dir = tempfile::tempdir().unwrap();
    let (catalog, _) = furnished(&dir);
    let found = catalog.verify().unwrap();
    assert!(found.is_sound() && found.events == 6, "{found:?}");
    drop(catalog);
    let original = records(&dir.path().join("events"));
    for forged in 0..original.len() - 1 {
        let mut records = original.clone();
        let at = records[forged].windows(3).position(|window| window == b"ada").unwrap_or(40);
        records[forged][at] ^= 1;
        let copy = tempfile::tempdir().unwrap();
        write_records(&copy.path().join("events"), &records);
        let Err(refused) = Catalog::open(copy.path(), config().0) else {
            panic!("event {} was forged", forged + 1)
        };
        assert!(matches!(refused, OpenError::Chain(_)), "{refused}");
        assert!(refused.to_string().contains("compare with a backup"));
    }
}

#[test]
fn a_forged_event_behind_a_good_projection_is_found_by_verification() {
    let dir = tempfile::tempdir().unwrap();
    let (catalog, _) = furnished(&dir);
    drop(catalog);
    let mut records = records(&dir.path().join("events"));
    let at = records[1].windows(5).position(|window| window == b"plant").unwrap();
    records[1][at] = b'q';
    fs::remove_dir_all(dir.path().join("events")).unwrap();
    write_records(&dir.path().join("events"), &records);
    let (catalog, opened) = Catalog::open(dir.path(), config().0).unwrap();
    assert_eq!(opened.replayed, 0);
    let found = catalog.verify().unwrap();
    assert_eq!(found.findings[0].subject, "event 2", "{found:?}");
}

#[test]
fn a_flipped_bit_on_disk_is_never_taken_for_an_event() {
    let dir = tempfile::tempdir().unwrap();
    let (catalog, _) = furnished(&dir);
    let live = catalog.state();
    drop(catalog);
    let file = segment_file(dir.path());
    let good = fs::read(&file).unwrap();
    let step = good.len() / 40;
    for at in (64..good.len()).step_by(step) {
        let mut bad = good.clone();
        bad[at] ^= 0x10;
        let copy = tempfile::tempdir().unwrap();
        fs::create_dir(copy.path().join("events")).unwrap();
        fs::write(copy.path().join("events").join(file.file_name().unwrap()), bad).unwrap();
        match Catalog::open(copy.path(), config().0) {
            Ok((catalog, opened)) => {
                let told = !catalog.verify().unwrap().is_sound()
                    || !opened.lost.is_empty()
                    || catalog.state().seq < live.seq;
                assert!(told, "byte {at}");
                assert!(catalog.put(site("after")).is_ok(), "byte {at}: work goes on");
            }
            Err(refused) => assert!(matches!(refused, OpenError::Chain(_)), "byte {at}: {refused}"),
        }
    }
}

#[test]
fn a_damaged_projection_is_put_aside_and_rebuilt() {
    let dir = tempfile::tempdir().unwrap();
    let (catalog, _) = furnished(&dir);
    let live = catalog.state();
    drop(catalog);
    let projection = dir.path().join("projection");
    for (n, damage) in ["no sled file", "\0\0\0\0", ""].into_iter().enumerate() {
        for entry in fs::read_dir(&projection).unwrap() {
            let path = entry.unwrap().path();
            if path.is_file() {
                fs::write(path, damage.repeat(2_000)).unwrap();
            }
        }
        let (catalog, opened) = Catalog::open(dir.path(), config().0).unwrap();
        assert_eq!(catalog.state(), live, "damage {n}");
        assert_eq!(opened.replayed, live.seq, "damage {n}");
    }
    assert!(dir.path().join("projection.broken-1").is_dir());
}

#[test]
fn a_projection_of_other_events_is_not_believed() {
    let (one, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    drop(furnished(&one));
    let catalog = open(&other);
    catalog.put(site("elsewhere")).unwrap();
    drop(catalog);
    fs::remove_dir_all(other.path().join("projection")).unwrap();
    fs::rename(one.path().join("projection"), other.path().join("projection")).unwrap();
    let (catalog, opened) = Catalog::open(other.path(), config().0).unwrap();
    assert_eq!(opened.replayed, 1);
    assert_eq!(catalog.state().names(towpath_resource::Kind::Site), [&name("elsewhere")]);
    drop(catalog);
    let (catalog, opened) = Catalog::open(other.path(), config().0).unwrap();
    assert_eq!((opened.replayed, catalog.state().sites.len()), (0, 1), "and is replaced by the right one");
}

#[test]
fn two_owners_do_not_share_a_catalog() {
    let dir = tempfile::tempdir().unwrap();
    let _owner = open(&dir);
    assert!(Catalog::open(dir.path(), config().0).is_err());
}
