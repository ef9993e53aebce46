//! One lane's queue: frames go in at the head, are read in order, and are trimmed at the tail.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot, watch};
use towpath_record::{FrameHeader, LaneId, Link, SealedFrame};
use towpath_segment::{AppendError, DiskStorage, GroupCommit, LogView, Storage};

use crate::budget::Budget;
use crate::error::{Damage, SpoolError, WaitReason};
use crate::ledger::Ledger;
use crate::reader::{LaneReader, read_frame};

/// Bytes of frames that a lane may have in flight to the disk. One frame may be larger.
pub const IN_FLIGHT_BYTES: usize = 6 << 20;

/// What a frame in flight weighs at least, so that their number is bounded, too.
const MIN_WEIGHT_BYTES: usize = 32 << 10;

/// One lane's queue. Clones share it.
#[derive(Debug)]
pub struct LaneQueue<S: Storage = DiskStorage> {
    pub(crate) inner: Arc<Inner<S>>,
}

#[derive(Debug)]
pub(crate) struct Inner<S: Storage> {
    pub(crate) lane: LaneId,
    pub(crate) commit: GroupCommit<S>,
    pub(crate) state: Mutex<State>,
    budget: Arc<Budget<S>>,
    /// Keeps frames in the order in which [`LaneQueue::enqueue`] was called while one of them waits for room.
    entrance: tokio::sync::Mutex<()>,
    in_flight: Arc<Semaphore>,
    /// Counts the resets that were asked for. Frames that wait for room then give up, since they belong to what is
    /// discarded.
    resets: watch::Sender<u64>,
    pub(crate) last_durable: watch::Sender<u64>,
}

/// Where the lane stands.
#[derive(Debug)]
pub(crate) struct State {
    /// The oldest live frame: its number in the lane, and that of its record.
    pub(crate) tail: Option<Numbers>,
    /// The newest frame that was queued, live or not.
    pub(crate) head: Option<FrameSummary>,
    /// The index that the next record gets.
    pub(crate) next_index: u64,
    /// Counts resets, so that readers notice one.
    pub(crate) generation: u64,
    pub(crate) damage: Option<Damage>,
    pub(crate) waiting: Option<WaitReason>,
    pub(crate) ledger: Ledger,
    /// When the frame with this number was captured: the oldest, as last asked for.
    oldest: Option<(u64, i64)>,
}

/// A frame's number in its lane and its record's number in the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Numbers {
    pub(crate) seq: u64,
    pub(crate) index: u64,
}

/// A frame without its rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FrameSummary {
    /// What the frame says of itself.
    pub header: FrameHeader,
    /// Its place in the lane.
    pub link: Link,
}

impl FrameSummary {
    pub(crate) fn of(frame: &SealedFrame) -> Self {
        Self { header: frame.header().clone(), link: frame.link() }
    }
}

/// How a lane's queue does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LaneStats {
    /// The lane.
    pub lane: LaneId,
    /// Frames that wait to be shipped.
    pub frames: u64,
    /// Their bytes.
    pub bytes: u64,
    /// When the oldest of them was captured, in microseconds since 1970-01-01 UTC.
    pub oldest_captured_at_us: Option<i64>,
    /// The newest durable frame; 0 if there was none since the last reset or start.
    pub last_durable_seq: u64,
    /// Why the lane takes no frames, if it does not.
    pub waiting: Option<WaitReason>,
    /// What it lost, if it waits for a reset.
    pub damage: Option<Damage>,
}

impl State {
    pub(crate) fn new(
        tail: Option<Numbers>,
        head: Option<FrameSummary>,
        next_index: u64,
        ledger: Ledger,
    ) -> Self {
        Self { tail, head, next_index, generation: 0, damage: None, waiting: None, ledger, oldest: None }
    }

    /// The record of a live frame.
    pub(crate) fn index_of(&self, seq: u64) -> Option<u64> {
        let tail = self.tail?;
        seq.checked_sub(tail.seq).map(|ahead| tail.index + ahead).filter(|index| *index < self.next_index)
    }

    fn frames(&self) -> u64 {
        self.tail.map_or(0, |tail| self.next_index - tail.index)
    }
}

impl<S: Storage> LaneQueue<S> {
    pub(crate) fn new(lane: LaneId, commit: GroupCommit<S>, state: State, budget: Arc<Budget<S>>) -> Self {
        let last = state.tail.and(state.head.as_ref()).map_or(0, |head| head.link.seq);
        let inner = Inner {
            lane,
            commit,
            state: Mutex::new(state),
            budget,
            entrance: tokio::sync::Mutex::new(()),
            in_flight: Arc::new(Semaphore::new(IN_FLIGHT_BYTES)),
            resets: watch::Sender::new(0),
            last_durable: watch::Sender::new(last),
        };
        Self { inner: Arc::new(inner) }
    }

    /// The lane.
    pub fn lane(&self) -> &LaneId {
        &self.inner.lane
    }

