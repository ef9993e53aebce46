//! Whether what an agent holds of a lane goes on where the log ends.

use towpath_proto::link;
use towpath_record::Link;

/// What comes before the first frame of every lane.
pub const ORIGIN: Link = Link { epoch: 0, seq: 0, crc: 0 };

/// What an agent durably holds of a lane: the frames `first ..= tail.seq`, all sealed under `epoch`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Chain {
    /// The epoch under which the agent seals.
    pub epoch: u64,
    /// The number of the oldest frame it holds; one above the tail when it holds none.
    pub first: u64,
    /// The checksum of the frame before that one, which the agent holds no longer; 0 before the first of all.
    pub prev_crc: u32,
    /// The newest frame it sealed, or the frame that its next one follows. Absent when there is none yet.
    pub tail: Option<Link>,
}

/// Why an agent cannot go on with what it holds of a lane.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Inconsistency {
    /// The log accepts another epoch.
    #[error("frames were sealed under epoch {held} but the log accepts epoch {granted}")]
    Epoch {
        /// The epoch of what the agent holds.
        held: u64,
        /// The epoch that the log accepts.
        granted: u64,
    },
    /// The log has frames that the agent never sealed.
    #[error("the log holds frame {log} but the newest here is {held}")]
    LogAhead {
        /// The newest frame here.
        held: u64,
        /// The last frame in the log.
        log: u64,
    },
    /// The log lacks frames that the agent no longer has.
    #[error("the log ends at frame {log} but the oldest here is {held}")]
    LogBehind {
        /// The oldest frame here.
        held: u64,
        /// The last frame in the log.
        log: u64,
    },
    /// The log has another frame in the same place.
    #[error("frame {seq} in the log is not the frame {seq} here")]
    Diverged {
        /// The place.
        seq: u64,
    },
    /// A frame does not follow the one before it.
    #[error("frame {found} was read from the spool where frame {expected} should be")]
    Broken {
        /// The frame that should come.
        expected: u64,
        /// The frame that came.
        found: u64,
    },
    /// A frame cannot be read from the spool.
    #[error("frame {seq} cannot be read from the spool: {reason}")]
    Unreadable {
        /// The frame.
        seq: u64,
        /// Why.
        reason: String,
    },
    /// A frame names a schema that is not known here any more.
    #[error("frame {seq} needs schema {schema}, which is not known here")]
    SchemaLost {
        /// The frame.
        seq: u64,
        /// The schema, in hexadecimal.
        schema: String,
    },
}

impl Chain {
    /// What an agent holds when it was just granted an epoch.
    pub fn granted(epoch: u64, last: Option<Link>) -> Self {
        let Link { seq, crc, .. } = last.unwrap_or(ORIGIN);
        Self { epoch, first: seq + 1, prev_crc: crc, tail: last }
    }

    /// The link that the oldest frame of the chain follows.
    pub fn before(&self) -> Link {
        let (seq, crc) = (self.first - 1, self.prev_crc);
        let epoch = self.tail.filter(|tail| tail.seq == seq).map_or(self.epoch, |tail| tail.epoch);
        if seq == 0 { ORIGIN } else { Link { epoch, seq, crc } }
    }

    /// Whether a log that accepts `epoch` and ends at `last` has lost what the agent proves to have been in it: a grant,
    /// or frames that the agent could forget because they were acknowledged. Such a log was cut or restored, and
    /// goes on best behind [`Chain::before`].
    pub fn is_ahead_of(&self, epoch: u64, last: Option<Link>) -> bool {
        let (last, before) = (last.unwrap_or(ORIGIN), self.before());
        let lost_frames = before.seq > last.seq && self.epoch >= epoch;
        let lost_grant = before.seq == last.seq && before.crc == last.crc && self.epoch > epoch;
        lost_frames || lost_grant
    }

