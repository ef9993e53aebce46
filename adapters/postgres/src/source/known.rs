//! Which tables the stream has whole: those that were copied, and at which generation.
//!
//! A position carries a digest of the set. The set lies in the cache under its digest, where it is written before any
//! position that names it is emitted. What changes in the set travels as marks with that position, so that a cache
//! that was lost is made again from them.

use std::collections::BTreeMap;

use bytes::Bytes;
use prost::Message;
use towpath_adapter_api::Cache;
use towpath_record::Mark;

use super::config::{SnapshotMode, SourceConfig};

const PREFIX: &[u8] = b"copied/";
/// How many entries of the cache are looked at to find those that are no longer named.
const MOST_SETS: usize = 64;
/// How many tables are copied together, while the others wait.
const MOST_AT_ONCE: usize = 32;

/// The tables that were copied, each with its generation.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub(crate) struct Known(BTreeMap<String, u64>);

/// What is not as the set says.
#[derive(Default, PartialEq, Eq, Debug)]
pub(crate) struct Late {
    /// Tables that are to be copied.
    pub(crate) copy: Vec<String>,
    /// Tables that are read no longer. One of them that comes back has missed changes.
    pub(crate) gone: Vec<String>,
}

/// A table of the set, as a mark: copied at a generation, or gone.
#[derive(Clone, PartialEq, Message)]
struct Entry {
    #[prost(string, tag = "1")]
    table: String,
    #[prost(uint64, optional, tag = "2")]
    generation: Option<u64>,
}

/// The whole set, as it lies in the cache.
#[derive(Clone, PartialEq, Message)]
struct Set {
    #[prost(message, repeated, tag = "1")]
    entries: Vec<Entry>,
}

impl Late {
    pub(crate) fn is_empty(&self) -> bool {
        self.copy.is_empty() && self.gone.is_empty()
    }
}

impl Known {
    /// The set that a position names: from the marks if the cache was lost, else from the cache. `None` if neither has
    /// it, as when the position is of an agent that kept no such set.
    pub(crate) fn open(cache: &dyn Cache, digest: u64, rebuild: Option<&[Mark]>) -> Option<Self> {
        if let Some(marks) = rebuild.filter(|marks| !marks.is_empty()) {
            let known = Self::of_marks(marks);
            known.save(cache);
            return Some(known);
        }
        let found = cache.get(&key(digest)).ok().flatten()?;
        let set = Set::decode(&*found).ok()?;
        Some(Self(set.entries.into_iter().filter_map(|e| Some((e.table, e.generation?))).collect()))
    }

    /// The set of tables that were copied before sets were kept.
    pub(crate) fn adopted(tables: Vec<String>) -> Self {
        Self(tables.into_iter().map(|table| (table, 0)).collect())
    }

    fn of_marks(marks: &[Mark]) -> Self {
        let mut known = Self::default();
        for entry in marks.iter().filter_map(|mark| Entry::decode(&*mark.0).ok()) {
            match entry.generation {
                Some(generation) => drop(known.0.insert(entry.table, generation)),
                None => drop(known.0.remove(&entry.table)),
            }
        }
        known
    }

    /// What tells the set from others (FNV-1a of its entries); never 0.
    pub(crate) fn digest(&self) -> u64 {
        const OFFSET: u64 = 0xcbf2_9ce4_8422_2325;
        const PRIME: u64 = 0x0100_0000_01b3;
        let bytes = self.0.iter().flat_map(|(table, generation)| {
            table.bytes().chain(std::iter::once(0)).chain(generation.to_le_bytes())
        });
        bytes.fold(OFFSET, |digest, byte| (digest ^ u64::from(byte)).wrapping_mul(PRIME)).max(1)
    }

    /// Writes the set where the next run finds it by its digest. A cache that fails is made again from the marks.
    pub(crate) fn save(&self, cache: &dyn Cache) {
        let entry = |(table, generation): (&String, &u64)| Entry {
            table: table.clone(),
            generation: Some(*generation),
        };
        let set = Set { entries: self.0.iter().map(entry).collect() };
        if let Err(error) = cache.put(&key(self.digest()), &set.encode_to_vec()) {
            tracing::warn!(%error, "the set of copied tables is not cached");
        }
    }

    /// Removes the sets that a durable position no longer names.
    pub(crate) fn remove_others(&self, cache: &dyn Cache) {
        let own = key(self.digest());
        for (other, _) in cache.scan(PREFIX, None, MOST_SETS).unwrap_or_default() {
            if other != own {
                // What stays is found again next time.
                let _ = cache.remove(&other);
            }
        }
    }