    /// Queues a frame, once there is room for it. The receipt says when it is durable; several frames may be in
    /// flight.
    ///
    /// # Errors
    /// The frame does not follow the newest one in the spool, or the lane is damaged. Never because the spool is full.
    pub async fn enqueue(&self, frame: SealedFrame) -> Result<DurableReceipt, SpoolError> {
        let inner = &self.inner;
        if frame.header().lane != inner.lane {
            return Err(SpoolError::OtherLane {
                lane: inner.lane.clone(),
                found: frame.header().lane.clone(),
            });
        }
        let mut resets = inner.resets.subscribe();
        let _in_order = inner.entrance.lock().await;
        inner.check_follows(&frame)?;
        let in_flight = tokio::select! {
            biased;
            _ = resets.changed() => {
                return Err(SpoolError::Gone { lane: inner.lane.clone(), seq: frame.header().seq });
            }
            in_flight = inner.room_for(frame.bytes().len()) => in_flight,
        };

        let link = frame.link();
        inner.note_queued(&frame);
        let (sender, receiver) = oneshot::channel();
        let last_durable = inner.last_durable.clone();
        let done = move |result: Result<u64, AppendError>| {
            drop(in_flight);
            if result.is_ok() {
                last_durable.send_replace(link.seq);
            }
            // Nobody needs to wait for a receipt.
            let _ = sender.send(result);
        };
        inner.commit.append(vec![frame.bytes().clone()], Box::new(done));
        Ok(DurableReceipt { lane: inner.lane.clone(), link, receiver })
    }

    /// Queues a frame and waits until it is durable.
    ///
    /// # Errors
    /// As [`LaneQueue::enqueue`], or the spool is closing.
    pub async fn append(&self, frame: SealedFrame) -> Result<Link, SpoolError> {
        self.enqueue(frame).await?.await
    }

    /// Reads the durable frames after this one, in order; 0 reads from the first.
    pub fn reader(&self, after_seq: u64) -> LaneReader<S> {
        LaneReader::new(self.clone(), after_seq)
    }

    /// The number of the newest durable frame, now and whenever it changes; 0 while there is none.
    pub fn last_durable(&self) -> watch::Receiver<u64> {
        self.inner.last_durable.subscribe()
    }

    /// Forgets frames up to this one: the region's log has them.
    pub fn trim_through(&self, seq: u64) {
        let inner = &self.inner;
        let durable = *inner.last_durable.borrow();
        let mut state = inner.state.lock();
        let Some(tail) = state.tail else { return };
        let seq = seq.min(durable);
        if seq < tail.seq {
            return;
        }
        let index = tail.index + (seq - tail.seq) + 1;
        state.tail = (index < state.next_index).then_some(Numbers { seq: seq + 1, index });
        let freed = state.ledger.release_before(index);
        drop(state);
        inner.commit.trim_before(index);
        inner.budget.release(freed);
    }

    /// The newest frame that was queued since the lane was opened or reset, or was found when it was opened. It may have
    /// been trimmed since.
    pub fn head(&self) -> Option<FrameSummary> {
        self.inner.state.lock().head.clone()
    }

    /// The oldest frame that is still there.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn tail(&self) -> Result<Option<FrameSummary>, SpoolError> {
        let tail = self.inner.state.lock().tail;
        let Some(tail) = tail else { return Ok(None) };
        Ok(self.inner.read_at(tail.index)?.as_ref().map(FrameSummary::of))
    }

    /// Discards every frame, from the disk too. The next frame may have any number: the lane begins anew.
    ///
    /// # Errors
    /// The disk refuses, or the spool is closing.
    pub async fn reset(&self) -> Result<(), SpoolError> {
        let inner = &self.inner;
        inner.resets.send_modify(|count| *count += 1);
        let _in_order = inner.entrance.lock().await;
        // Should appends wait for space, then what is discarded gives it to them, so that the job below has its turn.
        inner.commit.trim_before(inner.commit.view().durable_index());
        let (sender, receiver) = oneshot::channel();
        inner.commit.run(move |log| {
            let poisoned = if log.is_poisoned() { log.reopen() } else { Ok(()) };
            let _ = sender.send(poisoned.and_then(|()| log.clear()).map(|()| log.next_index()));
        });
        let cleared = receiver.await.unwrap_or(Err(AppendError::Closed));
        let next_index = cleared.map_err(|cause| SpoolError::Append { lane: inner.lane.clone(), cause })?;
        let mut state = inner.state.lock();
        let generation = state.generation + 1;
        let freed = state.ledger.held();
        *state = State::new(None, None, next_index, state.ledger.anew(next_index));
        state.generation = generation;
        drop(state);
        inner.last_durable.send_replace(0);
        inner.budget.release(freed);
        Ok(())
    }

    /// What the lane lost, if it waits for a reset.
    pub fn damage(&self) -> Option<Damage> {
        self.inner.state.lock().damage.clone()
    }

    /// Why the lane takes no frames just now, if it does not.
    pub fn waiting(&self) -> Option<WaitReason> {
        let stalled =
            self.inner.commit.stalled().map(|error| WaitReason::Disk { message: with_causes(&error) });
        stalled.or_else(|| self.inner.state.lock().waiting.clone())
    }

    /// Whether the lane takes no frames just now.
    pub fn is_full(&self) -> bool {
        self.waiting().is_some()
    }

    /// How the lane does. Reads one frame from the disk when the oldest has changed since the last call.
    pub fn stats(&self) -> LaneStats {
        let oldest_captured_at_us = self.oldest_captured_at();
        let waiting = self.waiting();
        let state = self.inner.state.lock();
        LaneStats {
            lane: self.inner.lane.clone(),
            frames: state.frames(),
            bytes: state.ledger.held(),
            oldest_captured_at_us,
            last_durable_seq: *self.inner.last_durable.borrow(),
            waiting,
            damage: state.damage.clone(),
        }
    }

    fn oldest_captured_at(&self) -> Option<i64> {
        let (tail, known) = {
            let state = self.inner.state.lock();
            (state.tail?, state.oldest)
        };
        if let Some((seq, at)) = known
            && seq == tail.seq
        {
            return Some(at);
        }
        let at = self.inner.read_at(tail.index).ok()??.header().captured_at_us;
        self.inner.state.lock().oldest = Some((tail.seq, at));
        Some(at)
    }
}

