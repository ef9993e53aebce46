//! A bound route as the worker of its sink sees it.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::{mpsc, oneshot};
use towpath_record::{
    LaneId, Link, LogId, LogOffset, SchemaHash, SealedFrame, SourceId, StreamName, StreamSchema,
};
use towpath_session::RouteBinding;
use towpath_session::limits::FRAME_OVERHEAD_BYTES;

use super::connection::SessionHandle;

/// The route has ended, most often because the link was lost; it is bound anew on the next one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the link to the control plane was lost")]
pub struct Disconnected;

/// A frame for a sink.
#[derive(Clone, Debug)]
pub struct RouteFrame {
    /// Its place in the region's log.
    pub offset: LogOffset,
    /// The frame.
    pub frame: SealedFrame,
    /// The schema of its rows.
    pub schema: StreamSchema,
}

/// Rows that shall be cast before the sink sees them.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RouteCast {
    /// The source whose lane they are of.
    pub source: SourceId,
    /// The stream.
    pub stream: StreamName,
    /// Their schema.
    pub from: SchemaHash,
    /// The schema of what the sink sees.
    pub to: StreamSchema,
}

/// A route that was bound to a sink of this agent. It lasts as long as the connection.
pub struct RouteHandle {
    frames: mpsc::UnboundedReceiver<RouteFrame>,
    casts: Vec<RouteCast>,
    reporter: RouteReporter,
}

/// Tells the control plane what became of a route's frames. Cheap to clone.
#[derive(Clone)]
pub struct RouteReporter {
    binding: RouteBinding,
    session: SessionHandle,
    stored: Arc<Mutex<Waiting>>,
}

/// Who waits for rejections to be stored, by the offset of the frame; none once the route has ended.
type Waiting = Option<HashMap<LogOffset, oneshot::Sender<()>>>;

/// The connection's end of a route.
pub(super) struct RouteEntry {
    // Bounded by the window that the agent granted the route.
    pub(super) frames: mpsc::UnboundedSender<RouteFrame>,
    stored: Arc<Mutex<Waiting>>,
}

impl RouteHandle {
    pub(super) fn new(
        binding: RouteBinding,
        casts: Vec<RouteCast>,
        session: SessionHandle,
    ) -> (Self, RouteEntry) {
        let (sender, frames) = mpsc::unbounded_channel();
        let stored = Arc::new(Mutex::new(Some(HashMap::new())));
        let reporter = RouteReporter { binding, session, stored: stored.clone() };
        (Self { frames, casts, reporter }, RouteEntry { frames: sender, stored })
    }

    /// What was bound to what.
    pub fn binding(&self) -> RouteBinding {
        self.reporter.binding
    }

    /// What is cast before the sink sees it.
    pub fn casts(&self) -> &[RouteCast] {
        &self.casts
    }

    /// What tells the control plane about this route.
    pub fn reporter(&self) -> RouteReporter {
        self.reporter.clone()
    }

    /// The next frame, in the order of the log. Ends when the route is unbound or the link is lost. Dropping the
    /// future loses nothing.
    pub async fn next(&mut self) -> Option<RouteFrame> {
        self.frames.recv().await
    }
}

impl RouteReporter {
    /// The sink is open and durably holds everything up to a place in a log. Frames come from now on.
    pub fn ready(&self, checkpoint: Option<(LogId, LogOffset)>) {
        let binding = self.binding.binding;
        self.session.request(move |session, now| session.route_ready(now, binding, checkpoint));
    }

    /// The sink cannot be used, or no longer. The route is bound again when the control plane thinks fit.
    pub fn refuse(&self, reason: String, remedy: String) {
        let binding = self.binding.binding;
        self.session.request(move |session, now| session.route_refused(now, binding, &reason, &remedy));
    }

    /// The sink has taken in a frame of this many bytes: as much may come again.
    pub fn taken(&self, frame_bytes: usize) {
        let (binding, cost) = (self.binding.binding, frame_bytes as u64 + FRAME_OVERHEAD_BYTES);
        self.session.request(move |session, now| session.consumed(now, binding, cost));
    }

    /// Everything up to this offset survives power loss at the sink.
    pub fn durable(&self, offset: LogOffset) {
        let binding = self.binding.binding;
        self.session.request(move |session, now| session.delivered(now, binding, offset));
    }

    /// Hands over rows that the sink refused for good, and returns once they are durable as dead letters.
    ///
    /// # Errors
    /// The route was unbound, or the link was lost, first.
    pub async fn reject(
        &self,
        offset: LogOffset,
        lane: LaneId,
        link: Link,
        rows: Vec<(u32, String)>,
    ) -> Result<(), Disconnected> {
        let (done, stored) = oneshot::channel();
        self.stored.lock().as_mut().ok_or(Disconnected)?.insert(offset, done);
        let binding = self.binding.binding;
        self.session.request(move |session, now| session.reject(now, binding, offset, &lane, link, rows));
        stored.await.map_err(|_| Disconnected)
    }

    /// Waits until the link of this route is lost.
    pub async fn disconnected(&self) {
        self.session.closed().await;
    }
}

impl RouteEntry {
    /// The rejections at this offset are stored.
    pub(super) fn stored(&self, offset: LogOffset) {
        if let Some(done) = self.stored.lock().as_mut().and_then(|waiting| waiting.remove(&offset)) {
            // A worker that no longer waits is ending.
            let _ = done.send(());
        }
    }
}

impl Drop for RouteEntry {
    fn drop(&mut self) {
        self.stored.lock().take();
    }
}
