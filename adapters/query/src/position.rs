//! Where a source of queries may resume: for each query the highest mark, the row behind which an unfinished run goes
//! on, the rows of the overlap, and which keys are known.

use std::collections::BTreeMap;

use prost::Message;
use towpath_adapter_api::{AdapterError, ErrorKind};
use towpath_record::Position;
use towpath_record::limits::MAX_POSITION_BYTES;

use crate::config::{Query, invalid};
use crate::value::{Value, decoded, encoded};

const VERSION: u32 = 1;
/// Bytes of a position that remember rows, shared by all queries.
pub(crate) const REMEMBERED_BYTES: usize = 8 << 10;

/// Where each query stands.
#[derive(Clone, PartialEq, Message)]
struct Stored {
    #[prost(uint32, tag = "1")]
    version: u32,
    #[prost(message, repeated, tag = "2")]
    queries: Vec<Place>,
}

/// Where one query stands.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct Place {
    /// Which query it is: a hash of its stream, its mark and its key.
    #[prost(fixed64, tag = "1")]
    pub(crate) query: u64,
    /// The highest mark that was read; empty before the first run is over.
    #[prost(bytes = "vec", tag = "2")]
    high: Vec<u8>,
    /// The mark and the key of the last row that was passed in a run; empty before the first.
    #[prost(bytes = "vec", tag = "3")]
    last: Vec<u8>,
    /// Whether a run goes on behind `last`.
    #[prost(bool, tag = "4")]
    pub(crate) under_way: bool,
    /// Whether more rows share the highest mark than are remembered, so that the next run begins behind `last`.
    #[prost(bool, tag = "5")]
    pub(crate) crowded: bool,
    /// Hashes of the rows that need not be read again.
    #[prost(bytes = "vec", tag = "6")]
    pub(crate) remembered: Vec<u8>,
    /// When the last run began, in microseconds since 1970-01-01 UTC.
    #[prost(int64, optional, tag = "7")]
    pub(crate) ran_at_us: Option<i64>,
    /// When keys were last compared.
    #[prost(int64, optional, tag = "8")]
    pub(crate) compared_at_us: Option<i64>,
    /// Which keys are known, for a query whose deletes are looked for.
    #[prost(message, optional, tag = "9")]
    pub(crate) known: Option<KnownKeys>,
}

/// Which pages of the cache hold the known keys.
#[derive(Clone, Copy, PartialEq, Eq, Message)]
pub(crate) struct KnownKeys {
    /// Number of the set of pages that a comparison wrote.
    #[prost(uint64, tag = "1")]
    pub(crate) base: u64,
    /// How many pages it has.
    #[prost(uint32, tag = "2")]
    pub(crate) base_pages: u32,
    /// The last note that went into it.
    #[prost(uint64, tag = "3")]
    pub(crate) base_note: u64,
    /// The last note: each holds the keys of one emission.
    #[prost(uint64, tag = "4")]
    pub(crate) note: u64,
}

impl Place {
    /// The beginning of a query.
    pub(crate) fn of(query: u64) -> Self {
        Self { query, ..Self::default() }
    }

    /// Whether the two differ in more than the times of their runs.
    pub(crate) fn has_moved_from(&self, earlier: &Self) -> bool {
        let (ran_at_us, compared_at_us) = (earlier.ran_at_us, earlier.compared_at_us);
        Self { ran_at_us, compared_at_us, ..self.clone() } != *earlier
    }

    /// The highest mark that was read.
    pub(crate) fn high(&self) -> Result<Option<Value>, AdapterError> {
        Ok(decoded(&self.high).ok_or_else(damaged)?.pop())
    }

    pub(crate) fn set_high(&mut self, mark: &Value) {
        self.high = encoded([mark]);
    }

