//! SQLite tables as a source and as a sink.
//!
//! The sink writes a frame's rows and the delivery checkpoint in one transaction of one database file, so every
//! row lands exactly once. Its modules follow the way of a row: configuration, connection, checkpoint, table,
//! value, sink. The source has a folder of its own.

mod config;
mod client;
mod position;
mod table;
mod encode;
mod sink;
mod source;
mod error;

pub use config::{Config, Mode};
pub use sink::SqliteSink;
pub use source::query::{QueryConnection, SqliteQueries};

use towpath_adapter_api::{Adapter, AdapterError, Sink, SinkFactory};

/// The registration of this adapter.
pub fn adapter() -> Adapter {
    Adapter {
        kind: "sqlite",
        source: Some(source::factory()),
        sink: Some(SinkFactory { config_schema, build, reader: None }),
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
