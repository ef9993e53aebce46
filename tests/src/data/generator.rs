//! A stream of files to be dropped.

use std::fs;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::data::encode::{self, Line, Wrapping};
use crate::data::feed::Feed;
use crate::data::row::{KeyRange, Row};

/// Files dropped within so many of each other have different keys.
const KEY_RANGES: u64 = 16;
const KEYS_PER_RANGE: u64 = 7;

/// What the files are like.
#[derive(Clone, Debug)]
pub struct Mix {
    /// How many lines a file has.
    pub lines: RangeInclusive<usize>,
    /// Which share of lines is bad, 0 to 1.
    pub bad: f64,
    /// Which share of files is an earlier file under a new name, 0 to 1.
    pub duplicates: f64,
    /// Whether files may be compressed.
    pub compressed: bool,
}

impl Default for Mix {
    fn default() -> Self {
        Self { lines: 0..=400, bad: 0.01, duplicates: 0.05, compressed: true }
    }
}

/// Makes files from a seed.
#[derive(Debug)]
pub struct Generator {
    seed: u64,
    rng: fastrand::Rng,
    mix: Mix,
    feeds: [FeedState; 4],
}

#[derive(Default, Debug)]
struct FeedState {
    files: u64,
    rows: u64,
    last: Option<(Vec<u8>, Wrapping)>,
}

/// A file to be dropped, and what must come out of it.
#[derive(Clone, Debug)]
pub struct DropFile {
    /// Its feed.
    pub feed: Feed,
    /// Its name.
    pub name: String,
    /// Its bytes.
    pub bytes: Vec<u8>,
    /// The rows that must come out; none for a duplicate.
    pub rows: Vec<Row>,
    /// How many lines must become dead letters.
    pub bad: usize,
    /// Whether an earlier file had the same bytes.
    pub duplicate: bool,
}

impl Generator {
    /// A generator of such files.
    pub fn new(seed: u64, mix: Mix) -> Self {
        Self { seed, rng: fastrand::Rng::with_seed(seed), mix, feeds: Default::default() }
    }

    /// The next file of any feed.
    ///
    /// # Errors
    /// The compressor failed.
    pub fn any(&mut self) -> Result<DropFile> {
        let feed = Feed::ALL[self.rng.usize(0..Feed::ALL.len())];
        self.file(feed)
    }

    /// The next file of a feed. Names sort in the order of making.
    ///
    /// # Errors
    /// The compressor failed.
    pub fn file(&mut self, feed: Feed) -> Result<DropFile> {
        let repeat = self.rng.f64() < self.mix.duplicates;
        let state = &mut self.feeds[feed as usize];
        state.files += 1;
        let name = |wrapping: Wrapping, files: u64| {
            format!("{}-{files:06}.{}{}", feed.name(), feed.extension(), wrapping.extension())
        };
        if let (true, Some((bytes, wrapping))) = (repeat, &state.last) {
            let (name, bytes) = (name(*wrapping, state.files), bytes.clone());
            return Ok(DropFile { feed, name, bytes, rows: Vec::new(), bad: 0, duplicate: true });
        }
        let keys = KeyRange { index: state.files % KEY_RANGES, keys: KEYS_PER_RANGE };
        let count = self.rng.usize(self.mix.lines.clone());
        let mut lines = Vec::with_capacity(count);
        for line in 1..=count as u64 {
            if self.rng.f64() < self.mix.bad {
                lines.push(Line::Bad(self.rng.u8(..)));
            } else {
                state.rows += 1;
                lines.push(Line::Good(Row::new(self.seed, feed, state.rows, &keys, line)));
            }
        }
        let wrapping = match self.rng.u8(0..3) {
            1 if self.mix.compressed => Wrapping::Gzip,
            2 if self.mix.compressed => Wrapping::Zstd,
            _ => Wrapping::None,
        };
        // Without lines, only a file that has a header can lack its last line end.
        let last_line_end = self.rng.bool() || lines.is_empty();
        let bytes = wrapping.wrap(encode::file(feed, &lines, last_line_end))?;
        let name = name(wrapping, state.files);
        // Two files without a row have the same bytes; what is told of one is not owed to the other.
        if count > 0 {
            state.last = Some((bytes.clone(), wrapping));
        }
        let bad = lines.iter().filter(|line| matches!(line, Line::Bad(_))).count();
        let rows = lines.into_iter().filter_map(|line| match line {
            Line::Good(row) => Some(row),
            Line::Bad(_) => None,
        });
        Ok(DropFile { feed, name, bytes, rows: rows.collect(), bad, duplicate: false })
    }
}

impl DropFile {
    /// Puts the file into a folder in one step, as a careful exporter does: written under a name that sources
    /// ignore, then renamed.
    ///
    /// # Errors
    /// The folder cannot be written.
    pub fn drop_into(&self, folder: &Path) -> Result<PathBuf> {
        let (hidden, path) = (folder.join(format!("{}.tmp", self.name)), folder.join(&self.name));
        fs::create_dir_all(folder)?;
        fs::write(&hidden, &self.bytes).with_context(|| format!("cannot write {}", hidden.display()))?;
        fs::rename(&hidden, &path)?;
        Ok(path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(seed: u64, mix: &Mix) -> Vec<DropFile> {
        let mut generator = Generator::new(seed, mix.clone());
        (0..200).map(|_| generator.any().unwrap()).collect()
    }

    #[test]
    fn the_same_seed_gives_the_same_files() {
        let (one, two) = (files(5, &Mix::default()), files(5, &Mix::default()));
        assert!(one.iter().zip(&two).all(|(a, b)| a.bytes == b.bytes && a.name == b.name));
        let other = files(6, &Mix::default());
        assert!(one.iter().zip(&other).any(|(a, b)| a.bytes != b.bytes));
    }

    #[test]
    fn running_numbers_of_a_feed_have_no_gap_and_no_repeat() {
        let all = files(9, &Mix::default());
        for feed in Feed::ALL {
            let numbers = all.iter().filter(|f| f.feed == feed).flat_map(|f| &f.rows).map(|r| r.seq);
            assert!(numbers.enumerate().all(|(index, seq)| seq == index as u64 + 1));
        }
    }

    #[test]
    fn the_mix_is_what_was_asked_for() {
        let all = files(3, &Mix { bad: 0.1, duplicates: 0.2, ..Mix::default() });
        let duplicates = all.iter().filter(|f| f.duplicate).count();
        let (good, bad) = all.iter().fold((0, 0), |(g, b), f| (g + f.rows.len(), b + f.bad));
        assert!((20..60).contains(&duplicates), "{duplicates}");
        assert!((0.08..0.12).contains(&(bad as f64 / (good + bad) as f64)), "{bad} of {good}");
        assert!(all.iter().any(|f| f.name.ends_with(".csv.gz")));
        assert!(all.iter().any(|f| f.name.ends_with(".jsonl.zst")));
    }
}
