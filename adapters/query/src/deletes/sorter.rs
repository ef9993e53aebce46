//! Sorting of more entries than memory holds: runs are sorted in memory, written to a file without a name, and merged.
//!
//! ```text
//! run    entries in order, each: length (4 bytes, little-endian), bytes
//! ```

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};

/// What is sorted in memory at once.
const RUN_BYTES: usize = 8 << 20;
/// What is read of one run at once.
const READ_BYTES: usize = 32 << 10;

/// Takes entries in any order.
#[derive(Debug)]
pub(super) struct Sorter {
    entries: Vec<Box<[u8]>>,
    bytes: usize,
    most_bytes: usize,
    file: Option<File>,
    end: u64,
    runs: Vec<(u64, u64)>,
}

/// Gives them in the order of their bytes.
#[derive(Debug)]
pub(super) struct Sorted {
    file: Option<File>,
    runs: Vec<Run>,
    heads: BinaryHeap<Reverse<(Box<[u8]>, usize)>>,
}

#[derive(Debug)]
struct Run {
    at: u64,
    end: u64,
    buffer: Vec<u8>,
    read: usize,
    entries: std::vec::IntoIter<Box<[u8]>>,
}

impl Sorter {
    pub(super) fn new() -> Self {
        Self::with(RUN_BYTES)
    }

    fn with(most_bytes: usize) -> Self {
        Self { entries: Vec::new(), bytes: 0, most_bytes, file: None, end: 0, runs: Vec::new() }
    }

    /// Adds an entry.
    ///
    /// # Errors
    /// The folder for temporary files cannot take it.
    pub(super) fn push(&mut self, entry: &[u8]) -> io::Result<()> {
        self.entries.push(entry.into());
        self.bytes += entry.len() + size_of::<Box<[u8]>>();
        if self.bytes >= self.most_bytes { self.spill() } else { Ok(()) }
    }

    fn spill(&mut self) -> io::Result<()> {
        self.entries.sort_unstable();
        let file = match &mut self.file {
            Some(file) => file,
            none => none.insert(tempfile::tempfile()?),
        };
        let mut run = Vec::with_capacity(self.bytes);
        for entry in self.entries.drain(..) {
            let length = u32::try_from(entry.len()).map_err(|_| io::ErrorKind::InvalidInput)?;
            run.extend_from_slice(&length.to_le_bytes());
            run.extend_from_slice(&entry);
        }
        file.write_all(&run)?;
        let begin = self.end;
        self.end += run.len() as u64;
        self.runs.push((begin, self.end));
        self.bytes = 0;
        Ok(())
    }

    /// All entries in order.
    ///
    /// # Errors
    /// The file cannot be read.
    pub(super) fn sorted(mut self) -> io::Result<Sorted> {
        self.entries.sort_unstable();
        let in_file = self.runs.iter().map(|(begin, end)| Run::new(*begin, *end, Vec::new()));
        let mut runs: Vec<Run> = in_file.collect();
        runs.push(Run::new(0, 0, self.entries));
        let mut sorted = Sorted { file: self.file, runs, heads: BinaryHeap::new() };
        for run in 0..sorted.runs.len() {
            sorted.advance(run)?;
        }
        Ok(sorted)
    }
}

impl Sorted {
    /// The next entry.
    ///
    /// # Errors
    /// The file cannot be read.
    pub(super) fn next(&mut self) -> io::Result<Option<Box<[u8]>>> {
        let Some(Reverse((entry, run))) = self.heads.pop() else { return Ok(None) };
        self.advance(run)?;
        Ok(Some(entry))
    }

    fn advance(&mut self, number: usize) -> io::Result<()> {
        let run = &mut self.runs[number];
        let next = match (run.entries.next(), &mut self.file) {
            (Some(entry), _) => Some(entry),
            (None, Some(file)) => run.next(file)?,
            (None, None) => None,
        };
        self.heads.extend(next.map(|entry| Reverse((entry, number))));
        Ok(())
    }
}

impl Run {
    fn new(at: u64, end: u64, entries: Vec<Box<[u8]>>) -> Self {
        Self { at, end, buffer: Vec::new(), read: 0, entries: entries.into_iter() }
    }

    fn next(&mut self, file: &mut File) -> io::Result<Option<Box<[u8]>>> {
        if !self.holds(4, file)? {
            return Ok(None);
        }
        let length: [u8; 4] = self.take(4).try_into().expect("it was asked for four bytes");
        let length = u32::from_le_bytes(length) as usize;
        if !self.holds(length, file)? {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(Some(self.take(length).into()))
    }

    /// Whether the next `bytes` are there.
    fn holds(&mut self, bytes: usize, file: &mut File) -> io::Result<bool> {
        if self.buffer.len() - self.read >= bytes {
            return Ok(true);
        }
        self.buffer.drain(..self.read);
        self.read = 0;
        let left = usize::try_from(self.end - self.at).unwrap_or(usize::MAX);
        let more = left.min(bytes.max(READ_BYTES));
        let kept = self.buffer.len();
        self.buffer.resize(kept + more, 0);
        file.seek(SeekFrom::Start(self.at))?;
        file.read_exact(&mut self.buffer[kept..])?;
        self.at += more as u64;
        Ok(self.buffer.len() >= bytes)
    }

    fn take(&mut self, bytes: usize) -> &[u8] {
        let from = self.read;
        self.read += bytes;
        &self.buffer[from..self.read]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sorted(entries: &[Vec<u8>], most_bytes: usize) -> Vec<Vec<u8>> {
        let mut sorter = Sorter::with(most_bytes);
        entries.iter().for_each(|entry| sorter.push(entry).unwrap());
        let mut sorted = sorter.sorted().unwrap();
        std::iter::from_fn(|| sorted.next().unwrap()).map(Vec::from).collect()
    }

    #[test]
    fn entries_come_back_in_order_whether_they_fit_into_memory_or_not() {
        let mut random = fastrand::Rng::with_seed(7);
        let mut entries: Vec<Vec<u8>> =
            (0..5_000).map(|_| (0..random.usize(..40)).map(|_| random.u8(..)).collect()).collect();
        entries.push(vec![9; 100_000]);
        let mut expected = entries.clone();
        expected.sort();
        for most_bytes in [64, 10_000, usize::MAX] {
            assert_eq!(sorted(&entries, most_bytes), expected, "{most_bytes} bytes in memory");
        }
        assert!(sorted(&[], 64).is_empty());
    }
}
