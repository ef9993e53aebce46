//! What delivery must remember: one cursor per route, and the records that sinks refused.
//!
//! ```text
//! cursor/<route>   how far the route has come
//! letter/<id>      a record that a sink refused, with everything needed to send it again
//! taken/<route>/<source>/<stream>   the versions of the stream's schema that the route has taken
//! ```
//!
//! A cursor may lag behind the sink's own checkpoint, which rules. A dead letter is durable before the sink's commit
//! that passes it over; its id follows from its place in the chain, so one that is reported again replaces itself.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use towpath_record::{LaneId, Link, LogOffset, RouteId, SchemaHash, SourceId, StreamName};
use towpath_segment::{AppendError, Config, DiskStorage, Journal};

use crate::error::LogError;

/// Most dead letters that are kept for one route; more stop it until an admin acts.
pub const MAX_LETTERS_PER_ROUTE: usize = 100_000;

const ID_CHARS: usize = 16;

/// How far a route has come.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cursor {
    /// How often the route was replayed.
    pub replay: u64,
    /// Everything up to this offset is durable in the sink, or is none of the route's business.
    pub offset: LogOffset,
    /// Records of the route's streams up to that offset, since the log was created.
    pub records: u64,
    /// Bytes of their frames.
    pub bytes: u64,
}

/// The versions of a stream's schema that a route has taken.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Taken {
    /// The replay of the route in which they were taken.
    pub replay: u64,
    /// The schemas, in the order in which they were taken.
    pub schemas: Vec<SchemaHash>,
}

/// A record that a sink refused.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Letter {
    /// Its identity.
    pub id: String,
    /// The route whose sink refused it.
    pub route: RouteId,
    /// The replay of the route in which it was refused.
    pub replay: u64,
    /// The stream it belongs to.
    pub stream: StreamName,
    /// Its frame's place in the region's log.
    pub offset: LogOffset,
    /// The frame's lane.
    pub lane: LaneId,
    /// The frame's place in that lane.
    pub link: Link,
    /// The record's index in the frame.
    pub row: u32,
    /// Why the sink refused it.
    pub reason: String,
    /// The record, for people.
    pub record: Value,
    /// When it was refused, in microseconds since 1970-01-01 UTC.
    pub refused_at_us: i64,
    /// What became of it.
    pub state: LetterState,
    /// A sealed frame that holds this record alone, in hexadecimal.
    pub frame: String,
}

/// What became of a dead letter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LetterState {
    /// It waits for an admin.
    Open,
    /// It is being sent again, as this frame of the route's replay lane.
    Replaying {
        /// The frame's number in that lane.
        seq: u64,
    },
    /// It was sent again, as this frame of the log.
    Replayed {
        /// The frame's offset.
        offset: LogOffset,
    },
}

impl Letter {
    /// The identity of the record at this place for this route and replay.
    pub fn id_of(route: RouteId, replay: u64, lane: &LaneId, seq: u64, row: u32) -> String {
        let place = format!("{route}/{replay}/{lane}/{seq}/{row}");
        let mut id = blake3::hash(place.as_bytes()).to_hex().to_string();
        id.truncate(ID_CHARS);
        id
    }
}

/// Why letters were not taken.
#[derive(Debug, thiserror::Error)]
pub enum LetterError {
    /// The route has too many.
    #[error("the route has {MAX_LETTERS_PER_ROUTE} dead letters; replay or discard some, then it goes on")]
    TooMany,
    /// The disk refuses.
    #[error(transparent)]
    Log(#[from] LogError),
}

/// The store. Cheap to clone. Its calls block on the disk.
#[derive(Clone)]
pub struct Deliveries(Arc<Mutex<Store>>);

struct Store {
    journal: Journal<DiskStorage>,
    /// Dead letters that wait for an admin, by route.
    open: BTreeMap<RouteId, BTreeSet<String>>,
}

impl Deliveries {
    /// Opens the store in `dir`, or creates it there.
    ///
    /// # Errors
    /// Another process has it, or the disk refuses.
    pub fn open(dir: &Path) -> Result<Self, LogError> {
        let (journal, recovery) = Journal::open(DiskStorage, dir, Config::default())?;
        for lost in &recovery.lost {
            tracing::error!(store = %dir.display(), %lost, "dead letters or cursors are lost");
        }
        let deliveries = Self(Arc::new(Mutex::new(Store { journal, open: BTreeMap::new() })));
        let letters = deliveries.letters(|_| true, usize::MAX);
        let mut store = deliveries.0.lock();
        letters.iter().for_each(|letter| store.note(letter));
        drop(store);
        Ok(deliveries)
    }

    /// How far a route has come, if it ever ran.
    pub fn cursor(&self, route: RouteId) -> Option<Cursor> {
        self.0
            .lock()
            .journal
            .get(cursor_key(route).as_bytes())
            .and_then(|value| serde_json::from_slice(value).ok())
    }

