//! The keys that were read, in the cache beside the source.
//!
//! ```text
//! q <query, 8> n <note, 8> <part, 4>    the keys of one emission: number of parts (4), then entries
//! q <query, 8> b <base, 8> <page, 4>    keys that a comparison found to be there: entries in order
//! entry                                 hash of the key (16), 1 if it lives (1), length (4), key
//! ```
//!
//! Numbers in names are big-endian, those in values little-endian. A note is written before its emission is handed
//! over, and the position says which notes and which base count: what is newer was never emitted, what is older went
//! into the base. If a note or a page is missing, the cache was lost, and the query is read from its beginning.

use std::sync::Arc;

use bytes::Buf;
use towpath_adapter_api::{Cache, CacheError};

use crate::position::KnownKeys;
use crate::value::{Value, encoded};

/// Bytes of one value in the cache, which is made for small ones.
const PART_BYTES: usize = 48 << 10;
const SCAN: usize = 16;
const HASH_BYTES: usize = 16;
const ENTRY_HEADER: usize = HASH_BYTES + 1 + 4;

/// Whether a key is there.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Life {
    /// Its row was read.
    Lives,
    /// Its row was deleted.
    Gone,
}

/// The known keys of one query.
#[derive(Clone)]
pub(crate) struct Known {
    cache: Arc<dyn Cache>,
    query: u64,
}

/// A key with what is known of it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Entry {
    pub(super) hash: [u8; HASH_BYTES],
    pub(super) life: Life,
    pub(super) key: Vec<u8>,
}

impl Entry {
    pub(super) fn new<'a>(key: impl IntoIterator<Item = &'a Value>, life: Life) -> Self {
        let key = encoded(key);
        Self { hash: hash_of(&key), life, key }
    }

    fn write(&self, into: &mut Vec<u8>) {
        into.extend_from_slice(&self.hash);
        into.push(u8::from(self.life == Life::Lives));
        into.extend_from_slice(&u32::try_from(self.key.len()).unwrap_or(u32::MAX).to_le_bytes());
        into.extend_from_slice(&self.key);
    }

    fn read(from: &mut &[u8]) -> Option<Self> {
        let (hash, mut rest) = from.split_first_chunk::<HASH_BYTES>()?;
        let life = if rest.try_get_u8().ok()? == 1 { Life::Lives } else { Life::Gone };
        let length = usize::try_from(rest.try_get_u32_le().ok()?).ok()?;
        let (key, rest) = rest.split_at_checked(length)?;
        *from = rest;
        Some(Self { hash: *hash, life, key: key.to_vec() })
    }
}

pub(super) fn hash_of(key: &[u8]) -> [u8; HASH_BYTES] {
    let hash = blake3::hash(key);
    hash.as_bytes()[..HASH_BYTES].try_into().expect("a hash has 32 bytes")
}

/// Gathers entries into values that the cache takes.
pub(super) struct Parts {
    full: Vec<Vec<u8>>,
    part: Vec<u8>,
}

impl Parts {
    pub(super) fn new() -> Self {
        Self { full: Vec::new(), part: Vec::new() }
    }

    pub(super) fn push(&mut self, entry: &Entry) {
        if !self.part.is_empty() && self.part.len() + ENTRY_HEADER + entry.key.len() > PART_BYTES {
            self.full.push(std::mem::take(&mut self.part));
        }
        entry.write(&mut self.part);
    }

    /// Parts that no further entry goes into.
    pub(super) fn take_full(&mut self) -> Vec<Vec<u8>> {
        std::mem::take(&mut self.full)
    }

    pub(super) fn finish(mut self) -> Vec<Vec<u8>> {
        self.full.extend(Some(self.part).filter(|part| !part.is_empty()));
        self.full
    }
}

impl Known {
    pub(crate) fn new(cache: Arc<dyn Cache>, query: u64) -> Self {
        Self { cache, query }
    }

