//! Where a lane's frames come from: the spool, and what the agent knows of schemas.

use async_trait::async_trait;
use bytes::Bytes;
use tokio::sync::{Mutex, watch};
use towpath_record::{SchemaHash, SealedFrame};
use towpath_session::Chain;
use towpath_spool::{LaneQueue, LaneReader, SpoolError};

/// A frame cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct FramesError(pub String);

/// The frames that an agent durably holds of one lane.
#[async_trait]
pub trait LaneFrames: Send + Sync + 'static {
    /// The number of the newest durable frame, and every change of it; 0 while there is none.
    fn newest(&self) -> watch::Receiver<u64>;

    /// The number of the oldest frame that is held; none while there is none.
    ///
    /// # Errors
    /// It cannot be told.
    async fn oldest(&self) -> Result<Option<u64>, FramesError>;

    /// The frame with this number, which is at most the newest.
    ///
    /// # Errors
    /// It is not there, or cannot be read.
    async fn read(&self, seq: u64) -> Result<SealedFrame, FramesError>;
}

/// The schemas of the frames that an agent holds.
#[async_trait]
pub trait SchemaSource: Send + Sync + 'static {
    /// The canonical form of a schema; none when it is not known here any more.
    async fn canonical(&self, hash: SchemaHash) -> Option<Bytes>;
}

/// A lane's queue in the spool, read mostly in order.
pub struct SpooledFrames {
    queue: LaneQueue,
    /// Where reading goes on, kept so that the next frame costs no search.
    reader: Mutex<Option<LaneReader>>,
}

impl SpooledFrames {
    /// The frames of this queue.
    pub fn new(queue: LaneQueue) -> Self {
        Self { queue, reader: Mutex::new(None) }
    }
}

#[async_trait]
impl LaneFrames for SpooledFrames {
    fn newest(&self) -> watch::Receiver<u64> {
        self.queue.last_durable()
    }

    async fn oldest(&self) -> Result<Option<u64>, FramesError> {
        let queue = self.queue.clone();
        let tail = tokio::task::spawn_blocking(move || queue.tail()).await;
        let tail = tail.map_err(|_| FramesError("the agent is stopping".to_owned()))?.map_err(unreadable)?;
        Ok(tail.map(|tail| tail.link.seq))
    }

    async fn read(&self, seq: u64) -> Result<SealedFrame, FramesError> {
        let before = seq.saturating_sub(1);
        let mut kept = self.reader.lock().await;
        let mut reader = match kept.take() {
            Some(reader) if reader.position() == before => reader,
            _ => self.queue.reader(before),
        };
        let read = tokio::task::spawn_blocking(move || {
            let frame = reader.try_next();
            (reader, frame)
        });
        let (reader, frame) = read.await.map_err(|_| FramesError("the agent is stopping".to_owned()))?;
        let frame = frame.map_err(unreadable)?;
        *kept = Some(reader);
        frame.ok_or_else(|| FramesError(format!("frame {seq} is not in the spool")))
    }
}

fn unreadable(error: SpoolError) -> FramesError {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(&error);
    while let Some(deeper) = cause {
        text = format!("{text}: {deeper}");
        cause = deeper.source();
    }
    FramesError(text)
}

/// What is held of a lane now: read from the frames; or, while there are none, what is known to come before the
/// next one.
pub(super) async fn survey(
    frames: &dyn LaneFrames,
    behind: Option<Chain>,
) -> Result<Option<Chain>, FramesError> {
    let newest = *frames.newest().borrow();
    let Some(first) = frames.oldest().await?.filter(|first| *first <= newest) else { return Ok(behind) };
    let tail = frames.read(newest).await?.link();
    let prev_crc = frames.read(first).await?.header().prev_crc;
    Ok(Some(Chain { epoch: tail.epoch, first, prev_crc, tail: Some(tail) }))
}
