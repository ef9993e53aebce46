//! Damage to segment files while their owner is down.

use std::fs::{self, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use walkdir::WalkDir;

/// What was done to which file.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Damage {
    /// The segment file.
    pub path: PathBuf,
    /// In words.
    pub what: String,
}

/// The last segment of each segment log below a folder, unless it is empty.
///
/// # Errors
/// The folder cannot be listed.
pub fn last_segments(below: &Path) -> Result<Vec<PathBuf>> {
    let mut segments = Vec::new();
    for entry in WalkDir::new(below) {
        let path = entry?.into_path();
        if path.extension().is_some_and(|ending| ending == "seg") && used_bytes(&path)? > 0 {
            segments.push(path);
        }
    }
    // The names of a log's segments sort by their first index.
    segments.sort();
    segments.reverse();
    segments.dedup_by(|earlier, later| earlier.parent() == later.parent());
    Ok(segments)
}

/// Cuts the end off a file, or flips a few bits of what it holds.
///
/// # Errors
/// The file cannot be written.
pub fn damage(path: &Path, rng: &mut fastrand::Rng) -> Result<Damage> {
    let used = used_bytes(path)?;
    let done = |what| Ok(Damage { path: path.to_owned(), what });
    let file = OpenOptions::new().read(true).write(true).open(path)?;
    if rng.bool() {
        let keep = used - rng.u64(1..=used.min(8 << 10));
        file.set_len(keep)?;
        return done(format!("cut from {used} to {keep} bytes"));
    }
    let flips = rng.u8(1..9);
    for _ in 0..flips {
        let (offset, mut byte) = (rng.u64(0..used), [0]);
        file.read_exact_at(&mut byte, offset)?;
        file.write_all_at(&[byte[0] ^ (1 << rng.u8(0..8))], offset)?;
    }
    done(format!("{flips} bits flipped in {used} bytes"))
}

/// Where the bytes of a file end that are not zero: segments are allocated ahead of what is written.
fn used_bytes(path: &Path) -> Result<u64> {
    let bytes = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    Ok(bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last as u64 + 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_last_segment_of_each_log_is_chosen() {
        let below = tempfile::tempdir().unwrap();
        for (log, segments) in [("a", 3), ("b", 1)] {
            fs::create_dir(below.path().join(log)).unwrap();
            for segment in 1..=segments {
                fs::write(below.path().join(log).join(format!("{segment:020}.seg")), b"x").unwrap();
            }
        }
        let chosen = last_segments(below.path()).unwrap();
        let names = ["b/00000000000000000001.seg", "a/00000000000000000003.seg"];
        assert_eq!(chosen, names.map(|name| below.path().join(name)));
    }

    #[test]
    fn damage_changes_what_was_written() {
        let below = tempfile::tempdir().unwrap();
        let path = below.path().join("1.seg");
        let whole = [vec![7; 500], vec![0; 500]].concat();
        for seed in 0..50 {
            fs::write(&path, &whole).unwrap();
            let done = damage(&path, &mut fastrand::Rng::with_seed(seed)).unwrap();
            let now = fs::read(&path).unwrap();
            assert_ne!(now.get(..500), Some(&whole[..500]), "{done:?}");
        }
    }
}
