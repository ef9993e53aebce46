//! Questions: asked by the cell beside the flow of frames, answered in parts.

use std::collections::BTreeSet;
use std::time::Instant;

use towpath_proto::link::{Answer, Dismiss, Question, answer};

use super::AgentSession;
use super::event::AgentEvent;
use crate::frame::Frame;
use crate::limits::MAX_QUESTIONS;
use crate::violation::Violation;

/// The questions that wait for an answer.
#[derive(Default)]
pub(super) struct Questions {
    open: BTreeSet<u32>,
    last: u32,
}

impl Questions {
    pub(super) fn clear(&mut self) {
        self.open.clear();
    }
}

impl<F: Frame> AgentSession<F> {
    /// Answers a question, or a part of it when `more` follows. What nobody waits for any more is dropped.
    pub fn answer(&mut self, now: Instant, question: u32, more: bool, kind: answer::Kind) {
        if self.questions.open.contains(&question) {
            if !more {
                self.questions.open.remove(&question);
            }
            self.send(now, Answer { question, more, kind: Some(kind) });
        }
    }

    pub(super) fn on_question(&mut self, asked: Question) -> Result<(), Violation> {
        let question = asked.question;
        if question <= self.questions.last {
            return Err(Violation::Reused { what: "question", number: question });
        }
        if self.questions.open.len() >= MAX_QUESTIONS {
            return Err(Violation::TooMany { what: "questions at a time", limit: MAX_QUESTIONS });
        }
        self.questions.last = question;
        self.questions.open.insert(question);
        self.events.push_back(AgentEvent::Asked { question, kind: asked.kind });
        Ok(())
    }

    pub(super) fn on_dismiss(&mut self, dismissed: &Dismiss) -> Result<(), Violation> {
        let question = dismissed.question;
        if question > self.questions.last {
            return Err(Violation::Unknown { what: "question", number: question });
        }
        // The answer may have crossed it on the way.
        if self.questions.open.remove(&question) {
            self.events.push_back(AgentEvent::Dismissed { question });
        }
        Ok(())
    }
}
