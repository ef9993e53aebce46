//! SQLite tables as a source. The modules follow the way of a row: what an admin chose, the connection, the shape of
//! a table, the triggers that note its changes, reading changes and copies, values and records, and the position.

mod config;
mod database;
mod table;
mod triggers;
mod install;
mod streams;
mod changes;
mod copy;
mod value;
mod records;
mod position;
mod emit;
mod capture;
mod polling;
mod release;
mod reader;
mod check;
pub(crate) mod query;

use std::sync::Arc;

use async_trait::async_trait;
use serde_json::Value;
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;
use towpath_adapter_api::{AdapterError, ErrorKind, Releases, Source, SourceContext, SourceFactory};

use capture::TriggerCapture;
use config::{Capture, SourceConfig};
use emit::Emitter;
use install::Names;
use polling::Polling;
use position::SourcePosition;
use release::Releasing;

pub(crate) use table::UnfitTable;

/// How databases are read.
pub(crate) fn factory() -> SourceFactory {
    SourceFactory { config_schema, build, check: Some(check::check), reader: Some(reader::make) }
}

fn config_schema() -> Value {
    schemars::schema_for!(SourceConfig).to_value()
}

fn build(config: &Value) -> Result<Box<dyn Source>, AdapterError> {
    Ok(Box::new(SqliteSource { config: Arc::new(SourceConfig::read(config)?) }))
}

/// A database that is read.
struct SqliteSource {
    config: Arc<SourceConfig>,
}

#[async_trait]
impl Source for SqliteSource {
    async fn run(self: Box<Self>, context: SourceContext) -> Result<(), AdapterError> {
        let SourceContext { name, resume, output, releases, stop, .. } = context;
        let position = SourcePosition::read(&resume.position)?;
        // The thread must end even if this future is dropped.
        let stop = stop.child_token();
        let _ends_the_thread = stop.clone().drop_guard();
        let emitter = Emitter { output, stop: stop.clone(), runtime: Handle::current() };
        let releasing = Releasing::new(self.config.path.clone(), Names::of(name.as_str()), stop.clone());
        let reading = tokio::task::spawn_blocking(move || match self.config.capture {
            Capture::Triggers => TriggerCapture::new(self.config, &name, emitter, position)?.run(),
            Capture::Polling => Polling::new(self.config, &name, emitter, position)?.run(),
        });
        tokio::select! {
            read = reading => read.map_err(crashed)?,
            settled = settle(releases, releasing, stop) => settled,
        }
    }
}

/// Acts on releases until the source is to stop. Reading may wait for a spool that only a release empties, so
/// this goes on beside it.
async fn settle(
    mut releases: Releases,
    mut releasing: Releasing,
    stop: CancellationToken,
) -> Result<(), AdapterError> {
    loop {
        let release = tokio::select! {
            () = stop.cancelled() => return Ok(()),
            release = releases.next() => release,
        };
        let Some(release) = release else { return Ok(()) };
        // Polling leaves nothing behind.
        if let Some(changes) = SourcePosition::read(&release.position)?.changes {
            let work = move || releasing.release(&changes).map(|()| releasing);
            releasing = tokio::task::spawn_blocking(work).await.map_err(crashed)??;
        }
        release.acted();
    }
}

fn crashed(error: tokio::task::JoinError) -> AdapterError {
    let message = "the thread that spoke to the database failed; this is a defect, please report it";
    AdapterError::new(ErrorKind::Unavailable, "sqlite source", message).caused_by(error)
}
