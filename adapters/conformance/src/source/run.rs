//! A source that runs as it does in an agent. Whoever has it plays the agent's core.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use arrow_array::cast::AsArray;
use arrow_array::types::UInt8Type;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use towpath_adapter_api::source::Source;
use towpath_adapter_api::{
    AdapterError, Cache, Emission, ErrorKind, MemoryCache, Precedence, Resume, Rows, SourceContext,
    SourceDriver,
};
use towpath_record::{Mark, Op, Position, ResourceName};

use crate::cell;

/// Longer than anything that is waited for takes, so that what does not come fails the test.
const PATIENCE: Duration = Duration::from_secs(60);
/// Emissions that wait between source and agent, as few as there can be: the source must wait, not drop.
const DEPTH: usize = 1;

/// How a source is started: by default at the beginning, with an empty cache, and alone in its agent.
#[derive(Clone)]
pub struct SourceStart {
    /// Its name.
    pub name: &'static str,
    /// Where it begins.
    pub resume: Resume,
    /// What outlives its runs.
    pub cache: Arc<dyn Cache>,
    /// What it shares with the other sources of its agent.
    pub precedence: Precedence,
}

/// A run of a source. It is dropped only where the test fails; else it is stopped.
pub struct SourceRun {
    /// The agent's end of its channels.
    pub driver: SourceDriver,
    stop: CancellationToken,
    task: JoinHandle<Result<(), AdapterError>>,
}

impl Default for SourceStart {
    fn default() -> Self {
        Self {
            name: "erp",
            resume: Resume::default(),
            cache: Arc::new(MemoryCache::default()),
            precedence: Precedence::default(),
        }
    }
}

impl SourceStart {
    /// The same from a position.
    #[must_use]
    pub fn at(self, position: &Position) -> Self {
        Self { resume: Resume { position: position.clone(), rebuild: None }, ..self }
    }

    /// Runs a source.
    pub fn run(self, source: Box<dyn Source>) -> SourceRun {
        let (output, releases, driver) = SourceDriver::channels(DEPTH);
        let stop = CancellationToken::new();
        let name = ResourceName::new(self.name).expect("tests give sources valid names");
        let turn = self.precedence.turn(name.clone());
        let (resume, cache, stopped) = (self.resume, self.cache, stop.clone());
        let context = SourceContext { name, resume, output, releases, cache, turn, stop: stopped };
        SourceRun { driver, stop, task: tokio::spawn(source.run(context)) }
    }
}

impl SourceRun {
    /// The next emission, or `None` when the source has been silent for a while.
    ///
    /// # Errors
    /// The source ended; the error is its own.
    pub async fn next(&mut self, quiet: Duration) -> anyhow::Result<Option<Emission>> {
        match tokio::time::timeout(quiet, self.driver.emissions.recv()).await {
            Ok(Some(emission)) => Ok(Some(emission)),
            Ok(None) => {
                Err((&mut self.task).await?.err().context("the source ended without being stopped")?.into())
            }
            Err(_) => Ok(None),
        }
    }

    /// The next emission, which is expected.
    ///
    /// # Errors
    /// None came, or the source ended; the error is its own.
    pub async fn expect(&mut self) -> anyhow::Result<Emission> {
        self.next(PATIENCE).await?.context("the source emitted nothing")
    }

    /// Everything until the source has been silent for a while; then it is stopped.
    ///
    /// # Errors
    /// The source ended by itself, or did not stop.
    pub async fn read(mut self, quiet: Duration) -> anyhow::Result<Vec<Emission>> {
        let mut seen = Vec::new();
        while let Some(emission) = self.next(quiet).await? {
            seen.push(emission);
        }
        self.stop().await?;
        Ok(seen)
    }

    /// Releases up to a position, and waits until the source has acted on it.
    ///
    /// # Errors
    /// It did not, or has ended.
    pub async fn release(&self, position: &Position, marks: &[Mark]) -> anyhow::Result<()> {
        let releaser = self.driver.releaser();
        let released = releaser.release(position.clone(), marks.to_vec());
        Ok(tokio::time::timeout(PATIENCE, released).await.context("the release was not acted on")??)
    }

    /// Stops the source and waits for it, so that it does not write beside the next one.
    ///
    /// # Errors
    /// It did not stop, or failed before.
    pub async fn stop(self) -> anyhow::Result<()> {
        self.stop.cancel();
        drop(self.driver);
        let ended = tokio::time::timeout(PATIENCE, self.task).await.context("the source did not stop")??;
        match ended {
            Err(error) if error.kind != ErrorKind::Stopped => Err(error.into()),
            _ => Ok(()),
        }
    }

    /// How the source ends by itself, and what it emits before.
    ///
    /// # Errors
    /// It did not end.
    pub async fn end(mut self) -> anyhow::Result<(Vec<Emission>, Result<(), AdapterError>)> {
        let mut seen = Vec::new();
        let emitting = async {
            while let Some(emission) = self.driver.emissions.recv().await {
                seen.push(emission);
            }
        };
        tokio::time::timeout(PATIENCE, emitting).await.context("the source did not end")?;
        Ok((seen, self.task.await?))
    }
}

/// The rows of emissions as `op: value | value`, and dead letters as `refused: …`.
///
/// # Errors
/// A value cannot be shown.
pub fn shown(emissions: &[Emission]) -> anyhow::Result<Vec<String>> {
    let mut lines = Vec::new();
    for emission in emissions {
        match &emission.rows {
            Rows::Records { batch, .. } => {
                let ops = batch.column(0).as_primitive::<UInt8Type>().values();
                for (op, row) in ops.iter().zip(cell::rows(batch)?) {
                    let cells: Vec<_> = row.iter().map(|cell| cell.as_deref().unwrap_or("-")).collect();
                    let op = Op::from_code(*op).context("an operation without meaning")?;
                    lines.push(format!("{}: {}", op.as_str(), cells.join(" | ")));
                }
            }
            Rows::DeadLetters(letters) => {
                lines.extend(
                    letters
                        .iter()
                        .map(|it| format!("refused: {} {:?}: {}", it.resource, it.column, it.reason)),
                );
            }
            Rows::Progress => {}
        }
    }
    Ok(lines)
}
