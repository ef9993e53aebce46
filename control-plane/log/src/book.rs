//! The book: a journal of what must outlive the frames that said it. Its keys are listed at the crate's head.

use std::collections::BTreeMap;
use std::path::Path;

use bytes::Bytes;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use towpath_record::{
    FrameHeader, LaneId, Link, LogOffset, Mark, Position, RegionName, SchemaHash, SourceId, StreamName,
    StreamSchema,
};
use towpath_segment::{AppendError, Config, DiskStorage, Journal};

use crate::chain::LaneState;
use crate::error::LogError;
use crate::schemas::{SchemaVersion, SchemaVersions};
use crate::stats::{StreamTotals, Totals};

const CHECKPOINT: &[u8] = b"checkpoint";
const TRIMMED: &[u8] = b"trimmed";
const DEAD_LETTERS: &[u8] = b"dead-letters";

/// What retention removed so far.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Trimmed {
    /// Every frame before this offset is counted below.
    pub before: LogOffset,
    /// Totals of those frames.
    pub totals: BTreeMap<StreamName, StreamTotals>,
}

#[derive(Serialize, Deserialize)]
struct StoredLane {
    source: SourceId,
    region: RegionName,
    epoch: u64,
    last: Option<Link>,
    position: Vec<u8>,
}

/// The journal with typed entries.
pub(crate) struct Book(Journal<DiskStorage>);

impl Book {
    pub(crate) fn open(dir: &Path) -> Result<Self, LogError> {
        let (journal, recovery) = Journal::open(DiskStorage, dir, Config::default())?;
        for lost in &recovery.lost {
            tracing::error!(book = %dir.display(), %lost, "entries of the log's book are lost");
        }
        Ok(Self(journal))
    }

    /// Every frame before this offset is reflected in the lanes and totals of the book.
    pub(crate) fn checkpoint(&self) -> Result<LogOffset, LogError> {
        Ok(self.read(CHECKPOINT)?.unwrap_or(LogOffset(1)))
    }

    pub(crate) fn trimmed(&self) -> Result<Trimmed, LogError> {
        Ok(self.read(TRIMMED)?.unwrap_or_default())
    }

    pub(crate) fn lanes(&self) -> Result<BTreeMap<LaneId, LaneState>, LogError> {
        let stored = self.scan(b"lane/").map(|(key, value)| {
            let lane: StoredLane = parse(key, value)?;
            let state = LaneState {
                epoch: lane.epoch,
                last: lane.last,
                position: Position(Bytes::from(lane.position)),
            };
            Ok((LaneId { source: lane.source, region: lane.region }, state))
        });
        stored.collect()
    }

    pub(crate) fn totals(&self) -> Result<Totals, LogError> {
        let stored = self.scan(b"stream/").map(|(key, value)| {
            let name = String::from_utf8_lossy(&key[b"stream/".len()..]).into_owned();
            let name = StreamName::new(name).map_err(|e| damaged(key, &e))?;
            Ok((name, parse(key, value)?))
        });
        stored.collect::<Result<_, _>>().map(Totals)
    }

    pub(crate) fn schemas(&self) -> Result<BTreeMap<SchemaHash, StreamSchema>, LogError> {
        let stored = self.scan(b"schema/").map(|(key, value)| {
            let schema = StreamSchema::from_canonical(value).map_err(|e| damaged(key, &e))?;
            Ok((schema.hash(), schema))
        });
        stored.collect()
    }

    /// The versions of every stream's schema.
    pub(crate) fn versions(&self) -> Result<SchemaVersions, LogError> {
        let mut versions = SchemaVersions::default();
        // The keys are in the order of the numbers, which have a fixed width.
        for (key, value) in self.scan(b"version/") {
            let name = String::from_utf8_lossy(key);
            let mut parts = name.split('/').skip(1);
            let (source, stream) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
            let source: SourceId = source.parse().map_err(|e: uuid::Error| damaged(key, &e))?;
            let stream = StreamName::new(stream).map_err(|e| damaged(key, &e))?;
            versions.restore(source, stream, parse(key, value)?);
        }
        Ok(versions)
    }

