//! Runs what is due, one query after another, and hands over what it found.

mod job;
mod reading;
mod comparing;

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::mpsc;
use towpath_adapter_api::{AdapterError, CacheError, Emission, ErrorKind, Output, Rows};
use towpath_record::ResourceName;

use crate::clock::Clock;
use crate::config::{Batch, Missed, QueryConfig, invalid};
use crate::database::{Page, PageSize, QueryDatabase};
use crate::deletes::Known;
use crate::position::{self, Place, REMEMBERED_BYTES};
use crate::threads::Threads;

use job::Job;
use reading::Reached;

/// How long a statement may be kept open while the spool takes nothing.
const PATIENCE: Duration = Duration::from_secs(10);
/// How often the time of the last run is noted if nothing else is.
const NOTED_EVERY: Duration = Duration::from_secs(60);

/// The queries of one source, and where they stand.
pub(crate) struct Worker<D> {
    database: Arc<D>,
    clock: Arc<dyn Clock>,
    pub(crate) threads: Threads,
    output: Output,
    batch: Batch,
    jobs: Vec<Job>,
    /// Where each job stands.
    places: Vec<Place>,
    /// Where each stood in the last emission.
    noted: Vec<Place>,
    /// How many bytes of a position remember the rows of one query.
    remembered_bytes: usize,
}

impl<D: QueryDatabase> Worker<D> {
    pub(crate) fn new(
        database: Arc<D>,
        config: QueryConfig<D::Connection>,
        clock: Arc<dyn Clock>,
        source: &ResourceName,
        output: Output,
        places: Vec<Place>,
        known: Vec<Known>,
    ) -> Result<Self, AdapterError> {
        let remembered_bytes = REMEMBERED_BYTES / config.queries.len();
        let now = clock.now();
        let mut jobs = Vec::new();
        for ((query, place), known) in config.queries.into_iter().zip(&places).zip(known) {
            let job = Job::new(query, &config.schedule, source, place, known);
            let mut job = job.map_err(invalid)?;
            job.due = match (place.ran_at_us, config.missed) {
                (None, Missed::RunOnce) => Some(now),
                (Some(ran_at), Missed::RunOnce) => job.schedule.after(instant(ran_at)),
                (_, Missed::Wait) => job.schedule.after(now),
            };
            jobs.push(job);
        }
        let noted = places.clone();
        let (batch, threads) = (config.batch, Threads::default());
        Ok(Self { database, clock, threads, output, batch, jobs, places, noted, remembered_bytes })
    }

    /// Runs until it is dropped or fails.
    pub(crate) async fn run(mut self) -> Result<(), AdapterError> {
        for number in 0..self.jobs.len() {
            self.settle_known(number).await?;
        }
        loop {
            let due = self.jobs.iter().enumerate().filter_map(|(number, job)| Some((job.due?, number)));
            let Some((due, number)) = due.min() else {
                std::future::pending::<()>().await;
                continue;
            };
            let now = self.clock.now();
            if now < due {
                self.clock.wait_until(due).await?;
                continue;
            }
            self.run_job(number, now).await?;
        }
    }

    /// Makes what the cache knows agree with the position. Where it cannot, the query begins anew.
    async fn settle_known(&mut self, number: usize) -> Result<(), AdapterError> {
        let (job, place) = (&mut self.jobs[number], &mut self.places[number]);
        let known = job.known.clone();
        if job.query.deletes.is_none() {
            if place.known.take().is_some() {
                self.threads.run(move || known.forget()).await?.map_err(cache_failed)?;
            }
            return Ok(());
        }
        let has_read = place.last()?.is_some();
        let whole = match place.known {
            None if has_read => false,
            keys => self
                .threads
                .run(move || known.settle(keys.unwrap_or_default()))
                .await?
                .map_err(cache_failed)?,
        };
        if !whole {
            tracing::warn!(stream = %job.stream, "which keys were read is not known; the stream is emptied and read again");
            job.refill = true;
        }
        Ok(())
    }

    async fn run_job(&mut self, number: usize, now: Timestamp) -> Result<(), AdapterError> {
        if self.read_rows(number).await? == Reached::End && self.is_comparison_due(number, now) {
            self.compare(number).await?;
            self.places[number].compared_at_us = Some(now.as_microsecond());
        }
        self.places[number].ran_at_us = Some(now.as_microsecond());
        self.jobs[number].due = self.jobs[number].schedule.after(now);
        if self.is_worth_noting(number) {
            self.emit(number, Rows::Progress, None).await?;
        }
        Ok(())
    }

    /// Whether the place has moved since the last emission, or its times are old.
    fn is_worth_noting(&self, number: usize) -> bool {
        let (place, noted) = (&self.places[number], &self.noted[number]);
        let is_old = match (place.ran_at_us, noted.ran_at_us) {
            (Some(now), Some(then)) => u128::from(now.abs_diff(then)) >= NOTED_EVERY.as_micros(),
            (now, _) => now.is_some(),
        };
        is_old || place.has_moved_from(noted)
    }

    /// Hands over what was found. Where the spool takes nothing for long, the pages that are under way are no longer
    /// wanted, so that the database need not keep a statement open.
    async fn emit(
        &mut self,
        number: usize,
        rows: Rows,
        pages: Option<&mut mpsc::Receiver<Page>>,
    ) -> Result<(), AdapterError> {
        let emission = Emission {
            stream: self.jobs[number].stream.clone(),
            rows,
            position: position::write(&self.places)?,
            marks: Vec::new(),
            transaction_continues: false,
        };
        let mut emitting = std::pin::pin!(self.output.emit(emission));
        match tokio::time::timeout(PATIENCE, &mut emitting).await {
            Ok(emitted) => emitted?,
            Err(_) => {
                pages.into_iter().for_each(mpsc::Receiver::close);
                emitting.await?;
            }
        }
        self.noted.clone_from(&self.places);
        Ok(())
    }

    fn page(&self) -> PageSize {
        PageSize { rows: self.batch.rows, bytes: usize::try_from(self.batch.bytes.0).unwrap_or(usize::MAX) }
    }

    fn now_us(&self) -> i64 {
        self.clock.now().as_microsecond()
    }
}

fn instant(us: i64) -> Timestamp {
    Timestamp::from_microsecond(us).unwrap_or(Timestamp::UNIX_EPOCH)
}

fn cache_failed(error: CacheError) -> AdapterError {
    AdapterError::new(ErrorKind::Unavailable, "query source", error.to_string()).caused_by(error)
}
