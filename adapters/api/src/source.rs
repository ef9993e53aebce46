//! What reads a system.

use std::sync::Arc;

use arrow_array::RecordBatch;
use async_trait::async_trait;
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use towpath_record::dead_letter::DeadLetter;
use towpath_record::{Mark, Position, ResourceName, StreamName, StreamSchema};

use crate::cache::Cache;
use crate::error::AdapterError;
use crate::precedence::Turn;

/// A system that is read.
///
/// The promises of the agent's core:
/// * Emissions become durable in the order in which they were made, or not at all.
/// * [`Resume::position`] is the position of the last emission that became durable in the spool; everything
///   after it was never stored anywhere and must be emitted again.
/// * A [`Release`] comes when the region's log holds everything up to its position (or the spool does, where the
///   admin chose `release: spool`). It may come again after a crash.
///
/// The demands on the source:
/// * After `resume`, it emits what follows that position: no gap, no repeat.
/// * It destroys nothing at its system (archives no file, advances no slot) before the release that covers it.
/// * Acting on a release twice is the same as acting on it once.
/// * Its memory is bounded by its configuration, whatever the input.
/// * It returns soon after [`SourceContext::stop`] is cancelled, at any point, without cleaning up.
#[async_trait]
pub trait Source: Send {
    /// Reads until stopped. An error ends the run; the core starts another from the then durable position,
    /// at once or later as [`AdapterError::reaction`] says.
    async fn run(self: Box<Self>, context: SourceContext) -> Result<(), AdapterError>;
}

/// What a source is given to run with.
pub struct SourceContext {
    /// The name of the source resource, for messages.
    pub name: ResourceName,
    /// Where to begin.
    pub resume: Resume,
    /// Where records go.
    pub output: Output,
    /// What has become durable in the region's log, in order.
    pub releases: Releases,
    /// A small store beside the agent for what can be found again: fingerprints, inferred types.
    pub cache: Arc<dyn Cache>,
    /// Its place among the sources of the agent: one in need can ask the others to wait.
    pub turn: Turn,
    /// Cancelled when the source shall stop.
    pub stop: CancellationToken,
}

/// Where a source begins.
#[derive(Clone, Debug, Default)]
pub struct Resume {
    /// The position of the last emission that is durable in the spool; empty for the beginning.
    pub position: Position,
    /// Set when the cache was lost: every mark that was ever durable for this source, oldest first.
    pub rebuild: Option<Vec<Mark>>,
}

/// Something a source read.
#[derive(Clone, Debug)]
pub struct Emission {
    /// The stream it belongs to.
    pub stream: StreamName,
    /// What was read.
    pub rows: Rows,
    /// Where the source may resume after it.
    pub position: Position,
    /// Facts that hold once it is durable.
    pub marks: Vec<Mark>,
    /// Whether the source's transaction goes on in the next emission.
    pub transaction_continues: bool,
}

/// What was read.
#[derive(Clone, Debug)]
pub enum Rows {
    /// Records, in a batch of the schema's Arrow form, reserved columns included.
    Records {
        /// The schema.
        schema: StreamSchema,
        /// The rows.
        batch: RecordBatch,
    },
    /// Input that could not become records.
    DeadLetters(Vec<DeadLetter>),
    /// Nothing but a new position and marks.
    Progress,
}

/// Where a source's emissions go. Full means wait: nothing is dropped.
#[derive(Clone)]
pub struct Output(mpsc::Sender<Emission>);

/// The agent no longer takes emissions from this run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the source was stopped")]
pub struct Stopped;

impl Output {
    /// Hands over an emission; waits while the spool is full.
    ///
    /// # Errors
    /// [`Stopped`] when this run is over; the source returns.
    pub async fn emit(&self, emission: Emission) -> Result<(), Stopped> {
        self.0.send(emission).await.map_err(|_| Stopped)
    }

    /// The same from a thread that may block.
    ///
    /// # Errors
    /// [`Stopped`] when this run is over; the source returns.
    pub fn emit_blocking(&self, emission: Emission) -> Result<(), Stopped> {
        self.0.blocking_send(emission).map_err(|_| Stopped)
    }
}

/// Everything up to a position is durable where it counts.
#[derive(Debug)]
pub struct Release {
    /// The position up to which everything is durable.
    pub position: Position,
    /// The marks that became true, in order.
    pub marks: Vec<Mark>,
    acted: oneshot::Sender<()>,
}

impl Release {
    /// Says that the source has acted on it: the file is archived, the slot advanced. Until then the agent keeps
    /// what it needs to send the release again.
    pub fn acted(self) {
        // The agent may have stopped meanwhile; then it will release again at its next start.
        let _ = self.acted.send(());
    }
}

/// The releases of one run, in order.
#[derive(Debug)]
pub struct Releases(mpsc::Receiver<Release>);

impl Releases {
    /// The next release, or `None` when the agent is stopping.
    pub async fn next(&mut self) -> Option<Release> {
        self.0.recv().await
    }

    /// The same from a thread that may block.
    pub fn next_blocking(&mut self) -> Option<Release> {
        self.0.blocking_recv()
    }

    /// A release that is already there.
    pub fn try_next(&mut self) -> Option<Release> {
        self.0.try_recv().ok()
    }
}

/// The agent's end of a source's channels.
pub struct SourceDriver {
    /// What the source emits.
    pub emissions: mpsc::Receiver<Emission>,
    releases: mpsc::Sender<Release>,
}

impl SourceDriver {
    /// The channels of one run. At most `depth` emissions wait between source and capture.
    pub fn channels(depth: usize) -> (Output, Releases, Self) {
        let (emit, emissions) = mpsc::channel(depth);
        let (release, releases) = mpsc::channel(depth);
        (Output(emit), Releases(releases), Self { emissions, releases: release })
    }

    /// A handle that sends releases.
    pub fn releaser(&self) -> Releaser {
        Releaser(self.releases.clone())
    }
}

/// Sends releases to a source.
#[derive(Clone)]
pub struct Releaser(mpsc::Sender<Release>);

impl Releaser {
    /// Releases up to a position and waits until the source has acted on it.
    ///
    /// # Errors
    /// [`Stopped`] when the source ended before it acted; the release must be repeated in its next run.
    pub async fn release(&self, position: Position, marks: Vec<Mark>) -> Result<(), Stopped> {
        let (acted, done) = oneshot::channel();
        self.0.send(Release { position, marks, acted }).await.map_err(|_| Stopped)?;
        done.await.map_err(|_| Stopped)
    }
}