    pub(crate) fn put_version(
        &mut self,
        source: SourceId,
        stream: &StreamName,
        version: &SchemaVersion,
    ) -> Result<(), LogError> {
        self.write(format!("version/{source}/{stream}/{:010}", version.version).as_bytes(), version)
    }

    /// The marks of a lane that retention removed the frames of, oldest first.
    pub(crate) fn marks(&self, lane: &LaneId) -> Vec<Mark> {
        let prefix = format!("mark/{lane}/");
        self.scan(prefix.as_bytes()).map(|(_, mark)| Mark(Bytes::copy_from_slice(mark))).collect()
    }

    pub(crate) fn put_schema(&mut self, schema: &StreamSchema) -> Result<(), LogError> {
        self.put(format!("schema/{}", schema.hash()).as_bytes(), schema.canonical())?;
        self.sync()
    }

    pub(crate) fn put_lane(&mut self, lane: &LaneId, state: &LaneState) -> Result<(), LogError> {
        let stored = StoredLane {
            source: lane.source,
            region: lane.region.clone(),
            epoch: state.epoch,
            last: state.last,
            position: state.position.0.to_vec(),
        };
        self.write(format!("lane/{lane}").as_bytes(), &stored)
    }

    pub(crate) fn put_totals(&mut self, totals: &Totals) -> Result<(), LogError> {
        totals
            .0
            .iter()
            .try_for_each(|(stream, totals)| self.write(format!("stream/{stream}").as_bytes(), totals))
    }

    /// Where frames of dead letters stand.
    pub(crate) fn dead_letters(&self) -> Result<BTreeMap<LogOffset, StreamName>, LogError> {
        let stored: Vec<_> = self.read(DEAD_LETTERS)?.unwrap_or_default();
        Ok(stored.into_iter().collect())
    }

    pub(crate) fn put_dead_letters(
        &mut self,
        frames: &BTreeMap<LogOffset, StreamName>,
    ) -> Result<(), LogError> {
        self.write(DEAD_LETTERS, &frames.iter().collect::<Vec<_>>())
    }

    pub(crate) fn put_checkpoint(&mut self, before: LogOffset) -> Result<(), LogError> {
        self.write(CHECKPOINT, &before)
    }

    pub(crate) fn put_trimmed(&mut self, trimmed: &Trimmed) -> Result<(), LogError> {
        self.write(TRIMMED, trimmed)
    }

    pub(crate) fn carry_marks(&mut self, offset: LogOffset, header: &FrameHeader) -> Result<(), LogError> {
        for (n, mark) in header.marks.iter().enumerate() {
            self.put(format!("mark/{}/{:020}/{n:04}", header.lane, offset.0).as_bytes(), &mark.0)?;
        }
        Ok(())
    }

    pub(crate) fn sync(&mut self) -> Result<(), LogError> {
        let synced = self.0.sync();
        self.recovered(synced)
    }

    fn put(&mut self, key: &[u8], value: &[u8]) -> Result<(), LogError> {
        let put = self.0.put(key, value);
        self.recovered(put)
    }

    /// After a failed write the journal goes back to what is durable; the caller's work fails and is tried again.
    fn recovered(&mut self, result: Result<(), AppendError>) -> Result<(), LogError> {
        if matches!(result, Err(AppendError::Poisoned(_))) {
            self.0.reopen()?;
        }
        Ok(result?)
    }

    fn scan(&self, prefix: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.0.iter().filter(move |(key, _)| key.starts_with(prefix))
    }

    fn read<T: DeserializeOwned>(&self, key: &[u8]) -> Result<Option<T>, LogError> {
        self.0.get(key).map(|value| parse(key, value)).transpose()
    }

    fn write<T: Serialize>(&mut self, key: &[u8], value: &T) -> Result<(), LogError> {
        let bytes = serde_json::to_vec(value).expect("numbers, names and bytes are always JSON");
        self.put(key, &bytes)
    }
}

fn parse<T: DeserializeOwned>(key: &[u8], value: &[u8]) -> Result<T, LogError> {
    serde_json::from_slice(value).map_err(|e| damaged(key, &e))
}

fn damaged(key: &[u8], reason: &dyn std::fmt::Display) -> LogError {
    LogError::Damaged {
        path: format!("book entry {}", String::from_utf8_lossy(key)).into(),
        reason: reason.to_string(),
    }
}
