//! One run: make ready, copy what is to be copied, follow the changes, and tell the server what it may forget.

use std::convert::Infallible;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::sync::watch;
use tokio_postgres::Client;
use towpath_adapter_api::{Cache, ErrorKind, Output, Turn};
use towpath_record::{Mark, ResourceName, StreamName};

use super::catalog::{self, Catalog};
use super::config::{OnSlotLag, SnapshotMode, SourceConfig, Wanted};
use super::copy::{self, stopped};
use super::follow::{Follower, Guide};
use super::governor::{Governor, Precedes};
use super::known::{Known, Late};
use super::lsn::Lsn;
use super::outbox::Outbox;
use super::position::SourcePosition;
use super::ready::{self, Names};
use super::wire::{Feedback, Purpose, Wire};
use crate::error::PostgresError;

/// The server is told at least this often that we live; it gives up on who is silent for a minute, by default.
const FEEDBACK_EVERY: Duration = Duration::from_secs(5);

/// Where a run begins.
pub(crate) struct Start {
    /// The position of what is durable; none at the very beginning.
    pub(crate) position: Option<SourcePosition>,
    /// Set when the cache was lost: every mark that was ever durable, oldest first.
    pub(crate) rebuild: Option<Vec<Mark>>,
    /// Where sets of copied tables lie.
    pub(crate) cache: Arc<dyn Cache>,
    /// The source's place among those of the agent.
    pub(crate) turn: Turn,
}

/// What a run works with.
struct Reading<'a> {
    config: &'a SourceConfig,
    wanted: Wanted,
    names: Names,
    /// The stream that mere progress is reported on.
    progress: StreamName,
    output: Output,
    /// The place in the log up to which nothing is needed any more.
    release: watch::Receiver<u64>,
    cache: Arc<dyn Cache>,
    precedes: Precedes,
}

/// Reads until the source is to stop.
///
/// # Errors
/// The server fails or is not ready, or the source is to stop.
pub(crate) async fn read(
    config: &SourceConfig,
    name: &ResourceName,
    start: Start,
    output: Output,
    release: watch::Receiver<u64>,
) -> Result<(), PostgresError> {
    let slot = config.slot_of(name);
    let names = Names { publication: config.publication_of(&slot), slot };
    let progress =
        StreamName::new(name.as_str()).map_err(|_| PostgresError::Damaged("the source has no name"))?;
    let Start { position: mut resumes_at, mut rebuild, cache, turn } = start;
    let wanted = Wanted::new(config)?;
    let precedes = Precedes::new(turn);
    let reading = Reading { config, wanted, names, progress, output, release, cache, precedes };
    loop {
        let catalog = Catalog::open(config).await?;
        ready::check_server(&catalog.client).await?;
        let client = catalog.client.clone();
        if let Some((position, begins)) = reading.begin(&catalog, resumes_at).await? {
            // It comes back only if the slot keeps too much.
            reading.copy_and_follow(catalog, position, begins, rebuild.take()).await?;
        }
        reading.give_up_slot(&client).await?;
        resumes_at = Some(SourcePosition::anew());
    }
}

