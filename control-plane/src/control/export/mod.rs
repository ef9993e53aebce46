//! Copies the audit trail to where audit exports say: every event at least once, in order, from where it stopped.
//!
//! How far each copy has come is kept in a file beside the data, replaced after each part that the target took. A part
//! that a target did not take is tried again, with growing pauses, until it does; nothing behind it is sent before.

mod cursor;
mod file;
mod syslog;
mod webhook;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use towpath_catalog::{Catalog, Exported, Mark};
use towpath_resource::api::ExportStatus;
use towpath_resource::{AuditExportId, AuditExportSpec, ExportTarget, Resource};

use crate::control::secret::SecretError;
use crate::egress::{Egress, EgressError};
use cursor::Cursor;
use file::FileTarget;
use reqwest::StatusCode;
use syslog::SyslogTarget;
use webhook::WebhookTarget;

/// Most events of one part.
const PART: usize = 500;

/// How long to wait after the first failure, and at the most.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// A checkpoint changes nothing that would wake a copy; it is looked for from time to time.
const LOOK_EVERY: Duration = Duration::from_secs(30);

/// How each copy goes.
#[derive(Clone, Debug, Default)]
pub struct Exports(Arc<Mutex<BTreeMap<AuditExportId, ExportStatus>>>);

impl Exports {
    /// How this copy goes; nothing before it began.
    pub fn status(&self, id: AuditExportId) -> Option<ExportStatus> {
        self.0.lock().get(&id).cloned()
    }

    fn note(&self, id: AuditExportId, status: ExportStatus) {
        self.0.lock().insert(id, status);
    }

    fn forget(&self, id: AuditExportId) {
        self.0.lock().remove(&id);
    }
}

/// Why a target did not take something.
#[derive(Debug, thiserror::Error)]
enum SendError {
    #[error("{doing} {what} failed: {source}")]
    Io { doing: &'static str, what: String, source: std::io::Error },
    #[error("{0} is not a name or address that TLS can check")]
    Name(String),
    #[error("{0} bytes do not go into a datagram; choose transport tcp or tls")]
    TooLong(usize),
    #[error(transparent)]
    Egress(#[from] EgressError),
    #[error("{url} answers {status}, so it did not take the events; see what it says of them")]
    NotTaken { url: String, status: StatusCode },
    #[error("{url} answers with a redirect, which is not followed; write the address that takes the events")]
    Redirected { url: String },
    #[error(transparent)]
    Secret(#[from] SecretError),
    #[error("the secret begins with `whsec_` and is not Base64 behind it; write it as the receiver shows it")]
    SecretForm,
    #[error(
        "the secret has fewer than {0} bytes; make one that nobody can guess, such as of `openssl rand -hex 32`"
    )]
    SecretShort(usize),
}

/// What copies go by.
#[derive(Clone)]
pub(crate) struct Ways {
    /// The directory of the files, and of how far each copy has come.
    pub(crate) dir: PathBuf,
    /// The way out to webhooks.
    pub(crate) egress: Arc<Egress>,
}

/// Keeps every audit export going that the catalog has, until `stop`.
pub(crate) async fn run(catalog: Arc<Catalog>, ways: Ways, exports: Exports, stop: CancellationToken) {
    let mut states = catalog.subscribe();
    let mut running: BTreeMap<AuditExportId, (AuditExportSpec, JoinHandle<()>)> = BTreeMap::new();
    loop {
        let state = states.borrow_and_update().clone();
        let wanted = |id: &AuditExportId| state.audit_exports.by_id(*id).filter(|export| !export.spec.paused);
        let ended: Vec<_> = running
            .iter()
            .filter(|(id, (spec, _))| wanted(id).is_none_or(|export| export.spec != *spec))
            .map(|(id, _)| *id)
            .collect();
        for id in ended {
            if let Some((_, task)) = running.remove(&id) {
                // One at a time, or the order would be lost.
                task.abort();
                drop(task.await);
            }
            exports.forget(id);
        }
        for export in state.audit_exports.values().filter(|export| !export.spec.paused) {
            running.entry(export.id).or_insert_with(|| {
                let copy = Copy::new(export, catalog.clone(), ways.clone(), exports.clone());
                (export.spec.clone(), tokio::spawn(copy.run()))
            });
        }
        tokio::select! {
            () = stop.cancelled() => break,
            changed = states.changed() => if changed.is_err() { break },
        }
    }
    for (_, task) in running.into_values() {
        task.abort();
        drop(task.await);
    }
}

/// One copy under way.
struct Copy {
    export: Resource<AuditExportSpec>,
    catalog: Arc<Catalog>,
    ways: Ways,
    exports: Exports,
    trouble: Option<String>,
}

/// Where it goes.
enum Target {
    File(FileTarget),
    Syslog(Box<SyslogTarget>),
    Webhook(WebhookTarget),
}

impl Target {
    fn of(target: &ExportTarget, ways: &Ways) -> Self {
        match target {
            ExportTarget::File { name } => Self::File(FileTarget::new(&ways.dir, name)),
            ExportTarget::Syslog { address, transport } => {
                Self::Syslog(Box::new(SyslogTarget::new(address.clone(), *transport)))
            }
            ExportTarget::Webhook { url, secret } => {
                Self::Webhook(WebhookTarget::new(ways.egress.clone(), url.clone(), secret.clone()))
            }
        }
    }

