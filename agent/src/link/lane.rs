//! A lane as its owner sees it.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::{Notify, mpsc};
use towpath_record::{LaneId, Link};
use towpath_session::{Inconsistency, LaneFault, LaneGrant};

use super::supervisor::Command;

/// What becomes of a lane.
#[derive(Clone, PartialEq, Debug)]
pub enum LaneEvent {
    /// Frames may flow. When the grant is fresh, the owner reads the source from the granted position and seals
    /// behind the granted link, under the granted epoch; else it goes on as it was, and must not conclude anything
    /// from the grant about what the log has: that is what [`LaneEvent::Acknowledged`] tells.
    Granted(LaneGrant),
    /// The cell does not take the lane now; it is asked again by itself.
    Refused {
        /// Why, for machines.
        fault: LaneFault,
        /// Why, for people.
        reason: String,
        /// What a person may do about it.
        remedy: String,
        /// After how long it is asked again.
        retry_in: Duration,
    },
    /// What is held does not go on where the log ends. The owner stops the source, resets the spool, and then
    /// calls [`LaneHandle::begin_anew`].
    Broken(Inconsistency),
    /// Everything up to this frame is durable in the log: it may be trimmed and released.
    Acknowledged(Link),
}

/// A lane that is kept open on every connection until this is dropped.
pub struct LaneHandle {
    lane: LaneId,
    mailbox: Arc<Mailbox>,
    commands: mpsc::UnboundedSender<Command>,
}

impl LaneHandle {
    pub(super) fn new(lane: LaneId, mailbox: Arc<Mailbox>, commands: mpsc::UnboundedSender<Command>) -> Self {
        Self { lane, mailbox, commands }
    }

    /// The lane.
    pub fn lane(&self) -> &LaneId {
        &self.lane
    }

    /// What became of the lane next. Dropping the future loses nothing. Ends when the link is shut down.
    pub async fn next(&mut self) -> Option<LaneEvent> {
        loop {
            let posted = self.mailbox.posted.notified();
            {
                let mut content = self.mailbox.content.lock();
                if let Some(event) = content.events.pop_front() {
                    return Some(event);
                }
                if content.closed {
                    return None;
                }
            }
            posted.await;
        }
    }

    /// Asks for a new epoch, after the spool was reset; with every mark of the lane when the source needs them.
    pub fn begin_anew(&self, want_marks: bool) {
        let lane = self.lane.clone();
        // A link that is shut down opens no lanes.
        let _ = self.commands.send(Command::BeginAnew { lane, want_marks });
    }
}

impl Drop for LaneHandle {
    fn drop(&mut self) {
        let _ =
            self.commands.send(Command::CloseLane { lane: self.lane.clone(), mailbox: self.mailbox.clone() });
    }
}

/// Events on their way to a lane's owner. Acknowledgements that nobody has read yet become one, and everything
/// else happens seldom, so that it stays small however slow the owner is.
#[derive(Default)]
pub(super) struct Mailbox {
    content: Mutex<Content>,
    posted: Notify,
}

#[derive(Default)]
struct Content {
    events: VecDeque<LaneEvent>,
    closed: bool,
}

impl Mailbox {
    pub(super) fn post(&self, event: LaneEvent) {
        let mut content = self.content.lock();
        match (content.events.back_mut(), &event) {
            (Some(last @ LaneEvent::Acknowledged(_)), LaneEvent::Acknowledged(_))
            | (Some(last @ LaneEvent::Refused { .. }), LaneEvent::Refused { .. }) => *last = event,
            _ => content.events.push_back(event),
        }
        drop(content);
        self.posted.notify_one();
    }

    pub(super) fn close(&self) {
        self.content.lock().closed = true;
        self.posted.notify_one();
    }
}
