//! The growing end of a lane's chain: numbers frames and links each to the one before.

use arrow_array::RecordBatch;
use arrow_select::concat::concat_batches;
use towpath_record::{FrameDraft, LaneId, Link, SealError, SealedFrame};

use super::Parcel;

/// Where the next frame goes.
#[derive(Clone, Debug)]
pub(crate) struct Chain {
    lane: LaneId,
    epoch: u64,
    last: Option<Link>,
}

impl Chain {
    /// A chain that goes on after `last` under `epoch`.
    pub(crate) fn new(lane: LaneId, epoch: u64, last: Option<Link>) -> Self {
        Self { lane, epoch, last }
    }

    /// Seals a parcel as the next frame.
    pub(crate) fn seal(&mut self, parcel: Parcel, now_us: i64) -> Result<SealedFrame, SealError> {
        let draft = FrameDraft {
            lane: self.lane.clone(),
            epoch: self.epoch,
            seq: self.last.map_or(1, |link| link.seq + 1),
            prev_crc: self.last.map_or(0, |link| link.crc),
            stream: parcel.stream,
            kind: parcel.kind,
            position: parcel.position,
            marks: parcel.marks,
            captured_at_us: now_us,
            transaction_continues: parcel.transaction_continues,
        };
        let arrow = parcel.schema.arrow();
        let frame = match parcel.batches.as_slice() {
            [] => draft.seal(&parcel.schema, &RecordBatch::new_empty(arrow.clone()))?,
            [batch] => draft.seal(&parcel.schema, batch)?,
            several => {
                let batch = concat_batches(arrow, several).map_err(SealError::Encode)?;
                draft.seal(&parcel.schema, &batch)?
            }
        };
        self.last = Some(frame.link());
        Ok(frame)
    }
}
