//! Frames on their way to the transport, for one lane or one route: fetched a few ahead, held until their schema
//! is said and the window has room, given to the transport two at a time.

use std::collections::VecDeque;

use towpath_record::SchemaHash;

use crate::frame::Frame;
use crate::limits::{FRAMES_AHEAD, FRAMES_UNWRITTEN};

/// What becomes of the oldest frame that is held.
#[derive(Debug)]
pub(crate) enum Next<F> {
    /// It goes to the transport.
    Ship(F),
    /// Its schema must be said first.
    NeedsSchema(SchemaHash),
    /// The window has no room for it.
    Blocked,
    /// There is none, or the transport has enough.
    Nothing,
}

#[derive(Debug)]
pub(crate) struct Outlet<F> {
    window: u64,
    /// What was shipped and not given back.
    in_flight: u64,
    /// What the next frame will count, as far as can be guessed.
    expected: u64,
    fetching: bool,
    held: VecDeque<F>,
    held_cost: u64,
    unwritten: VecDeque<u64>,
}

impl<F: Frame> Outlet<F> {
    pub(crate) fn new(window: u64) -> Self {
        let (held, unwritten) = (VecDeque::new(), VecDeque::new());
        Self { window, in_flight: 0, expected: 0, fetching: false, held, held_cost: 0, unwritten }
    }

    /// Whether another frame should be fetched: not so many that they wait long, and none that would find the
    /// window full.
    pub(crate) fn wants_frame(&self) -> bool {
        !self.fetching
            && self.held.len() + self.unwritten.len() < FRAMES_AHEAD
            && self.fits(self.held_cost + self.expected)
    }

    pub(crate) fn note_fetching(&mut self) {
        self.fetching = true;
    }

    /// Takes the frame that was fetched.
    pub(crate) fn hold(&mut self, frame: F) {
        self.fetching = false;
        self.expected = frame.cost();
        self.held_cost += frame.cost();
        self.held.push_back(frame);
    }

    pub(crate) fn next(&mut self, is_said: impl FnOnce(SchemaHash) -> bool) -> Next<F> {
        let Some(head) = self.held.front() else { return Next::Nothing };
        if self.unwritten.len() >= FRAMES_UNWRITTEN {
            return Next::Nothing;
        }
        let cost = head.cost();
        if !self.fits(cost) {
            self.expected = cost;
            return Next::Blocked;
        }
        if !is_said(head.schema()) {
            return Next::NeedsSchema(head.schema());
        }
        self.in_flight += cost;
        self.held_cost -= cost;
        self.unwritten.push_back(cost);
        self.held.pop_front().map_or(Next::Nothing, Next::Ship)
    }

    /// The transport has taken the oldest frame it was given; what that frame counted.
    pub(crate) fn note_written(&mut self) -> u64 {
        self.unwritten.pop_front().unwrap_or(0)
    }

    /// The peer gives back part of the window. False when it gives back more than was used.
    pub(crate) fn give_back(&mut self, cost: u64) -> bool {
        let left = self.in_flight.checked_sub(cost);
        self.in_flight = left.unwrap_or(0);
        left.is_some()
    }

    /// Lets go of what is held, to be fetched again later; what it counted.
    pub(crate) fn evict(&mut self) -> u64 {
        self.held.clear();
        std::mem::take(&mut self.held_cost)
    }

    pub(crate) fn last_held(&self) -> Option<&F> {
        self.held.back()
    }

    pub(crate) fn first_held(&self) -> Option<&F> {
        self.held.front()
    }

    pub(crate) fn in_flight(&self) -> u64 {
        self.in_flight
    }

    /// What is in memory here, in bytes.
    pub(crate) fn ahead_cost(&self) -> u64 {
        self.held_cost + self.unwritten.iter().sum::<u64>()
    }

    /// A frame fits when the window has room for it, or when nothing is under way: one that is larger than the
    /// whole window must be able to pass.
    fn fits(&self, cost: u64) -> bool {
        self.in_flight == 0 || self.in_flight + cost <= self.window
    }
}
