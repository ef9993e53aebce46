//! Questions to the agent, beside the flow of frames.

use std::collections::BTreeMap;
use std::time::Instant;

use prost::Message;
use towpath_proto::link::{Answer, Dismiss, Question, question};

use super::event::CellEvent;
use super::{CellSession, Phase};
use crate::frame::Frame;
use crate::limits::{MAX_ANSWER_BYTES, MAX_QUESTIONS};
use crate::violation::Violation;

/// The questions that wait for an answer, each with the bytes that came of it.
#[derive(Default)]
pub(super) struct Questions {
    open: BTreeMap<u32, usize>,
    last: u32,
}

impl Questions {
    pub(super) fn clear(&mut self) {
        self.open.clear();
    }
}

impl<F: Frame> CellSession<F> {
    /// Asks the agent. [`CellEvent::Answered`] answers under the number that is returned; none when the session is
    /// not open or too many questions wait already.
    pub fn ask(&mut self, now: Instant, kind: question::Kind) -> Option<u32> {
        if self.phase != Phase::Open || self.questions.open.len() >= MAX_QUESTIONS {
            return None;
        }
        self.questions.last += 1;
        let question = self.questions.last;
        self.questions.open.insert(question, 0);
        self.send(now, Question { question, kind: Some(kind) });
        Some(question)
    }

    /// Nobody waits for the answer any more.
    pub fn dismiss(&mut self, now: Instant, question: u32) {
        if self.questions.open.remove(&question).is_some() {
            self.send(now, Dismiss { question });
        }
    }

    pub(super) fn on_answer(&mut self, answer: Answer) -> Result<(), Violation> {
        let question = answer.question;
        let Some(bytes) = self.questions.open.get_mut(&question) else {
            // It may have been dismissed while the answer was on its way.
            let was_asked = question <= self.questions.last;
            return was_asked.then_some(()).ok_or(Violation::Unknown { what: "question", number: question });
        };
        *bytes += answer.encoded_len();
        if *bytes > MAX_ANSWER_BYTES {
            return Err(Violation::TooMany { what: "bytes in an answer", limit: MAX_ANSWER_BYTES });
        }
        if !answer.more {
            self.questions.open.remove(&question);
        }
        self.events.push_back(CellEvent::Answered { question, more: answer.more, kind: answer.kind });
        Ok(())
    }
}