    /// Notes the keys of an emission, before it is handed over.
    pub(crate) fn note<'a>(
        &self,
        note: u64,
        keys: impl Iterator<Item = Vec<&'a Value>>,
        life: Life,
    ) -> Result<(), CacheError> {
        let mut parts = Parts::new();
        keys.for_each(|key| parts.push(&Entry::new(key, life)));
        let parts = parts.finish();
        let count = u32::try_from(parts.len()).unwrap_or(u32::MAX);
        for (number, part) in (0_u32..).zip(parts) {
            let value = [&count.to_le_bytes()[..], &part].concat();
            self.cache.put(&self.name(b'n', note, number), &value)?;
        }
        Ok(())
    }

    /// Writes a page of a base that a comparison makes.
    pub(super) fn put_page(&self, base: u64, page: u32, value: &[u8]) -> Result<(), CacheError> {
        self.cache.put(&self.name(b'b', base, page), value)
    }

    /// Removes what the position does not count. Returns whether all that it counts is there.
    pub(crate) fn settle(&self, keys: KnownKeys) -> Result<bool, CacheError> {
        self.clear(|kind, number| match kind {
            b'n' => number > keys.note || number <= keys.base_note,
            _ => number != keys.base,
        })?;
        let (mut pages, mut note, mut parts_left) = (0, keys.base_note, 0_u32);
        let mut whole = true;
        self.scan(b'b', |_, _, _| {
            pages += 1;
            Ok(())
        })?;
        self.scan(b'n', |number, part, mut value| {
            if part == 0 {
                whole &= parts_left == 0 && number == note + 1;
                note = number;
                parts_left = value.try_get_u32_le().unwrap_or_default();
            }
            whole &= number == note && parts_left > 0;
            parts_left = parts_left.saturating_sub(1);
            Ok(())
        })?;
        Ok(whole && parts_left == 0 && note == keys.note && pages == keys.base_pages)
    }

    /// Removes what a released position no longer counts.
    pub(crate) fn release(&self, keys: KnownKeys) -> Result<(), CacheError> {
        self.clear(|kind, number| match kind {
            b'n' => number <= keys.base_note,
            _ => number < keys.base,
        })
    }

    /// Removes everything.
    pub(crate) fn forget(&self) -> Result<(), CacheError> {
        self.clear(|_, _| true)
    }

    /// Shows every entry with the number of its note, 0 for those of the base. A key may come more than once; the
    /// highest number counts.
    pub(super) fn each<E: From<CacheError>>(
        &self,
        keys: KnownKeys,
        mut show: impl FnMut(u64, Entry) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut entries = |number: u64, mut value: &[u8]| -> Result<(), E> {
            while !value.is_empty() {
                let damaged = || CacheError("a page of known keys is damaged".to_owned());
                show(number, Entry::read(&mut value).ok_or_else(damaged)?)?;
            }
            Ok(())
        };
        self.scan(b'b', |base, _, value| if base == keys.base { entries(0, value) } else { Ok(()) })?;
        self.scan(b'n', |note, _, value| {
            let counts = note > keys.base_note && note <= keys.note;
            if counts { entries(note, value.get(4..).unwrap_or_default()) } else { Ok(()) }
        })
    }

    fn clear(&self, unwanted: impl Fn(u8, u64) -> bool) -> Result<(), CacheError> {
        for kind in [b'n', b'b'] {
            let mut names = Vec::new();
            self.scan(kind, |number, part, _| {
                names.extend(unwanted(kind, number).then(|| self.name(kind, number, part)));
                Ok::<(), CacheError>(())
            })?;
            names.iter().try_for_each(|name| self.cache.remove(name))?;
        }
        Ok(())
    }

    fn scan<E: From<CacheError>>(
        &self,
        kind: u8,
        mut show: impl FnMut(u64, u32, &[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        let prefix = self.prefix(kind);
        let mut after: Option<Vec<u8>> = None;
        loop {
            let found = self.cache.scan(&prefix, after.as_deref(), SCAN)?;
            let Some((last, _)) = found.last() else { return Ok(()) };
            let last = last.clone();
            for (name, value) in found {
                let mut rest = &name[prefix.len()..];
                if let (Ok(number), Ok(part)) = (rest.try_get_u64(), rest.try_get_u32()) {
                    show(number, part, &value)?;
                }
            }
            after = Some(last);
        }
    }

    fn prefix(&self, kind: u8) -> Vec<u8> {
        [b"q", &self.query.to_be_bytes()[..], &[kind]].concat()
    }

    fn name(&self, kind: u8, number: u64, part: u32) -> Vec<u8> {
        [&self.prefix(kind)[..], &number.to_be_bytes(), &part.to_be_bytes()].concat()
    }
}

#[cfg(test)]
mod tests {
    use towpath_adapter_api::MemoryCache;

    use super::*;

    fn known() -> (Known, Arc<MemoryCache>) {
        let cache = Arc::new(MemoryCache::default());
        (Known::new(cache.clone(), 7), cache)
    }

    fn note(known: &Known, number: u64, keys: std::ops::Range<i64>, life: Life) {
        let keys: Vec<Value> = keys.map(Value::Int).collect();
        known.note(number, keys.iter().map(|key| vec![key]), life).unwrap();
    }

    fn noted(upto: u64) -> KnownKeys {
        KnownKeys { base: 0, base_pages: 0, base_note: 0, note: upto }
    }

    #[test]
    fn a_note_that_was_never_emitted_does_not_count_and_a_missing_one_is_noticed() {
        let (known, cache) = known();
        note(&known, 1, 0..10_000, Life::Lives);
        note(&known, 2, 5..6, Life::Gone);
        note(&known, 3, 7..8, Life::Gone);
        assert!(known.settle(noted(2)).unwrap());
        let mut gone = Vec::new();
        let shown = known.each(noted(9), |number, entry| {
            gone.extend((entry.life == Life::Gone).then_some(number));
            Ok::<(), CacheError>(())
        });
        shown.unwrap();
        assert_eq!(gone, [2], "the third was removed");
        assert!(!known.settle(noted(3)).unwrap());
        let parts = cache.scan(b"q", None, 100).unwrap();
        assert!(parts.len() > 3, "a large note has parts");
        cache.remove(&parts[1].0).unwrap();
        assert!(!known.settle(noted(2)).unwrap(), "a part is missing");
    }

    #[test]
    fn a_page_of_the_base_that_is_missing_is_noticed() {
        let (known, _) = known();
        let keys = KnownKeys { base: 4, base_pages: 2, base_note: 9, note: 9 };
        known.put_page(4, 0, b"").unwrap();
        known.put_page(3, 0, b"").unwrap();
        assert!(!known.settle(keys).unwrap());
        known.put_page(4, 1, b"").unwrap();
        assert!(known.settle(keys).unwrap());
        assert!(known.settle(KnownKeys { base_pages: 2, ..keys }).unwrap());
        known.forget().unwrap();
        assert!(known.settle(noted(0)).unwrap());
    }
}
