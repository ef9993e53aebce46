//! Driving a source as the agent does.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{bail, ensure};
use serde_json::Value;
use towpath_adapter_api::{Emission, MemoryCache, Resume, Rows, SourceFactory};
use towpath_record::{Mark, Position};

use super::run::{SourceRun, SourceStart};
use crate::cell;
use crate::source::SourceSystem;

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

impl Agent {
    pub(crate) fn new(factory: SourceFactory, system: &dyn SourceSystem) -> Self {
        Self { factory, config: system.config(), quiet_after: system.quiet_after(), cache: Arc::default() }
    }

    /// Runs the source until it is silent or has emitted this many times, and stops it there.
    pub(crate) async fn run(&self, resume: Resume, emissions: usize) -> anyhow::Result<Vec<Seen>> {
        let mut run = self.start(resume)?;
        let mut seen = Vec::new();
        while seen.len() < emissions {
            match run.next(self.quiet_after).await? {
                Some(emission) => seen.push(Seen::of(emission)?),
                None => break,
            }
        }
        run.stop().await?;
        Ok(seen)
    }

    /// Runs the source from a position and releases up to it.
    pub(crate) async fn release(&self, position: &Position, marks: &[Mark]) -> anyhow::Result<()> {
        let run = self.start(Resume { position: position.clone(), rebuild: None })?;
        run.release(position, marks).await?;
        run.stop().await
    }

    fn start(&self, resume: Resume) -> anyhow::Result<SourceRun> {
        let source = (self.factory.build)(&self.config)?;
        let start =
            SourceStart { name: "suite", resume, cache: self.cache.clone(), ..SourceStart::default() };
        Ok(start.run(source))
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
