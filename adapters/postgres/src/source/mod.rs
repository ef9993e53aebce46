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
mod known;
mod governor;
mod run;
mod query;

use async_trait::async_trait;
use serde_json::Value;
use tokio::sync::watch;
use towpath_adapter_api::{AdapterError, Releases, Source, SourceContext, SourceFactory};

pub(crate) use query::adapter as query_adapter;

pub use config::{NumericMode, OnSlotLag, SnapshotMode, SourceConfig};

use position::SourcePosition;

/// How tables are read.
pub(crate) fn factory() -> SourceFactory {
    SourceFactory { config_schema, build, check: Some(check::check), reader: Some(reader::make) }
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
        let SourceContext { name, resume, output, releases, cache, turn, stop } = context;
        let position = SourcePosition::read(&resume.position)?;
        let start = run::Start { position, rebuild: resume.rebuild, cache, turn };
        let address = self.config.server().address();
        let (released, release) = watch::channel(0);
        tokio::select! {
            () = stop.cancelled() => Ok(()),
            read = Box::pin(run::read(&self.config, &name, start, output, release)) => {
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