    /// The furthest offset that any route has come to; 0 when none has.
    pub fn furthest(&self) -> LogOffset {
        let store = self.0.lock();
        let cursors = store.journal.iter().filter(|(key, _)| key.starts_with(b"cursor/"));
        let cursors = cursors.filter_map(|(_, value)| serde_json::from_slice::<Cursor>(value).ok());
        cursors.map(|cursor| cursor.offset).max().unwrap_or_default()
    }

    /// Notes how far a route has come. It need not survive a power cut.
    ///
    /// # Errors
    /// The disk refuses.
    pub fn put_cursor(&self, route: RouteId, cursor: &Cursor) -> Result<(), LogError> {
        let value = serde_json::to_vec(cursor).expect("numbers are always JSON");
        write(&mut self.0.lock().journal, |journal| journal.put(cursor_key(route).as_bytes(), &value))
    }

    /// The versions that a route has taken, by source and stream.
    pub fn taken(&self, route: RouteId) -> Vec<(SourceId, StreamName, Taken)> {
        let (store, prefix) = (self.0.lock(), taken_prefix(route));
        let stored = store.journal.iter().filter_map(|(key, value)| {
            let key = std::str::from_utf8(key).ok()?.strip_prefix(&prefix)?;
            let (source, stream) = key.split_once('/')?;
            Some((source.parse().ok()?, StreamName::new(stream).ok()?, serde_json::from_slice(value).ok()?))
        });
        stored.collect()
    }

    /// Notes the versions that a route has taken of a source's stream, durably if asked.
    ///
    /// # Errors
    /// The disk refuses.
    pub fn put_taken(
        &self,
        route: RouteId,
        source: SourceId,
        stream: &StreamName,
        taken: &Taken,
        durably: bool,
    ) -> Result<(), LogError> {
        let key = format!("{}{source}/{stream}", taken_prefix(route));
        let value = serde_json::to_vec(taken).expect("hashes are always JSON");
        write(&mut self.0.lock().journal, |journal| {
            journal.put(key.as_bytes(), &value)?;
            if durably { journal.sync() } else { Ok(()) }
        })
    }

    /// Forgets a route and its dead letters.
    ///
    /// # Errors
    /// The disk refuses.
    pub fn forget(&self, route: RouteId) -> Result<(), LogError> {
        let letters = self.letters(|letter| letter.route == route, usize::MAX);
        let mut store = self.0.lock();
        store.open.remove(&route);
        let prefix = taken_prefix(route);
        let taken = store.journal.iter().map(|(key, _)| key).filter(|key| key.starts_with(prefix.as_bytes()));
        let taken: Vec<_> = taken.map(<[u8]>::to_vec).collect();
        write(&mut store.journal, |journal| {
            journal.remove(cursor_key(route).as_bytes())?;
            taken.iter().try_for_each(|key| journal.remove(key))?;
            letters.iter().try_for_each(|letter| journal.remove(letter_key(&letter.id).as_bytes()))?;
            journal.sync()
        })
    }

    /// Makes dead letters durable. One that is there already keeps its state.
    ///
    /// # Errors
    /// The route has too many, or the disk refuses; none is then sure to be durable.
    pub fn add_letters(&self, letters: &[Letter]) -> Result<(), LetterError> {
        let Some(route) = letters.first().map(|letter| letter.route) else { return Ok(()) };
        let mut store = self.0.lock();
        let new: Vec<_> = letters
            .iter()
            .filter(|letter| store.journal.get(letter_key(&letter.id).as_bytes()).is_none())
            .collect();
        if store.open.get(&route).map_or(0, BTreeSet::len) + new.len() > MAX_LETTERS_PER_ROUTE {
            return Err(LetterError::TooMany);
        }
        write(&mut store.journal, |journal| {
            new.iter()
                .try_for_each(|letter| journal.put(letter_key(&letter.id).as_bytes(), &encoded(letter)))?;
            journal.sync()
        })?;
        new.into_iter().for_each(|letter| store.note(letter));
        Ok(())
    }

    /// Replaces a dead letter, durably.
    ///
    /// # Errors
    /// The disk refuses.
    pub fn update_letter(&self, letter: &Letter) -> Result<(), LogError> {
        let mut store = self.0.lock();
        write(&mut store.journal, |journal| {
            journal.put(letter_key(&letter.id).as_bytes(), &encoded(letter))?;
            journal.sync()
        })?;
        store.note(letter);
        Ok(())
    }

    /// Removes a dead letter, durably.
    ///
    /// # Errors
    /// The disk refuses.
    pub fn discard_letter(&self, id: &str) -> Result<(), LogError> {
        let mut store = self.0.lock();
        write(&mut store.journal, |journal| {
            journal.remove(letter_key(id).as_bytes())?;
            journal.sync()
        })?;
        store.open.values_mut().for_each(|open| {
            open.remove(id);
        });
        Ok(())
    }