impl<S: Storage> Clone for LaneQueue<S> {
    fn clone(&self) -> Self {
        Self { inner: self.inner.clone() }
    }
}

impl<S: Storage> Inner<S> {
    pub(crate) fn log(&self) -> &LogView<S> {
        self.commit.view()
    }

    pub(crate) fn broken(&self) -> Result<(), SpoolError> {
        let damage = self.state.lock().damage.clone();
        damage.map_or(Ok(()), |damage| Err(SpoolError::Broken { lane: self.lane.clone(), damage }))
    }

    /// Marks the lane as damaged, unless it is already.
    pub(crate) fn break_with(&self, damage: Damage) -> SpoolError {
        let mut state = self.state.lock();
        let damage = state.damage.get_or_insert(damage).clone();
        tracing::error!(lane = %self.lane, %damage, "the lane must be filled again from its source");
        SpoolError::Broken { lane: self.lane.clone(), damage }
    }

    fn read_at(&self, index: u64) -> Result<Option<SealedFrame>, SpoolError> {
        read_frame(self, &mut self.log().reader(index))
    }

    /// Waits until a frame of this size may be queued. The permit bounds what is in flight.
    async fn room_for(&self, bytes: usize) -> OwnedSemaphorePermit {
        let _cleared = ClearWaiting(&self.state);
        let weight = bytes.clamp(MIN_WEIGHT_BYTES, IN_FLIGHT_BYTES);
        let weight = u32::try_from(weight).expect("bounded by IN_FLIGHT_BYTES");
        let permit = self.in_flight.clone().acquire_many_owned(weight).await;
        self.budget.take(bytes as u64, |reason| self.state.lock().waiting = Some(reason)).await;
        permit.expect("the semaphore is never closed")
    }

    fn check_follows(&self, frame: &SealedFrame) -> Result<(), SpoolError> {
        self.broken()?;
        let state = self.state.lock();
        let Some(head) = &state.head else { return Ok(()) };
        let (head, header) = (head.link, frame.header());
        if header.seq == head.seq + 1 && header.prev_crc == head.crc && header.epoch >= head.epoch {
            return Ok(());
        }
        let (found, found_prev) = (frame.link(), header.prev_crc);
        Err(SpoolError::OutOfOrder { lane: self.lane.clone(), head, found, found_prev })
    }

    fn note_queued(&self, frame: &SealedFrame) {
        let mut state = self.state.lock();
        let index = state.next_index;
        state.next_index += 1;
        let next_index = state.next_index;
        state.tail.get_or_insert(Numbers { seq: frame.header().seq, index });
        state.head = Some(FrameSummary::of(frame));
        state.ledger.note(next_index, frame.bytes().len() as u64);
    }
}

/// Takes the reason for waiting back, also when the waiting future is dropped.
struct ClearWaiting<'a>(&'a Mutex<State>);

impl Drop for ClearWaiting<'_> {
    fn drop(&mut self) {
        self.0.lock().waiting = None;
    }
}

/// Resolves once the frame is durable.
#[derive(Debug)]
pub struct DurableReceipt {
    lane: LaneId,
    link: Link,
    receiver: oneshot::Receiver<Result<u64, AppendError>>,
}

impl DurableReceipt {
    /// The frame this is the receipt of.
    pub fn link(&self) -> Link {
        self.link
    }
}

impl Future for DurableReceipt {
    type Output = Result<Link, SpoolError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let result = std::task::ready!(Pin::new(&mut self.receiver).poll(context));
        let result = result.unwrap_or(Err(AppendError::Closed));
        Poll::Ready(match result {
            Ok(_) => Ok(self.link),
            Err(cause) => Err(SpoolError::Append { lane: self.lane.clone(), cause }),
        })
    }
}

fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}
