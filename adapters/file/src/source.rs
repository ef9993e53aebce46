//! The run of a source: one thread reads, and releases are acted on beside it.

use std::sync::Arc;

use async_trait::async_trait;
use serde_json::Value;
use tokio::runtime::Handle;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use towpath_adapter_api::{AdapterError, Releases, Source, SourceContext, SourceFactory};

use crate::config::{FileSourceConfig, Mode, parse};
use crate::emit::Emitter;
use crate::ledger::Ledger;
use crate::lifecycle::{Lifecycle, crashed};
use crate::position::SourcePosition;
use crate::tail::FollowedFiles;
use crate::whole::WholeFiles;

/// How files are read.
pub(crate) fn factory() -> SourceFactory {
    SourceFactory { config_schema, build, check: None, reader: None }
}

fn config_schema() -> Value {
    schemars::schema_for!(FileSourceConfig).to_value()
}

fn build(config: &Value) -> Result<Box<dyn Source>, AdapterError> {
    let config: FileSourceConfig = parse("file source", config)?;
    config.validate()?;
    Ok(Box::new(FileSource { config: Arc::new(config) }))
}

/// A folder that is read.
struct FileSource {
    config: Arc<FileSourceConfig>,
}

#[async_trait]
impl Source for FileSource {
    async fn run(self: Box<Self>, context: SourceContext) -> Result<(), AdapterError> {
        let SourceContext { name, resume, output, releases, cache, stop, .. } = context;
        tracing::debug!(source = %name, folder = %self.config.path.display(), "the file source starts");
        let mut position = SourcePosition::read(&resume.position)?;
        let completed = std::mem::take(&mut position.completed);
        let ledger = Arc::new(Ledger::new(cache, completed)?);
        let lifecycle = Arc::new(Lifecycle::new(self.config.clone(), ledger.clone())?);
        if let Some(marks) = resume.rebuild {
            let lifecycle = lifecycle.clone();
            tokio::task::spawn_blocking(move || lifecycle.settle(&marks)).await.map_err(crashed)??;
        }
        // The thread must end even if this future is dropped.
        let stop = stop.child_token();
        let _ends_the_thread = stop.clone().drop_guard();
        let emitter =
            Emitter { output, stop: stop.clone(), runtime: Handle::current(), ledger: ledger.clone() };
        let reading = tokio::task::spawn_blocking({
            let (config, lifecycle) = (self.config, lifecycle.clone());
            move || read(config, emitter, lifecycle, position)
        });
        tokio::select! {
            read = reading => read.map_err(crashed)?,
            settled = settle(releases, lifecycle, ledger, stop) => settled,
        }
    }
}

fn read(
    config: Arc<FileSourceConfig>,
    emitter: Emitter,
    lifecycle: Arc<Lifecycle>,
    position: SourcePosition,
) -> Result<(), AdapterError> {
    let wake = Arc::new(Notify::new());
    match config.mode {
        Mode::Whole => WholeFiles::new(config, emitter, lifecycle, wake)?.run(position.reading),
        Mode::Tail => FollowedFiles::new(config, emitter, wake)?.run(&position.followed),
    }
}

/// Acts on releases until the source is to stop.
async fn settle(
    mut releases: Releases,
    lifecycle: Arc<Lifecycle>,
    ledger: Arc<Ledger>,
    stop: CancellationToken,
) -> Result<(), AdapterError> {
    loop {
        let release = tokio::select! {
            () = stop.cancelled() => return Ok(()),
            release = releases.next() => release,
        };
        let Some(release) = release else { return Ok(()) };
        if !release.marks.is_empty() {
            let (marks, lifecycle) = (release.marks.clone(), lifecycle.clone());
            tokio::task::spawn_blocking(move || lifecycle.settle(&marks)).await.map_err(crashed)??;
            ledger.forget_gone(&SourcePosition::read(&release.position)?.completed);
        }
        release.acted();
    }
}
