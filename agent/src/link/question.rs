//! A question of the control plane, as whoever answers it sees it.

use tokio::sync::oneshot;
use towpath_proto::link::{Unanswered, answer, question};

use super::connection::SessionHandle;

/// A question that waits for an answer. What is answered after the link was lost or the question was dismissed goes
/// nowhere.
pub struct Asked {
    kind: question::Kind,
    reply: Reply,
    over: oneshot::Receiver<()>,
}

/// The way back to who asked.
#[derive(Clone)]
pub struct Reply {
    question: u32,
    session: SessionHandle,
}

/// The connection's end of a question. Dropping it tells the other end that nobody waits any more.
pub(super) struct OpenQuestion(oneshot::Sender<()>);

impl Asked {
    pub(super) fn new(number: u32, kind: question::Kind, session: SessionHandle) -> (Self, OpenQuestion) {
        let (open, over) = oneshot::channel();
        (Self { kind, reply: Reply { question: number, session }, over }, OpenQuestion(open))
    }

    /// What is asked.
    pub fn kind(&self) -> &question::Kind {
        &self.kind
    }

    /// The way back to who asked.
    pub fn reply(&self) -> Reply {
        self.reply.clone()
    }

    /// Waits until nobody waits for the answer any more.
    pub async fn over(self) {
        // Nothing is ever sent: the other end is dropped.
        let _ = self.over.await;
    }
}

impl Reply {
    /// Answers a part of the question; more follows.
    pub fn part(&self, kind: answer::Kind) {
        self.send(true, kind);
    }

    /// Answers the question, or the last part of it.
    pub fn last(&self, kind: answer::Kind) {
        self.send(false, kind);
    }

    /// Says why the question has no answer, and what would help.
    pub fn refuse(&self, reason: impl Into<String>, remedy: impl Into<String>) {
        self.last(answer::Kind::Unanswered(Unanswered { reason: reason.into(), remedy: remedy.into() }));
    }

    fn send(&self, more: bool, kind: answer::Kind) {
        let question = self.question;
        self.session.request(move |session, now| session.answer(now, question, more, kind));
    }
}

impl OpenQuestion {
    /// Whether its answerer is gone.
    pub(super) fn is_answered(&self) -> bool {
        self.0.is_closed()
    }
}
