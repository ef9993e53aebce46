//! Reads a whole spool without changing it, also while an agent runs, and says what is wrong with it.

use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use towpath_record::{LaneId, Link, SealedFrame};
use towpath_segment::{DiskStorage, Inspection, inspect};

use crate::error::SpoolError;
use crate::reader::not_a_frame;
use crate::spool::lane_names;

/// Most faults that are kept for each lane.
const MAX_FAULTS: usize = 100;

/// What was found in a spool.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CheckReport {
    /// Each lane.
    pub lanes: Vec<LaneCheck>,
}

/// What was found in a lane.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LaneCheck {
    /// The lane.
    pub lane: LaneId,
    /// Frames whose bytes are whole.
    pub frames: u64,
    /// The oldest frame.
    pub first: Option<Link>,
    /// The newest frame.
    pub last: Option<Link>,
    /// What is wrong with the chain of frames.
    pub faults: Vec<String>,
    /// What is wrong with the files.
    pub files: Inspection,
}

impl CheckReport {
    /// Whether every frame that was acknowledged can be read and follows the one before.
    pub fn is_sound(&self) -> bool {
        self.lanes.iter().all(LaneCheck::is_sound)
    }
}

impl LaneCheck {
    /// Whether every frame of the lane can be read and follows the one before.
    pub fn is_sound(&self) -> bool {
        self.faults.is_empty() && self.files.is_sound()
    }

    fn take(&mut self, index: u64, payload: Vec<u8>) {
        let frame = match SealedFrame::parse(Bytes::from(payload)) {
            Ok(frame) => frame,
            Err(error) => return self.fault(not_a_frame(index, &error)),
        };
        if frame.header().lane != self.lane {
            self.fault(format!("record {index} belongs to lane {}", frame.header().lane));
        }
        let (link, prev_crc) = (frame.link(), frame.header().prev_crc);
        if let Some(last) = self.last
            && !(link.seq == last.seq + 1 && prev_crc == last.crc && link.epoch >= last.epoch)
        {
            self.fault(format!(
                "record {index}, {link} after checksum {prev_crc:08x}, does not follow {last}"
            ));
        }
        self.frames += 1;
        self.first.get_or_insert(link);
        self.last = Some(link);
    }

    fn fault(&mut self, fault: String) {
        if self.faults.len() < MAX_FAULTS {
            self.faults.push(fault);
        }
    }
}

/// Checks every byte of the spool in `dir`.
///
/// # Errors
/// A directory or file cannot be read.
pub fn check(dir: &Path) -> Result<CheckReport, SpoolError> {
    let lanes = lane_names(dir)
        .map_err(|cause| SpoolError::Prepare { dir: dir.to_owned(), cause: Arc::new(cause) })?;
    let mut report = CheckReport::default();
    for lane in lanes {
        let lane_dir = dir.join(lane.to_string());
        let mut found = LaneCheck {
            lane: lane.clone(),
            frames: 0,
            first: None,
            last: None,
            faults: Vec::new(),
            files: Inspection::default(),
        };
        let files = inspect(&DiskStorage, &lane_dir, |record| found.take(record.index, record.payload));
        found.files = files.map_err(|cause| SpoolError::Read { lane, cause })?;
        report.lanes.push(found);
    }
    Ok(report)
}
