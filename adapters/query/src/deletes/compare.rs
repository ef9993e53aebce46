//! A comparison of the keys that are known with those that are there.

use std::io;

use tokio::sync::mpsc;
use towpath_adapter_api::{AdapterError, CacheError, ErrorKind};

use super::known::{Entry, Known, Life, Parts, hash_of};
use super::sorter::{Sorted, Sorter};
use crate::position::KnownKeys;
use crate::value::{Value, decoded, encoded};

/// The keys that are there.
#[derive(Debug)]
pub(crate) struct KeyListing(Sorter);

/// A comparison under way.
pub(crate) struct Comparison {
    known: Known,
    keys: KnownKeys,
    most_rows: usize,
}

/// A comparison failed; it can be made again.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CompareError {
    /// Temporary files cannot be written or read.
    #[error("cannot sort the keys in the folder for temporary files: {0}")]
    Sort(#[from] io::Error),
    /// The cache failed.
    #[error("{0}")]
    Cache(#[from] CacheError),
    /// The source was stopped.
    #[error("the source was stopped")]
    Stopped,
}

impl From<CompareError> for AdapterError {
    fn from(error: CompareError) -> Self {
        let kind = match &error {
            CompareError::Sort(error) if error.kind() == io::ErrorKind::StorageFull => ErrorKind::NoSpace,
            CompareError::Stopped => ErrorKind::Stopped,
            _ => ErrorKind::Unavailable,
        };
        Self::new(kind, "comparison of keys", error.to_string()).caused_by(error)
    }
}

impl KeyListing {
    pub(crate) fn new() -> Self {
        Self(Sorter::new())
    }

    /// Adds a key that is there.
    pub(crate) fn push(&mut self, key: &[Value]) -> Result<(), CompareError> {
        Ok(self.0.push(&hash_of(&encoded(key)))?)
    }
}

impl Comparison {
    /// Compares what is known, as far as `keys` counts it; keys that are gone come in lists of at most `most_rows`.
    pub(crate) fn new(known: Known, keys: KnownKeys, most_rows: usize) -> Self {
        Self { known, keys, most_rows }
    }

    /// Sends the keys that are known and not there and, if it `rewrites`, writes a base of those that are both. Blocks.
    /// Returns the number of pages of the base, which has the number after that of `keys`.
    ///
    /// # Errors
    /// The cache or a temporary file failed, or nobody takes the keys.
    pub(crate) fn run(
        self,
        listing: KeyListing,
        gone: &mpsc::Sender<Vec<Vec<Value>>>,
        rewrites: bool,
    ) -> Result<Option<u32>, CompareError> {
        let mut there = Cursor::new(listing.0.sorted()?)?;
        let mut known = self.sorted()?;
        let (mut parts, mut pages, mut batch) = (Parts::new(), 0, Vec::new());
        while let Some(entry) = next_living(&mut known)? {
            if there.reaches(&entry.hash)? {
                if rewrites {
                    parts.push(&entry);
                    self.write(parts.take_full(), &mut pages)?;
                }
                continue;
            }
            batch.extend(decoded(&entry.key));
            if batch.len() >= self.most_rows {
                gone.blocking_send(std::mem::take(&mut batch)).map_err(|_| CompareError::Stopped)?;
            }
        }
        if !batch.is_empty() {
            gone.blocking_send(batch).map_err(|_| CompareError::Stopped)?;
        }
        self.write(parts.finish(), &mut pages)?;
        Ok(rewrites.then_some(pages))
    }

    fn write(&self, values: Vec<Vec<u8>>, pages: &mut u32) -> Result<(), CompareError> {
        for value in values {
            self.known.put_page(self.keys.base + 1, *pages, &value)?;
            *pages += 1;
        }
        Ok(())
    }

    /// Everything that is known of keys: by key, then by the number of the note.
    fn sorted(&self) -> Result<Notes, CompareError> {
        let mut sorter = Sorter::new();
        self.known.each(self.keys, |number, entry| {
            let life = u8::from(entry.life == Life::Lives);
            let bytes = [&entry.hash[..], &number.to_be_bytes(), &[life], &entry.key].concat();
            sorter.push(&bytes).map_err(CompareError::from)
        })?;
        let mut sorted = sorter.sorted()?;
        let next = sorted.next()?;
        Ok(Notes { sorted, next })
    }
}

struct Notes {
    sorted: Sorted,
    next: Option<Box<[u8]>>,
}

const HASH: usize = 16;
const NUMBER: usize = 8;

/// The next key whose last note says that it lives.
fn next_living(notes: &mut Notes) -> io::Result<Option<Entry>> {
    while let Some(last) = notes.next.take() {
        notes.next = notes.sorted.next()?;
        let is_last = notes.next.as_ref().is_none_or(|next| next[..HASH] != last[..HASH]);
        if is_last && last[HASH + NUMBER] == 1 {
            let hash = last[..HASH].try_into().expect("an entry begins with its hash");
            return Ok(Some(Entry { hash, life: Life::Lives, key: last[HASH + NUMBER + 1..].to_vec() }));
        }
    }
    Ok(None)
}

/// The hashes that are there.
struct Cursor {
    sorted: Sorted,
    head: Option<Box<[u8]>>,
}

impl Cursor {
    fn new(mut sorted: Sorted) -> io::Result<Self> {
        let head = sorted.next()?;
        Ok(Self { sorted, head })
    }

    /// Moves up to a hash. Returns whether it is there.
    fn reaches(&mut self, hash: &[u8]) -> io::Result<bool> {
        while self.head.as_ref().is_some_and(|head| **head < *hash) {
            self.head = self.sorted.next()?;
        }
        Ok(self.head.as_ref().is_some_and(|head| **head == *hash))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::sync::Arc;

    use towpath_adapter_api::MemoryCache;

    use super::*;

    fn compare(
        known: &Known,
        keys: KnownKeys,
        there: &BTreeSet<i64>,
        rewrites: bool,
    ) -> (BTreeSet<i64>, Option<u32>) {
        let mut listing = KeyListing::new();
        there.iter().for_each(|key| listing.push(&[Value::Int(*key)]).unwrap());
        let (send, mut receive) = mpsc::channel(1_000);
        let pages = Comparison::new(known.clone(), keys, 3).run(listing, &send, rewrites).unwrap();
        drop(send);
        let mut gone = BTreeSet::new();
        while let Ok(batch) = receive.try_recv() {
            assert!(batch.len() <= 3);
            for key in batch {
                let [Value::Int(key)] = key[..] else { panic!("{key:?}") };
                assert!(gone.insert(key), "{key} came twice");
            }
        }
        (gone, pages)
    }

    #[test]
    fn what_is_known_and_not_there_is_gone_whatever_happened_to_it_before() {
        let mut random = fastrand::Rng::with_seed(3);
        let known = Known::new(Arc::new(MemoryCache::default()), 1);
        let (mut keys, mut model) = (KnownKeys::default(), BTreeSet::new());
        for _ in 0..30 {
            for _ in 0..random.usize(..5) {
                let life = if random.u8(..3) == 0 { Life::Gone } else { Life::Lives };
                let values: Vec<i64> = (0..random.usize(1..40)).map(|_| random.i64(..200)).collect();
                keys.note += 1;
                let as_values: Vec<Value> = values.iter().copied().map(Value::Int).collect();
                known.note(keys.note, as_values.iter().map(|it| vec![it]), life).unwrap();
                match life {
                    Life::Lives => model.extend(values),
                    Life::Gone => model.retain(|key| !values.contains(key)),
                }
            }
            let there: BTreeSet<i64> = (0..250).filter(|_| random.u8(..4) > 0).collect();
            let rewrites = random.bool();
            let (gone, pages) = compare(&known, keys, &there, rewrites);
            assert_eq!(gone, model.difference(&there).copied().collect());
            model.retain(|key| there.contains(key));
            keys.note += 1;
            let gone: Vec<Value> = gone.into_iter().map(Value::Int).collect();
            known.note(keys.note, gone.iter().map(|it| vec![it]), Life::Gone).unwrap();
            keys.note -= u64::from(gone.is_empty());
            if let Some(base_pages) = pages {
                keys = KnownKeys { base: keys.base + 1, base_pages, base_note: keys.note, note: keys.note };
            }
            assert!(known.settle(keys).unwrap());
        }
    }
}
