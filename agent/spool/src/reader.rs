//! Reads a lane's frames in order and waits for more.

use bytes::Bytes;
use tokio::sync::watch;
use towpath_record::{FrameError, SealedFrame};
use towpath_segment::{DiskStorage, LostRange, ReadError, Reader, Storage};

use crate::error::{Damage, SpoolError};
use crate::lane::{Inner, LaneQueue};

/// A place in a lane. Dropping a future of it loses no frame.
#[derive(Debug)]
pub struct LaneReader<S: Storage = DiskStorage> {
    queue: LaneQueue<S>,
    durable: watch::Receiver<u64>,
    /// The last frame that was handed out.
    after: u64,
    generation: u64,
    reader: Option<Reader<S>>,
}

impl<S: Storage> LaneReader<S> {
    pub(crate) fn new(queue: LaneQueue<S>, after: u64) -> Self {
        let durable = queue.last_durable();
        let generation = queue.inner.state.lock().generation;
        Self { queue, durable, after, generation, reader: None }
    }

    /// The number of the last frame that was handed out, or where reading began.
    pub fn position(&self) -> u64 {
        self.after
    }

    /// The next frame, as soon as it is durable.
    ///
    /// # Errors
    /// The lane was reset or trimmed beyond this place ([`SpoolError::Gone`]), is damaged, or cannot be read.
    pub async fn next(&mut self) -> Result<SealedFrame, SpoolError> {
        loop {
            self.durable.borrow_and_update();
            if let Some(frame) = self.take_off_runtime().await? {
                return Ok(frame);
            }
            // The queue, and with it the sender, lives as long as this reader.
            let _ = self.durable.changed().await;
        }
    }

    /// The next frame, if it is durable by now. Reads from the disk on this thread.
    ///
    /// # Errors
    /// As [`LaneReader::next`].
    pub fn try_next(&mut self) -> Result<Option<SealedFrame>, SpoolError> {
        let Some(mut reader) = self.ready()? else { return Ok(None) };
        let frame = read_frame(&self.queue.inner, &mut reader);
        self.reader = Some(reader);
        self.hand_out(frame)
    }

    async fn take_off_runtime(&mut self) -> Result<Option<SealedFrame>, SpoolError> {
        let Some(mut reader) = self.ready()? else { return Ok(None) };
        let inner = self.queue.inner.clone();
        let read = move || {
            let frame = read_frame(&inner, &mut reader);
            (reader, frame)
        };
        // Should this future be dropped here, then the next call opens the place anew.
        match tokio::task::spawn_blocking(read).await {
            Ok((reader, frame)) => {
                self.reader = Some(reader);
                self.hand_out(frame)
            }
            // The runtime is shutting down, or the read panicked: there is nothing to hand out.
            Err(_) => Ok(None),
        }
    }

    /// The reader at the next frame, if that one is durable.
    fn ready(&mut self) -> Result<Option<Reader<S>>, SpoolError> {
        let inner = &self.queue.inner;
        inner.broken()?;
        let wanted = self.after + 1;
        let gone = || SpoolError::Gone { lane: inner.lane.clone(), seq: wanted };
        let durable = inner.log().durable_index();
        let state = inner.state.lock();
        if state.generation != self.generation {
            return Err(gone());
        }
        let Some(tail) = state.tail else {
            let passed = state.head.as_ref().is_some_and(|head| wanted <= head.link.seq);
            return if passed && self.after > 0 { Err(gone()) } else { Ok(None) };
        };
        let wanted = if self.after == 0 { tail.seq } else { wanted };
        if wanted < tail.seq {
            return Err(gone());
        }
        let Some(index) = state.index_of(wanted).filter(|index| *index < durable) else { return Ok(None) };
        drop(state);
        let mut reader = self.reader.take().unwrap_or_else(|| inner.log().reader(index));
        reader.seek(index);
        Ok(Some(reader))
    }

    fn hand_out(
        &mut self,
        frame: Result<Option<SealedFrame>, SpoolError>,
    ) -> Result<Option<SealedFrame>, SpoolError> {
        let frame = frame?;
        if let Some(frame) = &frame {
            self.after = frame.header().seq;
        }
        Ok(frame)
    }
}

/// The frame at the reader's place. Damage breaks the lane.
pub(crate) fn read_frame<S: Storage>(
    inner: &Inner<S>,
    reader: &mut Reader<S>,
) -> Result<Option<SealedFrame>, SpoolError> {
    let index = reader.position();
    let record = match reader.next() {
        Ok(Some(record)) => record,
        Ok(None) => return Ok(None),
        Err(ReadError::Trimmed { .. }) => {
            return Err(SpoolError::Gone {
                lane: inner.lane.clone(),
                seq: seq_of(inner, index).unwrap_or_default(),
            });
        }
        Err(ReadError::Lost(lost)) => return Err(inner.break_with(damage_of(inner, &lost))),
        Err(ReadError::Storage(cause)) => return Err(SpoolError::Read { lane: inner.lane.clone(), cause }),
    };
    SealedFrame::parse(Bytes::from(record.payload)).map(Some).map_err(|error| {
        let lost = seq_of(inner, index).map(|seq| seq..seq + 1);
        inner.break_with(Damage { lost, reason: not_a_frame(index, &error) })
    })
}

pub(crate) fn not_a_frame(index: u64, error: &FrameError) -> String {
    format!("record {index} is intact and holds no valid frame: {error}")
}

fn damage_of<S: Storage>(inner: &Inner<S>, lost: &LostRange) -> Damage {
    let from = seq_of(inner, lost.from);
    Damage { lost: from.map(|from| from..from + (lost.to - lost.from)), reason: lost.to_string() }
}

/// The frame number of a record, counted from the oldest live frame.
fn seq_of<S: Storage>(inner: &Inner<S>, index: u64) -> Option<u64> {
    let tail = inner.state.lock().tail?;
    index.checked_sub(tail.index).map(|ahead| tail.seq + ahead)
}
