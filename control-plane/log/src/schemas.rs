//! The versions of each stream's schema, as the log has seen them come.
//!
//! A source's stream begins with version 1; each frame of records whose schema was not seen there before begins the
//! next one. A schema that returns is the version it was. The versions follow from the frames, so that they are found
//! again by reading the log; the book keeps them beyond the frames that retention removes.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use towpath_record::{FrameHeader, FrameKind, LogOffset, SchemaHash, SourceId, StreamName};

/// A version of a stream's schema.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SchemaVersion {
    /// Its number, from 1, without gaps.
    pub version: u32,
    /// The schema.
    pub schema: SchemaHash,
    /// The first frame that named it.
    pub first: LogOffset,
    /// When that frame was appended, in microseconds since 1970-01-01 UTC, by the control plane's clock.
    pub first_us: i64,
}

/// The versions of every stream, oldest first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SchemaVersions(BTreeMap<SourceId, BTreeMap<StreamName, Vec<SchemaVersion>>>);

impl SchemaVersions {
    /// The versions of a source's stream; none when it has brought no record yet.
    pub fn of(&self, source: SourceId, stream: &StreamName) -> &[SchemaVersion] {
        self.0.get(&source).and_then(|streams| streams.get(stream)).map_or(&[], Vec::as_slice)
    }

    /// Every stream of every source, with its versions.
    pub fn iter(&self) -> impl Iterator<Item = (SourceId, &StreamName, &[SchemaVersion])> {
        let streams =
            self.0.iter().flat_map(|(source, streams)| streams.iter().map(move |found| (source, found)));
        streams.map(|(source, (stream, versions))| (*source, stream, versions.as_slice()))
    }

    /// Notes a frame. Returns the version that it begins, if it begins one.
    pub(crate) fn note(
        &mut self,
        offset: LogOffset,
        appended_us: i64,
        header: &FrameHeader,
    ) -> Option<SchemaVersion> {
        if header.kind != FrameKind::Records {
            return None;
        }
        let (source, schema) = (header.lane.source, header.schema);
        let known = self.of(source, &header.stream);
        // Most often it is the newest.
        if known.iter().rev().any(|version| version.schema == schema) {
            return None;
        }
        let version = u32::try_from(known.len()).unwrap_or(u32::MAX).saturating_add(1);
        let begun = SchemaVersion { version, schema, first: offset, first_us: appended_us };
        self.restore(source, header.stream.clone(), begun);
        Some(begun)
    }

    /// How many there are in all.
    pub fn count(&self) -> usize {
        self.0.values().flat_map(BTreeMap::values).map(Vec::len).sum()
    }

    /// Puts a version back that was noted before; they come in the order of their numbers.
    pub(crate) fn restore(&mut self, source: SourceId, stream: StreamName, version: SchemaVersion) {
        self.0.entry(source).or_default().entry(stream).or_default().push(version);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow_array::RecordBatch;
    use towpath_record::{Column, ColumnType, FrameDraft, LaneId, Position, RegionName, StreamSchema};

    fn header(kind: FrameKind, stream: &str, column: &str) -> FrameHeader {
        let columns = vec![Column::nullable(column, ColumnType::Int64)];
        let schema = StreamSchema::new(columns, Vec::new()).unwrap();
        let draft = FrameDraft {
            lane: LaneId { source: SourceId::from_bytes([1; 16]), region: RegionName::main() },
            epoch: 1,
            seq: 1,
            prev_crc: 0,
            stream: StreamName::new(stream).unwrap(),
            kind,
            position: Position::default(),
            marks: Vec::new(),
            captured_at_us: 0,
            transaction_continues: false,
        };
        let frame = draft.seal(&schema, &RecordBatch::new_empty(schema.arrow().clone())).unwrap();
        frame.header().clone()
    }

    #[test]
    fn a_schema_that_returns_is_the_version_it_was_and_streams_count_by_themselves() {
        let mut versions = SchemaVersions::default();
        let mut begun = |offset, kind, stream, column| {
            let header = header(kind, stream, column);
            versions.note(LogOffset(offset), 7, &header).map(|version| version.version)
        };
        assert_eq!(begun(1, FrameKind::Records, "orders", "a"), Some(1));
        assert_eq!(begun(2, FrameKind::Records, "orders", "b"), Some(2));
        assert_eq!(begun(3, FrameKind::Records, "orders", "a"), None);
        assert_eq!(begun(4, FrameKind::Progress, "orders", "c"), None);
        assert_eq!(begun(5, FrameKind::Records, "items", "b"), Some(1));
        let orders = versions.of(SourceId::from_bytes([1; 16]), &StreamName::new("orders").unwrap());
        assert_eq!(orders.iter().map(|version| version.first.0).collect::<Vec<_>>(), [1, 2]);
        assert_eq!(versions.iter().count(), 2);
    }
}