    async fn send(&mut self, lines: &[String]) -> Result<(), SendError> {
        match self {
            Self::File(file) => file.append(lines).await,
            Self::Syslog(syslog) => syslog.send(lines).await,
            Self::Webhook(webhook) => webhook.send(lines).await,
        }
    }
}

impl Copy {
    fn new(export: &Resource<AuditExportSpec>, catalog: Arc<Catalog>, ways: Ways, exports: Exports) -> Self {
        Self { export: export.clone(), catalog, ways, exports, trouble: None }
    }

    async fn run(mut self) {
        let mut pause = FIRST_PAUSE;
        loop {
            match self.follow(&mut pause).await {
                Ok(never) => match never {},
                Err(why) => self.pause(&mut pause, &why.to_string()).await,
            }
        }
    }

    /// Sends what there is and what comes. Ends only with a failure, and is begun anew with what is durable.
    async fn follow(&mut self, pause: &mut Duration) -> Result<std::convert::Infallible, anyhow::Error> {
        let cursor = Cursor::new(&self.ways.dir, self.export.id);
        let mut mark = cursor.read()?;
        let mut target = Target::of(&self.export.spec.target, &self.ways);
        let mut states = self.catalog.subscribe();
        loop {
            states.borrow_and_update();
            let part = self.part(mark).await?;
            if part.lines.is_empty() {
                self.note(mark);
                tokio::select! {
                    _ = states.changed() => {}
                    () = tokio::time::sleep(LOOK_EVERY) => {}
                }
                continue;
            }
            target.send(&part.lines).await?;
            mark = part.mark;
            cursor.write(mark)?;
            *pause = FIRST_PAUSE;
            if self.trouble.take().is_some() {
                tracing::info!(export = %self.export.name(), "the copy of the audit trail goes on");
            }
            self.note(mark);
        }
    }

    async fn part(&self, mark: Mark) -> Result<Exported, anyhow::Error> {
        let catalog = self.catalog.clone();
        Ok(tokio::task::spawn_blocking(move || catalog.export(mark, PART)).await??)
    }

    async fn pause(&mut self, pause: &mut Duration, why: &str) {
        if self.trouble.is_none() {
            tracing::warn!(export = %self.export.name(), %why, "the copy of the audit trail waits; it is tried again");
        }
        self.trouble = Some(why.to_owned());
        let sent = Cursor::new(&self.ways.dir, self.export.id).read().unwrap_or_default();
        self.note(sent);
        tokio::time::sleep(*pause).await;
        *pause = (*pause * 2).min(LONGEST_PAUSE);
    }

    fn note(&self, mark: Mark) {
        let behind = self.catalog.state().seq.saturating_sub(mark.event);
        let status = ExportStatus { sent: mark.event, behind, trouble: self.trouble.clone() };
        self.exports.note(self.export.id, status);
    }
}

#[cfg(test)]
mod tests;
