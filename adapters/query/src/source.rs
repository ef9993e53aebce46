//! The source: a worker that runs what is due, and beside it the acting on releases.

use std::sync::Arc;

use async_trait::async_trait;
use serde_json::Value;
use towpath_adapter_api::{AdapterError, ErrorKind, Releases, Source, SourceContext, SourceFactory, Stopped};

use crate::check;
use crate::clock::{Clock, SystemClock};
use crate::config::{Query, QueryConfig};
use crate::database::QueryDatabase;
use crate::deletes::Known;
use crate::position;
use crate::threads::Threads;
use crate::worker::Worker;

/// How a database is read by queries.
pub fn factory<D: QueryDatabase>() -> SourceFactory {
    SourceFactory {
        config_schema: || schemars::schema_for!(QueryConfig<D::Connection>).to_value(),
        build: |config| Ok(Box::new(QuerySource::<D>::new(config)?)),
        check: Some(check::check::<D>),
        reader: None,
    }
}

/// A source of the rows that queries give.
pub struct QuerySource<D: QueryDatabase> {
    database: Arc<D>,
    config: QueryConfig<D::Connection>,
    /// Another clock than that of the machine.
    clock: Option<Arc<dyn Clock>>,
}

impl<D: QueryDatabase> QuerySource<D> {
    /// A source by its configuration; connects to nothing yet.
    ///
    /// # Errors
    /// The configuration cannot work; the message names the key.
    pub fn new(config: &Value) -> Result<Self, AdapterError> {
        let config = QueryConfig::<D::Connection>::read(config)?;
        let database = Arc::new(D::new(config.connection.clone(), config.timeout.0)?);
        Ok(Self { database, config, clock: None })
    }

    /// The same with another clock.
    #[must_use]
    pub fn with_clock(self, clock: Arc<dyn Clock>) -> Self {
        Self { clock: Some(clock), ..self }
    }
}

#[async_trait]
impl<D: QueryDatabase> Source for QuerySource<D> {
    async fn run(self: Box<Self>, context: SourceContext) -> Result<(), AdapterError> {
        let SourceContext { name, resume, output, releases, cache, stop, .. } = context;
        let known = |query: &Query| Known::new(cache.clone(), position::number_of(query));
        let all_known: Vec<Known> = self.config.queries.iter().map(known).collect();
        let queries = self.config.queries.clone();
        let places = position::read(&resume.position, &queries)?;
        let clock = match self.clock {
            Some(clock) => clock,
            None => Arc::new(SystemClock::start().await?),
        };
        let worker =
            Worker::new(self.database, self.config, clock, &name, output, places, all_known.clone())?;
        let threads = worker.threads.clone();
        let ended = tokio::select! {
            () = stop.cancelled() => Err(Stopped.into()),
            ended = worker.run() => ended,
            ended = settle(releases, &queries, &all_known, &threads) => ended,
        };
        threads.finish().await;
        ended
    }
}

/// Acts on releases: what the released position no longer counts is removed from the cache.
async fn settle(
    mut releases: Releases,
    queries: &[Query],
    known: &[Known],
    threads: &Threads,
) -> Result<(), AdapterError> {
    while let Some(release) = releases.next().await {
        let places = position::read(&release.position, queries)?;
        for (place, known) in places.iter().zip(known) {
            let Some(keys) = place.known else { continue };
            let known = known.clone();
            let released = threads.run(move || known.release(keys)).await?;
            released.map_err(|error| {
                AdapterError::new(ErrorKind::Unavailable, "query source", error.to_string())
            })?;
        }
        release.acted();
    }
    Err(Stopped.into())
}
