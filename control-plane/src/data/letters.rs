//! Dead letters of delivery: kept when a sink refuses rows, sent again when an admin asks.

use std::sync::Arc;

use arrow_array::RecordBatch;
use bytes::Bytes;
use jiff::Timestamp;
use serde_json::Value;
use towpath_log::deliveries::{Deliveries, Letter, LetterError, LetterState};
use towpath_log::{AppendError, LaneState, LogError, Outcome, ReadError, RegionLog};
use towpath_record::{
    FrameDraft, FrameKind, LaneId, LogOffset, Position, SealError, SealedFrame, StreamSchema,
};
use towpath_session::Rejections;

use super::border::{Checkpoint, Forbidden};
use super::epoch_of_now;
use super::route::RoutePlan;
use super::rows::{self, RowsError};

/// Why dead letters cannot be kept or sent again.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LettersError {
    /// The frame cannot be read from the log.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The frame is not in the log.
    #[error("frame {0} is not in the region log")]
    NoFrame(LogOffset),
    /// The frame's rows cannot be read.
    #[error(transparent)]
    Rows(#[from] RowsError),
    /// The agent names a row that the frame does not have.
    #[error("the sink's agent refuses row {row} of frame {offset}, which has {rows}")]
    NoRow {
        /// The row.
        row: u32,
        /// The frame.
        offset: LogOffset,
        /// How many rows it has.
        rows: usize,
    },
    /// The row cannot be sealed again.
    #[error(transparent)]
    Seal(#[from] SealError),
    /// The letters cannot be stored.
    #[error(transparent)]
    Store(#[from] LetterError),
    /// The log cannot be written.
    #[error(transparent)]
    Log(#[from] LogError),
    /// The log does not take the frame.
    #[error(transparent)]
    Append(#[from] AppendError),
    /// The stored form is damaged.
    #[error("the dead letter is damaged: {0}")]
    Damaged(String),
    /// The policies have changed since.
    #[error("the row may not be written to the log again, since {0}")]
    Forbidden(Arc<Forbidden>),
    /// The log refuses the frame.
    #[error("the region log refuses the replay: {0:?}; try again")]
    Refused(Outcome),
}

/// Makes the rows that a sink refused durable as dead letters. Blocks on the disk.
pub(crate) fn keep(
    log: &RegionLog,
    store: &Deliveries,
    plan: &RoutePlan,
    rejections: &Rejections,
) -> Result<(), LettersError> {
    let offset = rejections.offset;
    let entry = log.reader(offset).next_now()?.filter(|entry| entry.offset == offset);
    let frame = entry.ok_or(LettersError::NoFrame(offset))?.frame;
    let batch = rows::batch(log, &frame)?;
    let schema = log.schema(frame.header().schema).ok_or(RowsError::UnknownSchema(frame.header().schema))?;
    let letters = rejections.rows.iter().map(|(row, reason)| {
        let index = *row as usize;
        if index >= batch.num_rows() {
            return Err(LettersError::NoRow { row: *row, offset, rows: batch.num_rows() });
        }
        letter(plan, &frame, offset, &schema, &batch.slice(index, 1), *row, reason)
    });
    Ok(store.add_letters(&letters.collect::<Result<Vec<_>, _>>()?)?)
}

fn letter(
    plan: &RoutePlan,
    frame: &SealedFrame,
    offset: LogOffset,
    schema: &StreamSchema,
    record: &RecordBatch,
    row: u32,
    reason: &str,
) -> Result<Letter, LettersError> {
    let header = frame.header();
    let lane = LaneId::of_replays(plan.id, header.lane.region.clone());
    let unnumbered = LaneState { epoch: 1, ..LaneState::default() };
    let sealed = replay_draft(lane, frame, &unnumbered).seal(schema, record)?;
    Ok(Letter {
        id: Letter::id_of(plan.id, plan.replay, &header.lane, header.seq, row),
        route: plan.id,
        replay: plan.replay,
        stream: header.stream.clone(),
        offset,
        lane: header.lane.clone(),
        link: frame.link(),
        row,
        reason: reason.to_owned(),
        record: rows::to_json(record)?.pop().unwrap_or(Value::Null),
        refused_at_us: Timestamp::now().as_microsecond(),
        state: LetterState::Open,
        frame: hex::encode(sealed.bytes()),
    })
}

/// Sends a dead letter again: appends its record to the log, on the lane that only its route takes.
pub(crate) async fn replay(
    log: &RegionLog,
    store: &Deliveries,
    mut checkpoint: Checkpoint,
    mut letter: Letter,
) -> Result<LogOffset, LettersError> {
    let damaged = |reason: &dyn std::fmt::Display| LettersError::Damaged(reason.to_string());
    let bytes = hex::decode(&letter.frame).map_err(|e| damaged(&e))?;
    let kept = SealedFrame::parse(Bytes::from(bytes)).map_err(|e| damaged(&e))?;
    checkpoint.judge(&kept).map_err(LettersError::Forbidden)?;
    let record = rows::batch(log, &kept)?;
    let hash = kept.header().schema;
    let schema = log.schema(hash).ok_or(RowsError::UnknownSchema(hash))?;
    let lane = LaneId::of_replays(letter.route, log.region().clone());
    // A new epoch for each replay fences one that may still be under way, so that no two take the same number.
    let state = log.grant_epoch(lane.clone(), epoch_of_now()).await?;
    if let (LetterState::Replaying { seq }, Some(last)) = (letter.state, state.last)
        && last.seq >= seq
    {
        // A crash came between the append and the note of it.
        let offset = log.status().next;
        letter.state = LetterState::Replayed { offset };
        store.update_letter(&letter)?;
        return Ok(offset);
    }
    let seq = state.last.map_or(1, |link| link.seq + 1);
    letter.state = LetterState::Replaying { seq };
    store.update_letter(&letter)?;
    let frame = replay_draft(lane, &kept, &state).seal(&schema, &record)?;
    match log.append(vec![frame]).await?.as_slice() {
        [Outcome::Appended(offset)] => {
            letter.state = LetterState::Replayed { offset: *offset };
            store.update_letter(&letter)?;
            Ok(*offset)
        }
        [other] => Err(LettersError::Refused(*other)),
        _ => Err(LettersError::Append(AppendError::Closed)),
    }
}

fn replay_draft(lane: LaneId, of: &SealedFrame, state: &LaneState) -> FrameDraft {
    FrameDraft {
        lane,
        epoch: state.epoch,
        seq: state.last.map_or(1, |link| link.seq + 1),
        prev_crc: state.last.map_or(0, |link| link.crc),
        stream: of.header().stream.clone(),
        kind: FrameKind::Replay,
        position: Position::default(),
        marks: Vec::new(),
        captured_at_us: Timestamp::now().as_microsecond(),
        transaction_continues: false,
    }
}
