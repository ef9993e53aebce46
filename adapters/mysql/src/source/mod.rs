//! MySQL and MariaDB tables as a source: a copy of what is there, and every change in the order of the binlog.
//!
//! The modules follow the way of a row: configuration, position, what the server knows, the connection that changes
//! come by, its events, the values in them, tables, and what gathers rows into emissions; then the following itself and
//! the copy that is woven into it.

mod config;
mod gtid;
mod position;
mod time;
mod decimal;
mod charset;
mod kind;
mod cell;
mod bytes;
mod json;
mod map;
mod raw;
mod table;
mod describe;
mod catalog;
mod key;
mod ddl;
mod event;
mod stream;
mod outbox;
mod follow;
mod large;
mod define;
mod range;
mod copy;
mod reader;
mod check;
mod query;

use std::time::{SystemTime, UNIX_EPOCH};

use async_trait::async_trait;
use serde_json::Value;
use towpath_adapter_api::{AdapterError, ErrorKind, Output, Releases, Source, SourceContext, SourceFactory};
use towpath_record::{ResourceName, StreamName};

pub(crate) use query::adapter as query_adapter;

pub use config::{Begin, CopyReads, OnLost, SnapshotMode, SourceConfig, TimeMode, ZeroDates};

use crate::error::MysqlError;
use catalog::Catalog;
use config::Wanted;
use follow::Follower;
use outbox::Outbox;
use position::{Copying, Place, SourcePosition};
use stream::Stream;

/// Where the first event of a file is.
const FIRST_OFFSET: u64 = 4;

/// How tables are read.
pub(crate) fn factory() -> SourceFactory {
    SourceFactory { config_schema, build, check: Some(check::check), reader: Some(reader::reader) }
}

fn config_schema() -> Value {
    schemars::schema_for!(SourceConfig).to_value()
}

fn build(config: &Value) -> Result<Box<dyn Source>, AdapterError> {
    Ok(Box::new(MysqlSource { config: SourceConfig::read(config)? }))
}

/// A server that is read.
struct MysqlSource {
    config: SourceConfig,
}

#[async_trait]
impl Source for MysqlSource {
    async fn run(self: Box<Self>, context: SourceContext) -> Result<(), AdapterError> {
        let SourceContext { name, resume, output, releases, stop, .. } = context;
        let position = SourcePosition::read(&resume.position)?;
        let address = self.config.server().address();
        tokio::select! {
            () = stop.cancelled() => Ok(()),
            read = Box::pin(read(&self.config, &name, position, output)) => {
                read.map_err(|error| error.at(&address))
            }
            () = settle(releases) => Ok(()),
        }
    }
}

/// The server removes its binlog by its own rules, whatever was read of it; there is nothing to release.
async fn settle(mut releases: Releases) {
    while let Some(release) = releases.next().await {
        release.acted();
    }
}

/// Follows from a position, and from a new beginning where that is lost and the configuration allows it.
async fn read(
    config: &SourceConfig,
    name: &ResourceName,
    position: Option<SourcePosition>,
    output: Output,
) -> Result<(), MysqlError> {
    let mut position = position;
    let mut anew = false;
    loop {
        match follow(config, name, position, anew, output.clone()).await {
            Err(error) if error.kind() == ErrorKind::PositionLost && config.on_lost == OnLost::Resync => {
                tracing::warn!(source = %name, %error, "the tables are copied again, as `on_lost` says");
                (position, anew) = (None, true);
            }
            ended => return ended,
        }
    }
}

async fn follow(
    config: &SourceConfig,
    name: &ResourceName,
    position: Option<SourcePosition>,
    anew: bool,
    output: Output,
) -> Result<(), MysqlError> {
    let wanted = Wanted::new(config)?;
    let mut catalog = Catalog::open(config).await?;
    let position = match position {
        Some(position) => position,
        None => beginning(config, &mut catalog, anew).await?,
    };
    let progress =
        StreamName::new(name.as_str()).map_err(|_| MysqlError::Damaged("the source has no name"))?;
    let stream = Stream::open(config, name, &mut catalog, &position).await?;
    let outbox = Outbox::new(output, progress, config, position);
    Follower::new(catalog, config, &wanted, outbox, stream).run().await
}

/// Where a source begins that has no position.
async fn beginning(
    config: &SourceConfig,
    catalog: &mut Catalog,
    anew: bool,
) -> Result<SourcePosition, MysqlError> {
    let end = catalog.end().await?;
    let server = catalog.server.clone();
    let copies = anew || config.snapshot == SnapshotMode::Initial;
    if !copies && config.begin == Begin::Oldest {
        let oldest = catalog.files().await?.into_iter().next();
        let (file, _) = oldest.ok_or(MysqlError::Damaged("the server names no binlog file"))?;
        let place = Place::new(&file, FIRST_OFFSET);
        return Ok(SourcePosition { place, server, ..SourcePosition::default() });
    }
    let copy = copies.then(|| Copying { every: true, anew, ..Copying::default() });
    Ok(SourcePosition { place: end.place, gtids: end.gtids, server, copy, ..SourcePosition::default() })
}

/// The agent's clock, in microseconds since 1970-01-01 UTC.
pub(crate) fn now_us() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_micros()).unwrap_or(i64::MAX)
}