impl Reading<'_> {
    /// Where the source goes on, and from where on the slot has the changes; `None` if the slot cannot serve and an
    /// admin wants everything copied anew then.
    async fn begin(
        &self,
        catalog: &Catalog,
        resumes_at: Option<SourcePosition>,
    ) -> Result<Option<(SourcePosition, Lsn)>, PostgresError> {
        let Names { slot, publication } = &self.names;
        ready::publication(&catalog.client, self.config, &self.wanted, publication).await?;
        let place = resumes_at.as_ref().map(|position| position.lsn).filter(|lsn| *lsn > 0);
        let begins = match ready::slot(&catalog.client, self.config, slot, place).await {
            Err(PostgresError::Unready { kind: ErrorKind::PositionLost, message })
                if self.config.on_slot_lag == OnSlotLag::DropAndResync =>
            {
                tracing::warn!(slot, "{message}; as `on_slot_lag` says, the tables are copied anew");
                return Ok(None);
            }
            begins => begins?,
        };
        let copying = self.config.snapshot == SnapshotMode::Initial;
        let mut position =
            resumes_at.unwrap_or_else(|| SourcePosition { copying, ..SourcePosition::default() });
        if position.lsn == 0 {
            position.lsn = begins.0;
        }
        Ok(Some((position, begins)))
    }

    /// Drops the slot, so that the server can remove its log at once, and waits until the agent has room for what is
    /// copied anew. The next slot is made only then.
    async fn give_up_slot(&self, client: &Client) -> Result<(), PostgresError> {
        tracing::warn!(slot = self.names.slot, "the slot is dropped, and the tables will be copied anew");
        ready::drop_slot(client, &self.names.slot).await?;
        self.outbox(SourcePosition::anew()).progress().await.map_err(stopped)
    }

    fn outbox(&self, position: SourcePosition) -> Outbox {
        Outbox::new(self.output.clone(), self.progress.clone(), self.config, position)
    }

    /// Returns when the slot keeps too much log and an admin wants it dropped then.
    async fn copy_and_follow(
        &self,
        mut catalog: Catalog,
        position: SourcePosition,
        begins: Lsn,
        rebuild: Option<Vec<Mark>>,
    ) -> Result<(), PostgresError> {
        let mut outbox = self.outbox(position);
        let mut known = self.known(&catalog, &mut outbox, rebuild).await?;
        loop {
            let governor = Governor::new(&catalog.client, &self.names.slot, self.config, &self.precedes);
            if outbox.position.copying {
                let publication = &self.names.publication;
                let copied = tokio::select! {
                    copied = copy::run(&mut catalog, self.config, &self.wanted, publication, &mut outbox) => copied?,
                    failed = governor.warn() => match failed? {},
                };
                let marks = known.note(copied, self.config);
                self.tell(&known, marks, &mut outbox, |position| {
                    (position.copying, position.anew) = (false, false);
                })
                .await?;
            }
            let late = OnceLock::new();
            let (changes, feedback) = self.start(&catalog, Lsn(outbox.position.lsn)).await?;
            feedback.has_read(outbox.position.lsn);
            feedback.has_released(begins.0);
            let client = catalog.client.clone();
            let (config, wanted) = (self.config, &self.wanted);
            let guide = Guide { config, wanted, feedback: &feedback, known: &known, late: &late };
            let follower = Follower::new(catalog, guide, outbox);
            outbox = tokio::select! {
                outbox = follower.run(changes) => outbox?,
                ended = self.confirm(&feedback) => match ended? {},
                ended = self.await_late(&client, &known, &late) => match ended? {},
                excess = governor.await_excess() => return excess,
            };
            self.take_in(late.into_inner().unwrap_or_default(), &mut known, &mut outbox).await?;
            catalog = Catalog::open(config).await?;
        }
    }

    /// The set of tables that the position names. Where there is none, all tables that are read count as copied.
    async fn known(
        &self,
        catalog: &Catalog,
        outbox: &mut Outbox,
        rebuild: Option<Vec<Mark>>,
    ) -> Result<Known, PostgresError> {
        let position = &outbox.position;
        if let Some(known) = Known::open(&*self.cache, position.known, rebuild.as_deref()) {
            known.remove_others(&*self.cache);
            return Ok(known);
        }
        if position.copying || self.config.snapshot == SnapshotMode::Never {
            return Ok(Known::default());
        }
        let known = Known::adopted(self.published(&catalog.client).await?);
        self.tell(&known, known.marks(), outbox, |_| {}).await?;
        Ok(known)
    }

    /// The tables that are published and wanted.
    async fn published(&self, client: &Client) -> Result<Vec<String>, PostgresError> {
        let mut tables = catalog::published(client, &self.names.publication).await?;
        tables.retain(|table| self.wanted.has(table));
        tables.sort_unstable();
        Ok(tables)
    }

    /// Looks from time to time whether there are tables that were not copied yet, until there are.
    async fn await_late(
        &self,
        client: &Client,
        known: &Known,
        late: &OnceLock<Late>,
    ) -> Result<Infallible, PostgresError> {
        loop {
            let found = known.late(&self.published(client).await?, self.config);
            if !found.is_empty() {
                late.get_or_init(|| found);
            }
            tokio::time::sleep(self.config.heartbeat.0).await;
        }
    }

    /// Begins the copy of tables that came late, and forgets those that are read no longer.
    async fn take_in(&self, late: Late, known: &mut Known, outbox: &mut Outbox) -> Result<(), PostgresError> {
        let Late { copy, gone } = late;
        if !copy.is_empty() {
            tracing::info!(tables = copy.join(", "), "tables are copied that were not copied yet");
        }
        let marks = known.forget(&gone);
        self.tell(known, marks, outbox, |position| {
            position.copying = !copy.is_empty();
            position.anew = position.copying;
            position.only = copy;
        })
        .await
    }

    /// Makes a set durable with the position that names it.
    async fn tell(
        &self,
        known: &Known,
        marks: Vec<Mark>,
        outbox: &mut Outbox,
        change: impl FnOnce(&mut SourcePosition),
    ) -> Result<(), PostgresError> {
        known.save(&*self.cache);
        let digest = known.digest();
        let told = outbox.tell(marks, |position| {
            position.known = digest;
            change(position);
        });
        told.await.map_err(stopped)
    }

    async fn start(
        &self,
        catalog: &Catalog,
        place: Lsn,
    ) -> Result<(super::wire::Changes, Feedback), PostgresError> {
        let version = if catalog.streams_in_progress() { "'2', streaming 'on'" } else { "'1'" };
        let publication = crate::table::quoted(&self.names.publication).replace('\'', "''");
        let command = format!(
            "START_REPLICATION SLOT \"{}\" LOGICAL {place} (proto_version {version}, publication_names \
             '{publication}')",
            self.names.slot
        );
        let mut tries = 0;
        loop {
            let wire = Wire::connect(&self.config.server(), Purpose::Replication).await?;
            match wire.start(&command).await {
                // The server notices a moment later that the connection before this one has ended.
                Err(PostgresError::Refused(refusal))
                    if tries < ready::BUSY_TRIES && refusal.code == ready::IN_USE =>
                {
                    tries += 1;
                    tokio::time::sleep(ready::BUSY_PAUSE).await;
                }
                started => return started,
            }
        }
    }

    /// Tells the server what was released, at once and again from time to time, whatever the reading waits for.
    async fn confirm(&self, feedback: &Feedback) -> Result<Infallible, PostgresError> {
        let mut release = self.release.clone();
        let every = FEEDBACK_EVERY.min(self.config.heartbeat.0);
        loop {
            feedback.has_released(*release.borrow_and_update());
            feedback.send(true).await?;
            // Without a release one says the same again.
            let _ = tokio::time::timeout(every, release.changed()).await;
        }
    }
}
