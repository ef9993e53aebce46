//! A lane's frames in memory, and their schema.

use std::collections::VecDeque;
use std::sync::{Arc, LazyLock};

use arrow_array::{ArrayRef, BinaryArray, RecordBatch, StringArray, TimestampMicrosecondArray, UInt8Array};
use async_trait::async_trait;
use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::watch;
use towpath_record::{
    Column, ColumnType, FrameDraft, FrameKind, LaneId, Link, Position, RegionName, SchemaHash, SealedFrame,
    SourceId, StreamName, StreamSchema,
};

use crate::link::{FramesError, LaneFrames, SchemaSource};

pub(super) fn lane() -> LaneId {
    LaneId { source: SourceId::from_bytes([5; 16]), region: RegionName::main() }
}

pub(super) fn schema() -> &'static StreamSchema {
    static SCHEMA: LazyLock<StreamSchema> = LazyLock::new(|| {
        StreamSchema::new(vec![Column::required("noise", ColumnType::Binary)], vec![])
            .expect("a valid schema")
    });
    &SCHEMA
}

pub(super) struct OneSchema;

#[async_trait]
impl SchemaSource for OneSchema {
    async fn canonical(&self, hash: SchemaHash) -> Option<Bytes> {
        (hash == schema().hash()).then(|| schema().canonical().clone())
    }
}

pub(super) struct MemoryFrames {
    content: Mutex<Content>,
    newest: watch::Sender<u64>,
}

#[derive(Default)]
struct Content {
    epoch: u64,
    last: Option<Link>,
    frames: VecDeque<SealedFrame>,
}

impl MemoryFrames {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self { content: Mutex::default(), newest: watch::Sender::new(0) })
    }

    /// Seals under this epoch, behind this link, from now on.
    pub(super) fn begin(&self, epoch: u64, last: Option<Link>) {
        *self.content.lock() = Content { epoch, last, frames: VecDeque::new() };
    }

    /// Seals frames of about this many bytes.
    pub(super) fn seal(&self, count: u64, bytes: usize) {
        for _ in 0..count {
            let mut content = self.content.lock();
            let seq = content.last.map_or(1, |link| link.seq + 1);
            let draft = FrameDraft {
                lane: lane(),
                epoch: content.epoch,
                seq,
                prev_crc: content.last.map_or(0, |link| link.crc),
                stream: StreamName::new("test.noise").expect("a valid name"),
                kind: FrameKind::Records,
                position: Position(Bytes::copy_from_slice(&seq.to_le_bytes())),
                marks: vec![],
                captured_at_us: 0,
                transaction_continues: false,
            };
            let frame = draft.seal(schema(), &noise(seq, bytes)).expect("it fits");
            content.last = Some(frame.link());
            content.frames.push_back(frame);
            drop(content);
            self.newest.send_replace(seq);
        }
    }

    pub(super) fn trim_through(&self, seq: u64) {
        self.content.lock().frames.retain(|frame| frame.link().seq > seq);
    }

    pub(super) fn reset(&self) {
        *self.content.lock() = Content::default();
        self.newest.send_replace(0);
    }
}

#[async_trait]
impl LaneFrames for MemoryFrames {
    fn newest(&self) -> watch::Receiver<u64> {
        self.newest.subscribe()
    }

    async fn oldest(&self) -> Result<Option<u64>, FramesError> {
        Ok(self.content.lock().frames.front().map(|frame| frame.link().seq))
    }

    async fn read(&self, seq: u64) -> Result<SealedFrame, FramesError> {
        let content = self.content.lock();
        let found = content.frames.iter().find(|frame| frame.link().seq == seq).cloned();
        found.ok_or_else(|| FramesError(format!("frame {seq} is not there")))
    }
}

/// One row of bytes that do not compress.
fn noise(seed: u64, bytes: usize) -> RecordBatch {
    let mut rng = fastrand::Rng::with_seed(seed);
    let mut value = vec![0; bytes];
    rng.fill(&mut value);
    let columns: Vec<ArrayRef> = vec![
        Arc::new(UInt8Array::from_value(1, 1)),
        Arc::new(TimestampMicrosecondArray::from_value(0, 1).with_timezone("UTC")),
        Arc::new(StringArray::from_iter([None::<&str>])),
        Arc::new(BinaryArray::from_iter_values([value])),
    ];
    RecordBatch::try_new(schema().arrow().clone(), columns).expect("columns of the schema")
}
