//! Questions to agents, beside the flow of frames: asked on the agent's session, answered in parts.

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::{mpsc, oneshot};
use towpath_proto::link::{Unanswered, answer, question};
use towpath_record::AgentId;

use super::sessions::{OpenSession, Sessions};

/// Why a question has no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum AskError {
    /// The agent has no session.
    #[error("the agent is not connected; start it, or check its link")]
    NotLinked,
    /// The agent is asked too much at a time.
    #[error("the agent is answering as many questions as it may; try again later")]
    Busy,
    /// The session ended before the answer.
    #[error("the link to the agent was lost before it answered; try again")]
    Lost,
    /// The agent says why it cannot.
    #[error("{reason}; {remedy}")]
    Unanswered {
        /// Why.
        reason: String,
        /// What would help.
        remedy: String,
    },
    /// The answer is not one to the question.
    #[error(
        "the agent answered something else; run agent and control plane in versions that are meant for each other"
    )]
    OtherAnswer,
}

/// Who waits for what an agent's session answers. Bounded by the limits of the session's machine.
#[derive(Clone, Default)]
pub(crate) struct Questions(Arc<Mutex<BTreeMap<u32, mpsc::UnboundedSender<Part>>>>);

struct Part {
    more: bool,
    kind: Option<answer::Kind>,
}

impl Questions {
    /// An answer, or a part of it, has come.
    pub(crate) fn answered(&self, question: u32, more: bool, kind: Option<answer::Kind>) {
        let mut waiting = self.0.lock();
        if let Some(parts) = waiting.get(&question) {
            // Who no longer waits has dismissed the question, or is about to.
            drop(parts.send(Part { more, kind }));
        }
        if !more {
            waiting.remove(&question);
        }
    }

    /// The session is over: whoever still waits is told by the end of the answer.
    pub(crate) fn end(&self) {
        self.0.lock().clear();
    }
}

/// Dismisses a question that is given up before its answer is whole.
struct Waiting {
    session: OpenSession,
    question: u32,
}

impl Drop for Waiting {
    fn drop(&mut self) {
        let question = self.question;
        if self.session.questions.0.lock().remove(&question).is_some() {
            self.session.handle.request(move |machine, now| machine.dismiss(now, question));
        }
    }
}

/// Asks an agent and waits for the whole answer. Dropping the future dismisses the question.
///
/// # Errors
/// [`AskError`] says why there is no answer.
pub(crate) async fn ask(
    sessions: &Sessions,
    agent: AgentId,
    kind: question::Kind,
) -> Result<Vec<answer::Kind>, AskError> {
    let session = sessions.get(agent).ok_or(AskError::NotLinked)?;
    let (parts, mut answered) = mpsc::unbounded_channel();
    let (asked, number) = oneshot::channel();
    let questions = session.questions.clone();
    session.handle.request(move |machine, now| {
        let question = machine.ask(now, kind);
        if let Some(question) = question {
            questions.0.lock().insert(question, parts);
        }
        // Who asked may have gone; then the answer goes nowhere.
        let _ = asked.send(question);
    });
    let question = number.await.map_err(|_| AskError::Lost)?.ok_or(AskError::Busy)?;
    let _waiting = Waiting { session, question };
    let mut answer = Vec::new();
    loop {
        let part = answered.recv().await.ok_or(AskError::Lost)?;
        match part.kind.ok_or(AskError::OtherAnswer)? {
            answer::Kind::Unanswered(Unanswered { reason, remedy }) => {
                return Err(AskError::Unanswered { reason, remedy });
            }
            kind => answer.push(kind),
        }
        if !part.more {
            return Ok(answer);
        }
    }
}
