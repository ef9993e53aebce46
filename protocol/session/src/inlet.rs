//! Frames that came from the transport, for one lane or one route: counted against the window, and held until
//! their schema is known.

use std::collections::VecDeque;

use towpath_record::SchemaHash;

use crate::frame::Frame;
use crate::schemas::Known;

/// What becomes of the oldest frame that is held.
#[derive(Debug)]
pub(crate) enum Next<F> {
    /// It passes.
    Pass(F),
    /// Its schema was not said yet.
    NeedsSchema(SchemaHash),
    /// Its schema is refused.
    Refused { reason: String, remedy: String },
    /// There is none, or its schema is being decided on.
    Nothing,
}

#[derive(Debug)]
pub(crate) struct Inlet<F> {
    window: u64,
    /// What came and was not settled.
    unsettled: u64,
    held: VecDeque<F>,
}

impl<F: Frame> Inlet<F> {
    pub(crate) fn new(window: u64) -> Self {
        Self { window, unsettled: 0, held: VecDeque::new() }
    }

    /// Takes a frame; or says how much would be under way with it, when that is more than the window.
    pub(crate) fn accept(&mut self, frame: F) -> Result<(), u64> {
        let with_it = self.unsettled + frame.cost();
        if self.unsettled > 0 && with_it > self.window {
            return Err(with_it);
        }
        self.unsettled = with_it;
        self.held.push_back(frame);
        Ok(())
    }

    pub(crate) fn next<'a>(&mut self, known: impl FnOnce(SchemaHash) -> Option<&'a Known>) -> Next<F> {
        let Some(head) = self.held.front() else { return Next::Nothing };
        match known(head.schema()) {
            Some(Known::Usable) => self.held.pop_front().map_or(Next::Nothing, Next::Pass),
            Some(Known::Pending) => Next::Nothing,
            Some(Known::Refused { reason, remedy }) => {
                Next::Refused { reason: reason.clone(), remedy: remedy.clone() }
            }
            None => Next::NeedsSchema(head.schema()),
        }
    }

    /// Frames that counted this much are no longer held anywhere here.
    pub(crate) fn settle(&mut self, cost: u64) {
        self.unsettled = self.unsettled.saturating_sub(cost);
    }

    pub(crate) fn window(&self) -> u64 {
        self.window
    }
}