    /// The mark and the key of the last row.
    pub(crate) fn last(&self) -> Result<Option<(Value, Vec<Value>)>, AdapterError> {
        let mut values = decoded(&self.last).ok_or_else(damaged)?;
        if values.is_empty() {
            return Ok(None);
        }
        let key = values.split_off(1);
        Ok(values.pop().map(|mark| (mark, key)))
    }

    pub(crate) fn set_last<'a>(&mut self, mark: &'a Value, key: impl Iterator<Item = &'a Value>) {
        self.last = encoded(std::iter::once(mark).chain(key));
    }
}

/// The number by which the position knows a query. With another mark or key it is another query.
pub(crate) fn number_of(query: &Query) -> u64 {
    let mut hasher = blake3::Hasher::new();
    for part in [&query.stream, &query.mark].into_iter().chain(&query.key) {
        hasher.update(&(part.len() as u64).to_le_bytes());
        hasher.update(part.as_bytes());
    }
    let hash = hasher.finalize();
    u64::from_le_bytes(hash.as_bytes()[..8].try_into().expect("a hash has 32 bytes"))
}

/// The places of these queries in a position; one that it does not know begins at its beginning.
///
/// # Errors
/// The position was not written by this version of this adapter.
pub(crate) fn read(position: &Position, queries: &[Query]) -> Result<Vec<Place>, AdapterError> {
    let stored = Stored::decode(&*position.0).map_err(|_| damaged())?;
    if stored.version > VERSION {
        return Err(damaged());
    }
    let mut known: BTreeMap<u64, Place> = stored.queries.into_iter().map(|it| (it.query, it)).collect();
    let numbers = queries.iter().map(number_of);
    Ok(numbers.map(|number| known.remove(&number).unwrap_or_else(|| Place::of(number))).collect())
}

/// The places in the bytes of a position.
///
/// # Errors
/// They have no room; that is a key of extraordinary length.
pub(crate) fn write(places: &[Place]) -> Result<Position, AdapterError> {
    let bytes = Stored { version: VERSION, queries: places.to_vec() }.encode_to_vec();
    if bytes.len() > MAX_POSITION_BYTES {
        return Err(invalid(
            "the marks and keys of the last rows are too long for a position; make two sources",
        ));
    }
    Ok(Position(bytes.into()))
}

fn damaged() -> AdapterError {
    AdapterError::new(
        ErrorKind::Corrupt,
        "query source",
        "the position cannot be read; start the source anew",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn query(stream: &str, key: &[&str]) -> Query {
        serde_json::from_value(
            serde_json::json!({ "stream": stream, "sql": "SELECT 1", "mark": "m", "key": key }),
        )
        .unwrap()
    }

    #[test]
    fn a_place_comes_back_from_its_bytes_and_only_to_its_query() {
        let queries = [query("a", &["id"]), query("b", &["id"])];
        let mut places = read(&Position::default(), &queries).unwrap();
        places[1].set_high(&Value::Int(7));
        places[1].set_last(&Value::Int(6), [Value::Text("k".to_owned())].iter());
        places[1].under_way = true;
        let position = write(&places).unwrap();
        let turned = [query("b", &["id"]), query("a", &["id"])];
        let again = read(&position, &turned).unwrap();
        assert_eq!(again[0], places[1]);
        assert_eq!(again[0].high().unwrap(), Some(Value::Int(7)));
        let last = (Value::Int(6), vec![Value::Text("k".to_owned())]);
        assert_eq!(again[0].last().unwrap(), Some(last));
        let changed = read(&position, &[query("b", &["other"])]).unwrap();
        assert_eq!(changed[0].high().unwrap(), None, "with another key it is another query");
    }

    #[test]
    fn what_is_no_position_is_refused() {
        let error = read(&Position(b"\xff\xff".as_slice().into()), &[query("a", &[])]).unwrap_err();
        assert_eq!(error.kind, ErrorKind::Corrupt);
        let later = Stored { version: VERSION + 1, queries: vec![] }.encode_to_vec();
        assert!(read(&Position(later.into()), &[]).is_err());
    }
}
