//! PostgreSQL tables as a source: a copy of what is there, then every change in the order of commits.
//!
//! The modules follow the way of a row: configuration, what must be ready at the server, the copy, the connection
//! that changes come by, their messages, tables and cells, and what gathers them into emissions.

mod config;
mod lsn;
mod snapshot;
mod position;
mod catalog;
mod ready;
mod check;
mod print;
mod reader;
mod copy;
mod copied;
mod wire;
mod message;
mod kind;
mod text;
mod cell;
mod table;
mod spill;
mod outbox;
mod follow;

use std::time::Duration;

use async_trait::async_trait;
use serde_json::Value;
use tokio::sync::watch;
use towpath_adapter_api::{AdapterError, Output, Releases, Source, SourceContext, SourceFactory};
use towpath_record::{ResourceName, StreamName};

pub use config::{NumericMode, SnapshotMode, SourceConfig};

use crate::error::PostgresError;
use catalog::Catalog;
use config::Wanted;
use copied::CopiedAlready;
use follow::Follower;
use lsn::Lsn;
use outbox::Outbox;
use position::SourcePosition;
use ready::Names;
use wire::{Feedback, Purpose, Wire};

/// The server is told at least this often that we live; it gives up on who is silent for a minute, by default.
const FEEDBACK_EVERY: Duration = Duration::from_secs(5);

/// How tables are read.
pub(crate) fn factory() -> SourceFactory {
    SourceFactory {
        config_schema,
        build,
        check: Some(|_, config| check::check(config)),
        reader: Some(reader::make),
    }
}

fn config_schema() -> Value {
    schemars::schema_for!(SourceConfig).to_value()
}

fn build(config: &Value) -> Result<Box<dyn Source>, AdapterError> {
    Ok(Box::new(PostgresSource { config: SourceConfig::read(config)? }))
}

/// A database that is read.
struct PostgresSource {
    config: SourceConfig,
}

#[async_trait]
impl Source for PostgresSource {
    async fn run(self: Box<Self>, context: SourceContext) -> Result<(), AdapterError> {
        let SourceContext { name, resume, output, releases, stop, .. } = context;
        let position = SourcePosition::read(&resume.position)?;
        let address = self.config.server().address();
        let (released, release) = watch::channel(0);
        tokio::select! {
            () = stop.cancelled() => Ok(()),
            read = Box::pin(read(&self.config, &name, position, output, release)) => {
                read.map_err(|error| error.at(&address))
            }
            settled = settle(releases, &released) => settled,
        }
    }
}

/// Passes on what may be forgotten. Nothing is lost if the server does not learn of it: it keeps more than it must,
/// and each later release covers the ones before it.
async fn settle(mut releases: Releases, released: &watch::Sender<u64>) -> Result<(), AdapterError> {
    while let Some(release) = releases.next().await {
        // While the copy goes on, the slot must stay where it began; its position says so.
        if let Some(position) = SourcePosition::read(&release.position)? {
            released.send_if_modified(|lsn| {
                let moves = position.lsn > *lsn;
                *lsn = position.lsn.max(*lsn);
                moves
            });
        }
        release.acted();
    }
    Ok(())
}

async fn read(
    config: &SourceConfig,
    name: &ResourceName,
    resumes_at: Option<SourcePosition>,
    output: Output,
    release: watch::Receiver<u64>,
) -> Result<(), PostgresError> {
    let wanted = Wanted::new(config)?;
    let slot = config.slot_of(name);
    let names = Names { publication: config.publication_of(&slot), slot };
    let mut catalog = Catalog::open(config).await?;
    ready::check_server(&catalog.client).await?;
    ready::publication(&catalog.client, config, &wanted, &names.publication).await?;
    let resumed = resumes_at.as_ref().map(|position| position.lsn);
    let begins = ready::slot(&catalog.client, config, &names.slot, resumed).await?;
    let position = resumes_at.unwrap_or_else(|| SourcePosition {
        lsn: begins.0,
        copying: config.snapshot == SnapshotMode::Initial,
        ..SourcePosition::default()
    });
    let progress =
        StreamName::new(name.as_str()).map_err(|_| PostgresError::Damaged("the source has no name"))?;
    let mut outbox = Outbox::new(output, progress, config, position);
    if outbox.position.copying {
        copy::run(&mut catalog, config, &wanted, &names.publication, &mut outbox).await?;
    }
    follow(config, &wanted, &names, catalog, outbox, begins, release).await
}

async fn follow(
    config: &SourceConfig,
    wanted: &Wanted,
    names: &Names,
    catalog: Catalog,
    outbox: Outbox,
    begins: Lsn,
    release: watch::Receiver<u64>,
) -> Result<(), PostgresError> {
    let place = Lsn(outbox.position.lsn);
    let version = if catalog.streams_in_progress() { "'2', streaming 'on'" } else { "'1'" };
    let publication = crate::table::quoted(&names.publication).replace('\'', "''");
    let command = format!(
        "START_REPLICATION SLOT \"{}\" LOGICAL {place} (proto_version {version}, publication_names '{publication}')",
        names.slot
    );
    let (changes, feedback) =
        Wire::connect(&config.server(), Purpose::Replication).await?.start(&command).await?;
    feedback.has_read(place.0);
    feedback.has_released(begins.0);
    let copied = CopiedAlready::new(&outbox.position.runs);
    let follower = Follower::new(catalog, config, wanted, &feedback, outbox, copied);
    tokio::select! {
        ended = follower.run(changes) => ended,
        ended = confirm(config, &names.slot, &feedback, release) => ended,
    }
}

/// Tells the server what was released, at once and again from time to time, whatever the reading waits for.
async fn confirm(
    config: &SourceConfig,
    slot: &str,
    feedback: &Feedback,
    mut release: watch::Receiver<u64>,
) -> Result<(), PostgresError> {
    let every = FEEDBACK_EVERY.min(config.heartbeat.0);
    let mut since_warning = Duration::ZERO;
    loop {
        feedback.has_released(*release.borrow_and_update());
        feedback.send(true).await?;
        let waited = tokio::time::timeout(every, release.changed()).await;
        if waited.is_err() {
            since_warning += every;
        }
        let lag = feedback.lag();
        if since_warning >= config.heartbeat.0 && lag > config.max_slot_lag_bytes.0 {
            since_warning = Duration::ZERO;
            tracing::warn!(
                slot,
                lag_bytes = lag,
                "the server keeps more log for the slot than `max_slot_lag_bytes`; see what the source waits for"
            );
        }
    }
}
