//! One lane of an agent.
//!
//! ```text
//!             session open                LaneOpened, marks
//!   Waiting ───────────────▶ Opening ───────────────────────▶ Streaming
//!      ▲                        │ │                             │  │
//!      ├──── LaneRefused ───────┘ └──── inconsistent ──┐        │  │
//!      └──── LaneRefused ──────────────────────────────┼────────┘  │
//!                                                      ▼           │
//!            the owner opens it anew ◀────────────── Broken ◀──────┘
//! ```

use std::collections::VecDeque;

use towpath_record::{LaneId, Link, Mark};

use super::event::LaneGrant;
use crate::backoff::Backoff;
use crate::chain::{Chain, Inconsistency};
use crate::frame::Frame;
use crate::outlet::Outlet;

pub(super) struct Lane<F> {
    pub(super) id: LaneId,
    /// What was held when the lane was asked for; absent when a new epoch is asked for.
    pub(super) chain: Option<Chain>,
    /// The number of the newest frame that is held.
    pub(super) newest: u64,
    pub(super) want_marks: bool,
    pub(super) backoff: Backoff,
    pub(super) state: State<F>,
}

pub(super) enum State<F> {
    /// Not asked for: the session is not open yet, or the cell refused and the owner will be asked what it holds.
    Waiting,
    /// Asked for.
    Opening(Opening),
    /// Frames flow.
    Streaming(Box<Streaming<F>>),
    /// What is held does not meet the log; the owner knows.
    Broken,
}

pub(super) struct Opening {
    pub(super) number: u32,
    /// The answer, while its marks are still coming.
    pub(super) grant: Option<(LaneGrant, u64)>,
    pub(super) marks: Vec<Mark>,
    pub(super) marks_bytes: usize,
}

pub(super) struct Streaming<F> {
    pub(super) opening: u32,
    pub(super) outlet: Outlet<F>,
    /// Whether the lane stands in the queue for a fetch.
    pub(super) queued: bool,
    epoch: u64,
    /// The last link that is known to be in the log, byte for byte; or, before the first frame is read, where the
    /// log said that it ends.
    verified: Link,
    /// Whether that is only what the log said: the first frame that is read must name it as its predecessor.
    on_trust: bool,
    /// The log's last link, as far as it said.
    log_last: Link,
    /// What was shipped and still counts in the window, oldest first: number and cost.
    unsettled: VecDeque<(u64, u64)>,
    /// What was shipped and is not known to be in the log, oldest first.
    unverified: VecDeque<Link>,
}

/// The cell acknowledged a frame that was never shipped in this opening.
pub(super) struct Unsent;

impl<F> Lane<F> {
    /// The number of the opening that is asked for or open.
    pub(super) fn opening(&self) -> Option<u32> {
        match &self.state {
            State::Opening(opening) => Some(opening.number),
            State::Streaming(streaming) => Some(streaming.opening),
            State::Waiting | State::Broken => None,
        }
    }
}

impl Opening {
    pub(super) fn new(number: u32) -> Self {
        Self { number, grant: None, marks: Vec::new(), marks_bytes: 0 }
    }
}

impl<F: Frame> Streaming<F> {
    pub(super) fn new(opening: u32, window: u64, epoch: u64, after: Link, on_trust: bool) -> Self {
        Self {
            opening,
            outlet: Outlet::new(window),
            queued: false,
            epoch,
            verified: after,
            on_trust,
            log_last: after,
            unsettled: VecDeque::new(),
            unverified: VecDeque::new(),
        }
    }

    /// The number of the next frame to read from the spool.
    pub(super) fn next_seq(&self) -> u64 {
        self.cursor().seq + 1
    }

    /// Takes the frame that was read; what it proves to be in the log, if anything.
    pub(super) fn hold(&mut self, lane: &LaneId, frame: F) -> Result<Option<Link>, Inconsistency> {
        let (cursor, link) = (self.cursor(), frame.link());
        let expected = cursor.seq + 1;
        if link.seq != expected || frame.lane() != lane {
            return Err(Inconsistency::Broken { expected, found: link.seq });
        }
        if link.epoch != self.epoch {
            return Err(Inconsistency::Epoch { held: link.epoch, granted: self.epoch });
        }
        if frame.prev_crc() != cursor.crc {
            return Err(Inconsistency::Diverged { seq: cursor.seq });
        }
        self.outlet.hold(frame);
        Ok(std::mem::take(&mut self.on_trust).then_some(cursor).filter(|link| link.seq > 0))
    }

    /// Notes that a frame goes to the transport; what it proves to be in the log, if anything.
    pub(super) fn ship(&mut self, frame: &F) -> Result<Option<Link>, Inconsistency> {
        self.unsettled.push_back((frame.link().seq, frame.cost()));
        self.unverified.push_back(frame.link());
        self.verify()
    }

    /// Gives back the window of frames that the cell holds no longer.
    pub(super) fn settle(&mut self, through: u64) -> Result<(), Unsent> {
        if through > self.verified.seq.max(self.unverified.back().map_or(0, |link| link.seq)) {
            return Err(Unsent);
        }
        while let Some((_, cost)) = self.unsettled.pop_front_if(|(seq, _)| *seq <= through) {
            // What was shipped is in flight until it is settled here, so it cannot be too much.
            let _ = self.outlet.give_back(cost);
        }
        Ok(())
    }

    /// Takes the log's own last link; what it proves to be in the log, if anything new.
    pub(super) fn acknowledge(&mut self, last: Link, newest: u64) -> Result<Option<Link>, Inconsistency> {
        if last.seq > newest {
            return Err(Inconsistency::LogAhead { held: newest, log: last.seq });
        }
        if last.seq > self.log_last.seq {
            self.log_last = last;
        }
        self.verify()
    }

    /// Frames are in the log when the log's last link is one of ours. While it is ahead of what was shipped, that
    /// is not known yet.
    fn verify(&mut self) -> Result<Option<Link>, Inconsistency> {
        let mut proved = None;
        while let Some(link) = self.unverified.pop_front_if(|link| link.seq <= self.log_last.seq) {
            if link.seq < self.log_last.seq {
                proved = Some(link);
            } else if link == self.log_last {
                self.verified = link;
                return Ok(Some(link));
            } else {
                return Err(Inconsistency::Diverged { seq: link.seq });
            }
        }
        // All of ours lie before the log's last: put them back to wait for the frame that can prove them.
        self.unverified.extend(proved);
        Ok(None)
    }

    /// The link after which the next frame is read.
    fn cursor(&self) -> Link {
        let held = self.outlet.last_held().map(Frame::link);
        held.or_else(|| self.unverified.back().copied()).unwrap_or(self.verified)
    }
}