    /// A dead letter.
    pub fn letter(&self, id: &str) -> Option<Letter> {
        self.0
            .lock()
            .journal
            .get(letter_key(id).as_bytes())
            .and_then(|value| serde_json::from_slice(value).ok())
    }

    /// How many dead letters of a route wait for an admin.
    pub fn open_letters(&self, route: RouteId) -> u64 {
        self.0.lock().open.get(&route).map_or(0, |open| open.len() as u64)
    }

    /// Up to `limit` dead letters that are wanted, newest first.
    pub fn letters(&self, wanted: impl Fn(&Letter) -> bool, limit: usize) -> Vec<Letter> {
        let store = self.0.lock();
        let entries = store.journal.iter().filter(|(key, _)| key.starts_with(b"letter/"));
        let letters = entries.filter_map(|(_, value)| serde_json::from_slice::<Letter>(value).ok());
        let mut found: Vec<_> = letters.filter(wanted).collect();
        found.sort_by(|a, b| b.refused_at_us.cmp(&a.refused_at_us).then_with(|| a.id.cmp(&b.id)));
        found.truncate(limit);
        found
    }
}

impl Store {
    fn note(&mut self, letter: &Letter) {
        let open = self.open.entry(letter.route).or_default();
        if letter.state == LetterState::Open {
            open.insert(letter.id.clone());
        } else {
            open.remove(&letter.id);
        }
    }
}

fn write(
    journal: &mut Journal<DiskStorage>,
    work: impl FnOnce(&mut Journal<DiskStorage>) -> Result<(), AppendError>,
) -> Result<(), LogError> {
    let done = work(journal);
    if matches!(done, Err(AppendError::Poisoned(_))) {
        journal.reopen()?;
    }
    Ok(done?)
}

fn cursor_key(route: RouteId) -> String {
    format!("cursor/{route}")
}

fn taken_prefix(route: RouteId) -> String {
    format!("taken/{route}/")
}

fn letter_key(id: &str) -> String {
    format!("letter/{id}")
}

fn encoded(letter: &Letter) -> Vec<u8> {
    serde_json::to_vec(letter).expect("a letter holds only JSON")
}

#[cfg(test)]
mod tests {
    use super::*;
    use towpath_record::RegionName;

    fn letter(row: u32) -> Letter {
        let lane = LaneId { source: SourceId::from_bytes([1; 16]), region: RegionName::main() };
        let route = RouteId::from_bytes([2; 16]);
        Letter {
            id: Letter::id_of(route, 0, &lane, 7, row),
            route,
            replay: 0,
            stream: StreamName::new("erp.orders").unwrap(),
            offset: LogOffset(70),
            lane,
            link: Link { epoch: 1, seq: 7, crc: 9 },
            row,
            reason: "the value is too long".into(),
            record: serde_json::json!({ "id": row }),
            refused_at_us: i64::from(row),
            state: LetterState::Open,
            frame: String::new(),
        }
    }

    #[test]
    fn a_letter_that_is_reported_again_is_kept_once_with_what_became_of_it() {
        let dir = tempfile::tempdir().unwrap();
        let store = Deliveries::open(dir.path()).unwrap();
        store.add_letters(&[letter(1), letter(2)]).unwrap();
        store.update_letter(&Letter { state: LetterState::Replaying { seq: 4 }, ..letter(1) }).unwrap();
        store.add_letters(&[letter(1), letter(3)]).unwrap();
        drop(store);
        let store = Deliveries::open(dir.path()).unwrap();
        let rows: Vec<_> = store.letters(|_| true, 10).iter().map(|letter| letter.row).collect();
        assert_eq!(rows, [3, 2, 1]);
        assert_eq!(store.letter(&letter(1).id).unwrap().state, LetterState::Replaying { seq: 4 });
        assert_eq!(store.letters(|_| true, 2).len(), 2);
        assert_eq!(store.open_letters(letter(1).route), 2);
    }

    #[test]
    fn a_route_that_is_forgotten_leaves_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let store = Deliveries::open(dir.path()).unwrap();
        let route = letter(1).route;
        store.put_cursor(route, &Cursor { offset: LogOffset(5), ..Cursor::default() }).unwrap();
        store.add_letters(&[letter(1)]).unwrap();
        assert_eq!(store.cursor(route).unwrap().offset, LogOffset(5));
        let taken = Taken { replay: 2, schemas: vec![SchemaHash([7; 32])] };
        let (source, stream) = (SourceId::from_bytes([1; 16]), StreamName::new("erp.orders").unwrap());
        store.put_taken(route, source, &stream, &taken, true).unwrap();
        assert_eq!(store.taken(route), [(source, stream, taken)]);
        store.forget(route).unwrap();
        assert_eq!((store.cursor(route), store.letters(|_| true, 9).len()), (None, 0));
        assert_eq!(store.taken(route), []);
    }
}
