//! Files as a sink.
//!
//! Rows go into *parts*: hidden files that become visible by a rename once they are large or old enough, and
//! that nobody writes afterwards. The modules follow the way of a row: configuration, partition, text, part,
//! and the session whose state file makes rows and checkpoint one atomic act.

mod config;
mod partition;
mod text;
mod part;
mod state;
mod session;
mod error;

use std::time::Instant;

use async_trait::async_trait;
use serde_json::Value;
use towpath_adapter_api::{
    AdapterError, Checkpoint, CommitReason, Delivery, Durability, Guarantee, Rejection, RouteKey, Sink,
    SinkFactory,
};

use config::FileSinkConfig;
use error::FileSinkError;
use session::Session;

/// How file sinks are made.
pub(crate) fn factory() -> SinkFactory {
    SinkFactory { config_schema: || schemars::schema_for!(FileSinkConfig).to_value(), build, reader: None }
}

fn build(config: &Value) -> Result<Box<dyn Sink>, AdapterError> {
    Ok(Box::new(FileSink { config: FileSinkConfig::read(config)?, session: None }))
}

/// Writes a route's rows into files of one folder.
struct FileSink {
    config: FileSinkConfig,
    /// Absent before `open`, after an error, and while a worker thread has it.
    session: Option<Session>,
}

impl FileSink {
    /// Works on the session in a thread that may block. The session is lost, and what it did not commit with
    /// it, when the work fails.
    async fn with_session<T: Send + 'static>(
        &mut self,
        work: impl FnOnce(&mut Session) -> Result<T, FileSinkError> + Send + 'static,
    ) -> Result<T, AdapterError> {
        let path = self.config.path.clone();
        let mut session = self.session.take().ok_or(FileSinkError::NotOpen { path: path.clone() })?;
        let worked =
            tokio::task::spawn_blocking(move || work(&mut session).map(|value| (value, session))).await;
        let (value, session) = worked.map_err(|source| FileSinkError::Worker { path, source })??;
        self.session = Some(session);
        Ok(value)
    }
}

#[async_trait]
impl Sink for FileSink {
    fn guarantee(&self) -> Guarantee {
        Guarantee::ExactlyOnce
    }

    async fn open(&mut self, route: &RouteKey) -> Result<Option<Checkpoint>, AdapterError> {
        let (config, route) = (self.config.clone(), *route);
        let opened = tokio::task::spawn_blocking(move || Session::open(config, route)).await;
        let path = self.config.path.clone();
        let session = opened.map_err(|source| FileSinkError::Worker { path, source })??;
        let checkpoint = session.checkpoint();
        self.session = Some(session);
        Ok(checkpoint)
    }

    async fn apply(&mut self, delivery: &Delivery) -> Result<Vec<Rejection>, AdapterError> {
        let delivery = delivery.clone();
        self.with_session(move |session| session.apply(&delivery)).await
    }

    async fn commit(
        &mut self,
        checkpoint: &Checkpoint,
        reason: CommitReason,
    ) -> Result<Durability, AdapterError> {
        let checkpoint = checkpoint.clone();
        self.with_session(move |session| session.commit(&checkpoint, reason)).await
    }

    fn commit_wanted_by(&self) -> Option<Instant> {
        self.session.as_ref().and_then(Session::roll_due)
    }
}
