//! PostgreSQL tables as a source and as a sink.
//!
//! The source copies what is there and follows every change by logical replication. In the sink, a frame's rows
//! travel by binary `COPY`; rows and delivery checkpoint are committed in one transaction, so every row lands
//! exactly once. The modules follow the way of a row: configuration, connection, checkpoint, table, value, frame,
//! copy, write, sink, and the way back; `source` has its own.

mod server;
mod config;
mod tls;
mod client;
mod position;
mod table;
mod target;
mod numeric;
mod encode;
mod frame;
mod copy;
mod single;
mod write;
mod sink;
mod decode;
mod read_back;
mod source;
mod error;

pub use config::Config;
pub use sink::PostgresSink;
pub use source::{NumericMode, OnSlotLag, SnapshotMode, SourceConfig};

use towpath_adapter_api::{Adapter, AdapterError, Sink, SinkFactory, TableReader};

/// PostgreSQL tables as a source and as a sink.
pub fn adapter() -> Adapter {
    Adapter {
        kind: "postgres",
        source: Some(source::factory()),
        sink: Some(SinkFactory { config_schema, build, reader: Some(reader) }),
    }
}

/// Queries at a PostgreSQL server as a source.
pub fn query_adapter() -> Adapter {
    source::query_adapter()
}

fn config_schema() -> serde_json::Value {
    schemars::schema_for!(Config).to_value()
}

fn build(config: &serde_json::Value) -> Result<Box<dyn Sink>, AdapterError> {
    Ok(Box::new(PostgresSink::new(Config::read(config)?)))
}

fn reader(config: &serde_json::Value) -> Result<Box<dyn TableReader>, AdapterError> {
    Ok(Box::new(read_back::SinkReader::new(Config::read(config)?)))
}