    /// The link after which frames are to be sent, when the log accepts `epoch` and ends at `last`.
    ///
    /// That the frame after it really follows it shows when that frame is read, by its `prev_crc`.
    ///
    /// # Errors
    /// What is held does not go on where the log ends.
    pub fn resume(&self, epoch: u64, last: Option<Link>) -> Result<Link, Inconsistency> {
        let (last, tail) = (last.unwrap_or(ORIGIN), self.tail.unwrap_or(ORIGIN));
        if epoch != self.epoch {
            Err(Inconsistency::Epoch { held: self.epoch, granted: epoch })
        } else if last.seq > tail.seq {
            Err(Inconsistency::LogAhead { held: tail.seq, log: last.seq })
        } else if last.seq == tail.seq && last != tail {
            Err(Inconsistency::Diverged { seq: last.seq })
        } else if last.seq < tail.seq && self.first > last.seq + 1 {
            Err(Inconsistency::LogBehind { held: self.first, log: last.seq })
        } else {
            Ok(last)
        }
    }
}

impl From<Chain> for link::Chain {
    fn from(chain: Chain) -> Self {
        let tail = chain.tail.map(Into::into);
        Self { epoch: chain.epoch, first: chain.first, prev_crc: chain.prev_crc, tail }
    }
}

impl From<link::Chain> for Chain {
    fn from(chain: link::Chain) -> Self {
        let tail = chain.tail.map(Into::into);
        Self { epoch: chain.epoch, first: chain.first, prev_crc: chain.prev_crc, tail }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn link(epoch: u64, seq: u64) -> Link {
        Link { epoch, seq, crc: 100 + seq as u32 }
    }

    fn holding(first: u64, tail: u64) -> Chain {
        let prev_crc = if first > 1 { link(2, first - 1).crc } else { 0 };
        Chain { epoch: 2, first, prev_crc, tail: Some(link(2, tail)) }
    }

    #[test]
    fn a_chain_goes_on_behind_the_last_durable_frame_wherever_that_is() {
        assert_eq!(holding(4, 9).resume(2, Some(link(2, 6))), Ok(link(2, 6)));
        assert_eq!(holding(4, 9).resume(2, Some(link(1, 3))), Ok(link(1, 3)));
        assert_eq!(holding(10, 9).resume(2, Some(link(2, 9))), Ok(link(2, 9)));
        assert_eq!(holding(1, 9).resume(2, None), Ok(ORIGIN));
        assert_eq!(Chain::granted(1, None).resume(1, None), Ok(ORIGIN));
    }

    #[test]
    fn a_chain_that_does_not_meet_the_log_is_named_for_what_it_is() {
        let other = Link { crc: 1, ..link(2, 9) };
        assert_eq!(
            holding(4, 9).resume(3, Some(link(2, 9))),
            Err(Inconsistency::Epoch { held: 2, granted: 3 })
        );
        assert_eq!(
            holding(4, 9).resume(2, Some(link(2, 10))),
            Err(Inconsistency::LogAhead { held: 9, log: 10 })
        );
        assert_eq!(
            holding(4, 9).resume(2, Some(link(2, 2))),
            Err(Inconsistency::LogBehind { held: 4, log: 2 })
        );
        assert_eq!(holding(4, 9).resume(2, Some(other)), Err(Inconsistency::Diverged { seq: 9 }));
    }

    #[test]
    fn an_agent_that_forgot_what_the_log_lost_is_ahead_of_it() {
        assert!(holding(10, 9).is_ahead_of(2, Some(link(2, 5))));
        assert!(holding(7, 9).is_ahead_of(2, Some(link(2, 5))));
        assert!(holding(7, 9).is_ahead_of(0, None));
        assert_eq!(holding(10, 9).before(), link(2, 9));
        assert_eq!(Chain::granted(3, Some(link(2, 9))).before(), link(2, 9));
        // It holds the next frame still, or the log has come further.
        assert!(!holding(6, 9).is_ahead_of(2, Some(link(2, 5))));
        assert!(!holding(6, 9).is_ahead_of(2, Some(link(2, 7))));
        // A newer epoch was granted to someone else.
        assert!(!holding(10, 9).is_ahead_of(3, Some(link(2, 5))));
        // Only the grant is lost.
        assert!(holding(6, 9).is_ahead_of(1, Some(link(2, 5))));
        assert!(!holding(6, 9).is_ahead_of(1, Some(Link { crc: 1, ..link(2, 5) })));
        assert!(Chain::granted(1, None).is_ahead_of(0, None));
    }
}
