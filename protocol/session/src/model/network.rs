//! A connection between two machines: each stream in order, streams overtaking each other, and cut at any moment
//! so that each stream loses some suffix of what is under way.

use std::collections::BTreeMap;
use std::time::Duration;

use towpath_proto::link::{AgentMessage, CellMessage, GoodbyeCode};
use towpath_record::LogOffset;

use super::frame::SimFrame;

/// One direction's streams: the control stream, data streams by number, and the closing of the connection, which
/// overtakes what was written before it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Stream {
    Control,
    Data(u32),
    Close,
}

#[derive(Clone, Debug)]
pub(super) enum ToCell {
    Message(AgentMessage),
    Frame { opening: u32, frame: SimFrame },
    Close { code: GoodbyeCode },
}

#[derive(Clone, Debug)]
pub(super) enum ToAgent {
    Message(CellMessage),
    Delivery { binding: u32, offset: LogOffset, frame: SimFrame },
    Close { code: GoodbyeCode },
}

/// The clock of the model: time since its beginning.
pub(super) type Time = Duration;

#[derive(Default)]
pub(super) struct Connection {
    /// When the last thing on a stream arrives; the flag tells the directions apart.
    arrivals: BTreeMap<(bool, Stream), Time>,
    /// Once cut: until when each stream still brings what was under way.
    cut: Option<BTreeMap<(bool, Stream), Time>>,
}

impl Connection {
    /// When something that is written now arrives; never, when the connection is cut.
    pub(super) fn send(
        &mut self,
        rng: &mut fastrand::Rng,
        now: Time,
        to_cell: bool,
        stream: Stream,
    ) -> Option<Time> {
        if self.cut.is_some() {
            return None;
        }
        let slowest = if rng.u8(..20) == 0 { 800_000 } else { 30_000 };
        let delay = Duration::from_micros(rng.u64(500..slowest));
        let last = self.arrivals.entry((to_cell, stream)).or_default();
        *last = (*last + Duration::from_nanos(1)).max(now + delay);
        Some(*last)
    }

    /// Cuts the connection.
    pub(super) fn cut(&mut self, rng: &mut fastrand::Rng, now: Time) {
        let streams = self.arrivals.keys();
        let until = streams.map(|stream| (*stream, now + Duration::from_millis(rng.u64(..60)))).collect();
        self.cut.get_or_insert(until);
    }

    pub(super) fn is_cut(&self) -> bool {
        self.cut.is_some()
    }

    /// Whether what arrives now on a stream was not lost.
    pub(super) fn delivers(&self, now: Time, to_cell: bool, stream: Stream) -> bool {
        let until = |cut: &BTreeMap<_, Time>| cut.get(&(to_cell, stream)).copied().unwrap_or_default();
        self.cut.as_ref().is_none_or(|cut| now <= until(cut))
    }
}
