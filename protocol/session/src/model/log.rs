//! The reference log: it takes a frame only if it is the next link, and forgets at a crash what was not synced.

use std::collections::BTreeMap;

use towpath_proto::link::LaneFault;
use towpath_record::{LaneId, Link, LogOffset};

use super::frame::SimFrame;
use crate::chain::ORIGIN;
use crate::frame::Frame;

#[derive(Default)]
pub(super) struct Log {
    frames: Vec<SimFrame>,
    durable: usize,
    /// The newest epoch granted on each lane; durable as soon as it is granted.
    granted: BTreeMap<LaneId, u64>,
}

pub(super) enum Appended {
    /// It is written, or was before.
    Taken,
    Refused(LaneFault),
}

impl Log {
    pub(super) fn append(&mut self, frame: SimFrame) -> Appended {
        let (link, last) = (frame.link(), self.written_last(frame.lane()).unwrap_or(ORIGIN));
        let granted = self.granted.get(frame.lane()).copied().unwrap_or(0);
        if link.epoch != granted {
            Appended::Refused(LaneFault::Fenced)
        } else if link.seq > last.seq + 1 {
            Appended::Refused(LaneFault::Gap)
        } else if link.seq == last.seq + 1 {
            if frame.prev_crc() != last.crc {
                return Appended::Refused(LaneFault::Diverged);
            }
            self.frames.push(frame);
            Appended::Taken
        } else if link.epoch != last.epoch || (link.seq == last.seq && link.crc != last.crc) {
            Appended::Refused(LaneFault::Diverged)
        } else {
            // A repeat by number. Whether it is one by content only the agent can tell, from the last link.
            Appended::Taken
        }
    }

    pub(super) fn sync(&mut self) {
        self.durable = self.frames.len();
    }

    pub(super) fn crash(&mut self) {
        self.frames.truncate(self.durable);
    }

    /// The epoch that the lane accepts; a new one when `fresh`.
    pub(super) fn grant(&mut self, lane: &LaneId, fresh: bool) -> u64 {
        let epoch = self.granted.entry(lane.clone()).or_insert(0);
        *epoch += u64::from(fresh);
        *epoch
    }

    pub(super) fn lane<'a>(&'a self, lane: &'a LaneId) -> impl Iterator<Item = &'a SimFrame> {
        self.frames[..self.durable].iter().filter(move |frame| frame.lane() == lane)
    }

    pub(super) fn last(&self, lane: &LaneId) -> Option<&SimFrame> {
        self.frames[..self.durable].iter().rfind(|frame| frame.lane() == lane)
    }

    /// Whether this very frame is durable.
    pub(super) fn holds(&self, lane: &LaneId, link: Link) -> bool {
        self.lane(lane).any(|frame| frame.link() == link)
    }

    pub(super) fn at(&self, offset: LogOffset) -> Option<&SimFrame> {
        let index = usize::try_from(offset.0).ok()?.checked_sub(1)?;
        self.frames[..self.durable].get(index)
    }

    pub(super) fn durable_frames(&self) -> &[SimFrame] {
        &self.frames[..self.durable]
    }

    fn written_last(&self, lane: &LaneId) -> Option<Link> {
        self.frames.iter().rev().find(|frame| frame.lane() == lane).map(Frame::link)
    }
}