    /// Which of the tables that are published and wanted are to be copied now, and which of the set are no more.
    pub(crate) fn late(&self, published: &[String], config: &SourceConfig) -> Late {
        let is_late = |table: &&String| {
            let copied = self.0.get(*table);
            copied.is_some_and(|copied| generation(config, table) > *copied) || self.awaits(table, config)
        };
        let copy = published.iter().filter(is_late).take(MOST_AT_ONCE).cloned().collect();
        let gone = self.0.keys().filter(|table| !published.contains(table)).cloned().collect();
        Late { copy, gone }
    }

    /// Whether a table is to be copied before a change of it can be told.
    pub(crate) fn awaits(&self, table: &str, config: &SourceConfig) -> bool {
        let copies = config.snapshot == SnapshotMode::Initial || generation(config, table) > 0;
        copies && !self.0.contains_key(table)
    }

    /// Notes that tables were copied, and returns the marks that say so.
    pub(crate) fn note(&mut self, copied: Vec<String>, config: &SourceConfig) -> Vec<Mark> {
        let mut marks = Vec::with_capacity(copied.len());
        for table in copied {
            let generation = generation(config, &table);
            marks.push(mark(&table, Some(generation)));
            self.0.insert(table, generation);
        }
        marks
    }

    /// Notes that tables are read no longer, and returns the marks that say so.
    pub(crate) fn forget(&mut self, gone: &[String]) -> Vec<Mark> {
        gone.iter().filter(|table| self.0.remove(*table).is_some()).map(|table| mark(table, None)).collect()
    }

    /// The marks of the whole set.
    pub(crate) fn marks(&self) -> Vec<Mark> {
        self.0.iter().map(|(table, generation)| mark(table, Some(*generation))).collect()
    }
}

/// The generation of a table that an admin asks for.
fn generation(config: &SourceConfig, table: &str) -> u64 {
    config.resync.get(table).copied().unwrap_or(0)
}

fn mark(table: &str, generation: Option<u64>) -> Mark {
    Mark(Bytes::from(Entry { table: table.to_owned(), generation }.encode_to_vec()))
}

fn key(digest: u64) -> Vec<u8> {
    [PREFIX, &digest.to_be_bytes()].concat()
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use towpath_adapter_api::MemoryCache;

    use super::*;

    fn config(extra: &serde_json::Value) -> SourceConfig {
        let mut config = json!({ "url": "postgres://u@h/d" });
        config.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
        SourceConfig::read(&config).unwrap()
    }

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn a_set_is_found_by_its_digest_and_made_again_from_its_marks() {
        let (cache, config) = (MemoryCache::default(), config(&json!({ "resync": { "public.b": 3 } })));
        let mut known = Known::default();
        let mut marks = known.note(names(&["public.a", "public.b", "public.c"]), &config);
        marks.extend(known.forget(&names(&["public.a", "public.x"])));
        known.save(&cache);
        assert_eq!(Known::open(&cache, known.digest(), None), Some(known.clone()));
        assert_eq!(Known::open(&cache, 7, None), None);
        assert_eq!(Known::open(&MemoryCache::default(), known.digest(), Some(&marks)), Some(known.clone()));
        Known::default().save(&cache);
        known.remove_others(&cache);
        assert_eq!(Known::open(&cache, Known::default().digest(), None), None);
        assert_eq!(Known::open(&cache, known.digest(), None), Some(known));
    }

    #[test]
    fn a_table_is_late_until_it_was_copied_at_the_generation_that_is_asked_for() {
        let (first, second) = (config(&json!({})), config(&json!({ "resync": { "a": 1 } })));
        let mut known = Known::default();
        let published = names(&["a", "b"]);
        assert_eq!(known.late(&published, &first).copy, published);
        known.note(published.clone(), &first);
        assert!(known.late(&published, &first).is_empty());
        assert_eq!(known.late(&published, &second).copy, ["a"]);
        known.note(names(&["a"]), &second);
        assert!(known.late(&published, &second).is_empty() && known.late(&published, &first).is_empty());
        assert_eq!(known.late(&names(&["a"]), &second).gone, ["b"]);
        let never = config(&json!({ "snapshot": "never", "resync": { "b": 1 } }));
        assert_eq!(Known::default().late(&published, &never).copy, ["b"]);
    }
}
