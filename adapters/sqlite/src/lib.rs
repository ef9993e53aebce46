//! SQLite tables as a source and as a sink.
//!
//! The sink writes a frame's rows and the delivery checkpoint in one transaction of one database file, so every
//! row lands exactly once. Its modules follow the way of a row: configuration, connection, checkpoint, table,
//! value, write, sink, and the way back. The source has a folder of its own.

mod config;
mod client;
mod position;
mod table;
mod target;
mod encode;
mod write;
mod sink;
mod decode;
mod read_back;
mod source;
mod error;

pub use config::Config;
pub use sink::SqliteSink;
pub use source::query::{QueryConnection, SqliteQueries};

use towpath_adapter_api::{Adapter, AdapterError, Sink, SinkFactory, TableReader};

/// The registration of this adapter.
pub fn adapter() -> Adapter {
    Adapter {
        kind: "sqlite",
        source: Some(source::factory()),
        sink: Some(SinkFactory { config_schema, build, reader: Some(reader) }),
    }
}

/// The registration of its queries.
pub fn query_adapter() -> Adapter {
    source::query::adapter()
}

fn config_schema() -> serde_json::Value {
    schemars::schema_for!(Config).to_value()
}

fn build(config: &serde_json::Value) -> Result<Box<dyn Sink>, AdapterError> {
    Ok(Box::new(SqliteSink::new(Config::read(config)?)))
}

fn reader(config: &serde_json::Value) -> Result<Box<dyn TableReader>, AdapterError> {
    Ok(Box::new(read_back::SinkReader::new(Config::read(config)?)))
}
