//! Which agents are here. An agent has one session: a newer one supersedes the older.

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::{mpsc, watch};
use towpath_proto::link::GoodbyeCode;
use towpath_record::{AgentId, LogOffset};
use towpath_session::Rejections;
use uuid::Uuid;

use super::questions::Questions;
use crate::link::SessionHandle;

/// What happens on a binding of a route.
#[derive(Debug)]
pub(crate) enum BindingEvent {
    /// The sink is open; it durably holds everything up to this place in a log.
    Ready(Option<(towpath_record::LogId, LogOffset)>),
    /// There is room for another frame.
    Wanted,
    /// Everything up to this offset is durable in the sink.
    Delivered(LogOffset),
    /// The sink refuses rows.
    Rejected(Rejections),
    /// The sink cannot be used; the binding is over.
    Refused { reason: String, remedy: String },
}

/// A session that is open, with the bindings and the questions on it.
#[derive(Clone)]
pub(crate) struct OpenSession {
    pub handle: SessionHandle,
    pub bindings: Bindings,
    pub questions: Questions,
}

/// Where the events of a session's bindings go. Bounded by the machine: few events of a binding are outstanding.
#[derive(Clone, Default)]
pub(crate) struct Bindings(Arc<Mutex<BTreeMap<u32, mpsc::UnboundedSender<BindingEvent>>>>);

impl Bindings {
    pub(crate) fn add(&self, binding: u32, events: mpsc::UnboundedSender<BindingEvent>) {
        self.0.lock().insert(binding, events);
    }

    pub(crate) fn remove(&self, binding: u32) {
        self.0.lock().remove(&binding);
    }

    pub(crate) fn tell(&self, binding: u32, event: BindingEvent) {
        if let Some(events) = self.0.lock().get(&binding) {
            // A route that no longer listens has ended its binding.
            drop(events.send(event));
        }
    }
}

/// The sessions that are open, by agent.
#[derive(Clone, Default)]
pub(crate) struct Sessions(Arc<Mutex<BTreeMap<AgentId, watch::Sender<Option<OpenSession>>>>>);

impl Sessions {
    /// Notes a session that has begun. An older one of the same agent is told that it is over.
    pub(crate) fn begin(&self, agent: AgentId, session: OpenSession) {
        let mut sessions = self.0.lock();
        let slot = sessions.entry(agent).or_insert_with(|| watch::channel(None).0);
        if let Some(older) = slot.send_replace(Some(session)) {
            tracing::warn!(%agent, session = %older.handle.id(),
                "another session of the same agent has begun; the older one ends");
            goodbye(
                &older,
                GoodbyeCode::Superseded,
                "another session of this agent has begun",
                "if two machines share one identity, enrol one of them anew",
            );
        }
    }

    /// Notes that a session is over, unless a newer one has taken its place.
    pub(crate) fn end(&self, agent: AgentId, session: Uuid) {
        if let Some(slot) = self.0.lock().get(&agent) {
            slot.send_if_modified(|open| {
                let is_it = open.as_ref().is_some_and(|open| open.handle.id() == session);
                if is_it {
                    *open = None;
                }
                is_it
            });
        }
    }

    /// Ends the session of an agent that is no longer trusted.
    pub(crate) fn revoke(&self, agent: AgentId) {
        if let Some(open) = self.get(agent) {
            goodbye(&open, GoodbyeCode::Revoked, "the agent was revoked", "enrol the agent anew");
        }
    }

    /// The open session of an agent.
    pub(crate) fn get(&self, agent: AgentId) -> Option<OpenSession> {
        self.0.lock().get(&agent).and_then(|slot| slot.borrow().clone())
    }

    /// Follows the session of an agent.
    pub(crate) fn watch(&self, agent: AgentId) -> watch::Receiver<Option<OpenSession>> {
        self.0.lock().entry(agent).or_insert_with(|| watch::channel(None).0).subscribe()
    }
}

fn goodbye(session: &OpenSession, code: GoodbyeCode, reason: &'static str, remedy: &'static str) {
    session.handle.request(move |machine, now| machine.goodbye(now, code, reason, remedy));
}
