//! Reads frames in the order of the log, waiting at its end for more.

use bytes::Bytes;
use tokio::sync::watch;
use towpath_record::{LogOffset, SealedFrame};
use towpath_segment::{DiskStorage, Reader, error as segment};

use crate::error::ReadError;
use crate::writer::STAMP_BYTES;

/// A frame in the log.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Its place in the log.
    pub offset: LogOffset,
    /// When it was appended, in microseconds since 1970-01-01 UTC, by the control plane's clock.
    pub appended_us: i64,
    /// The frame.
    pub frame: SealedFrame,
}

/// A place in the log that moves forward.
pub struct LogReader {
    segments: Reader<DiskStorage>,
    head: watch::Receiver<LogOffset>,
}

impl LogReader {
    pub(crate) fn new(segments: Reader<DiskStorage>, head: watch::Receiver<LogOffset>) -> Self {
        Self { segments, head }
    }

    /// The offset that is read next.
    pub fn position(&self) -> LogOffset {
        LogOffset(self.segments.position())
    }

    /// Goes to another offset.
    pub fn seek(&mut self, offset: LogOffset) {
        self.segments.seek(offset.0);
    }

    /// The next frame, or `None` at the end of the log. Blocks on the disk, briefly.
    ///
    /// # Errors
    /// After [`ReadError::Lost`] and [`ReadError::Frame`] the reader goes on behind what it could not read;
    /// [`ReadError::Retained`] repeats until [`LogReader::seek`].
    pub fn next_now(&mut self) -> Result<Option<Entry>, ReadError> {
        let record = self.segments.next().map_err(|error| match error {
            segment::ReadError::Trimmed { wanted, first } => {
                ReadError::Retained { wanted: LogOffset(wanted), first: LogOffset(first) }
            }
            segment::ReadError::Lost(lost) => ReadError::Lost {
                from: LogOffset(lost.from),
                to: LogOffset(lost.to.saturating_sub(1)),
                reason: lost.cause(),
            },
            segment::ReadError::Storage(fault) => ReadError::Disk(fault),
        })?;
        record.map(|record| entry(record.index, record.payload)).transpose()
    }

    /// Waits until there is something to read at [`LogReader::position`]. Returns `false` when the log was closed.
    pub async fn wait(&mut self) -> bool {
        let position = self.position();
        self.head.wait_for(|head| *head > position).await.is_ok()
    }
}

pub(crate) fn entry(index: u64, payload: Vec<u8>) -> Result<Entry, ReadError> {
    let offset = LogOffset(index);
    let payload = Bytes::from(payload);
    let Some((stamp, _)) = payload.split_first_chunk::<STAMP_BYTES>() else {
        let source = towpath_record::FrameError::Truncated { have: payload.len(), need: STAMP_BYTES };
        return Err(ReadError::Frame { offset, source });
    };
    let appended_us = i64::from_le_bytes(*stamp);
    let frame = SealedFrame::parse(payload.slice(STAMP_BYTES..));
    frame
        .map(|frame| Entry { offset, appended_us, frame })
        .map_err(|source| ReadError::Frame { offset, source })
}
