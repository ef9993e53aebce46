//! Driving a source as the agent does.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use serde_json::Value;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use towpath_adapter_api::{
    AdapterError, Emission, ErrorKind, MemoryCache, Resume, Rows, SourceContext, SourceDriver, SourceFactory,
};
use towpath_record::{Mark, Position, ResourceName};

use crate::cell;
use crate::source::SourceSystem;

/// How long a source may take to return once it was stopped, or to act on a release.
const SOON: Duration = Duration::from_secs(20);
/// Emissions that wait between source and agent, as few as there can be: the source must wait, not drop.
const DEPTH: usize = 1;

/// An emission, with its rows as text.
pub(crate) struct Seen {
    stream: String,
    rows: Vec<String>,
    pub(crate) position: Position,
    pub(crate) marks: Vec<Mark>,
}

/// One agent in front of one system. Its cache outlives the runs of the source.
pub(crate) struct Agent {
    factory: SourceFactory,
    config: Value,
    quiet_after: Duration,
    cache: Arc<MemoryCache>,
}

/// One run of the source.
struct Run {
    driver: SourceDriver,
    stop: CancellationToken,
    task: JoinHandle<Result<(), AdapterError>>,
}

impl Agent {
    pub(crate) fn new(factory: SourceFactory, system: &dyn SourceSystem) -> Self {
        Self { factory, config: system.config(), quiet_after: system.quiet_after(), cache: Arc::default() }
    }

    /// Runs the source until it is silent or has emitted this many times, and stops it there.
    pub(crate) async fn run(&self, resume: Resume, emissions: usize) -> anyhow::Result<Vec<Seen>> {
        let mut run = self.start(resume)?;
        let mut seen = Vec::new();
        while seen.len() < emissions {
            match tokio::time::timeout(self.quiet_after, run.driver.emissions.recv()).await {
                Ok(Some(emission)) => seen.push(Seen::of(emission)?),
                Ok(None) => return Err(run.failure().await),
                Err(_) => break,
            }
        }
        run.end().await?;
        Ok(seen)
    }

    /// Runs the source from a position and releases up to it.
    pub(crate) async fn release(&self, position: &Position, marks: &[Mark]) -> anyhow::Result<()> {
        let run = self.start(Resume { position: position.clone(), rebuild: None })?;
        let released = run.driver.releaser();
        let released = released.release(position.clone(), marks.to_vec());
        tokio::time::timeout(SOON, released).await.context("the release was not acted on")??;
        run.end().await
    }

    fn start(&self, resume: Resume) -> anyhow::Result<Run> {
        let source = (self.factory.build)(&self.config)?;
        let (output, releases, driver) = SourceDriver::channels(DEPTH);
        let stop = CancellationToken::new();
        let context = SourceContext {
            name: ResourceName::new("suite")?,
            resume,
            output,
            releases,
            cache: self.cache.clone(),
            stop: stop.clone(),
        };
        Ok(Run { driver, stop, task: tokio::spawn(source.run(context)) })
    }
}

impl Run {
    /// Stops the source and checks that it returns.
    async fn end(self) -> anyhow::Result<()> {
        self.stop.cancel();
        drop(self.driver);
        let ended = tokio::time::timeout(SOON, self.task).await.context("the source did not stop")??;
        match ended {
            Err(error) if error.kind != ErrorKind::Stopped => Err(error.into()),
            _ => Ok(()),
        }
    }

    async fn failure(self) -> anyhow::Error {
        match self.task.await {
            Ok(Ok(())) => anyhow::anyhow!("the source ended without being stopped"),
            Ok(Err(error)) => error.into(),
            Err(panic) => panic.into(),
        }
    }
}

impl Seen {
    fn of(emission: Emission) -> anyhow::Result<Self> {
        let rows = match &emission.rows {
            Rows::Progress => Vec::new(),
            // Where it lay differs between one system and the next.
            Rows::DeadLetters(letters) => letters
                .iter()
                .map(|it| format!("{} {:?} {} {:?}", it.line, it.column, it.reason, it.raw))
                .collect(),
            Rows::Records { schema, batch } => {
                if batch.schema_ref() != schema.arrow() {
                    bail!("a batch of {} does not have the columns of its schema", emission.stream);
                }
                let names: Vec<_> = schema.columns().iter().map(|column| &column.name).collect();
                cell::rows(batch)?
                    .iter()
                    .map(|row| format!("{:?}", names.iter().zip(row).collect::<Vec<_>>()))
                    .collect()
            }
        };
        ensure!(
            !emission.position.0.is_empty(),
            "an emission carries the empty position, which is the beginning"
        );
        let stream = match emission.rows {
            Rows::DeadLetters(_) => format!("{} (dead letters)", emission.stream),
            Rows::Records { .. } | Rows::Progress => emission.stream.to_string(),
        };
        Ok(Self { stream, rows, position: emission.position, marks: emission.marks })
    }
}

/// The rows of each stream in the order of their emission.
pub(crate) fn rows_by_stream(seen: &[Seen]) -> BTreeMap<&str, Vec<&str>> {
    let mut streams = BTreeMap::<_, Vec<_>>::new();
    for emission in seen.iter().filter(|emission| !emission.rows.is_empty()) {
        streams.entry(&*emission.stream).or_default().extend(emission.rows.iter().map(|row| &**row));
    }
    streams
}
