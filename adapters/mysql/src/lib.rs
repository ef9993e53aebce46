//! MySQL and MariaDB tables as a source and as a sink.
//!
//! In the sink, a frame's rows travel by `LOAD DATA LOCAL` or in long `INSERT`s; rows and delivery checkpoint are
//! committed in one transaction, so every row lands exactly once. The modules follow the way of a row: configuration,
//! connection, checkpoint, table, value, loading, the statements of a table, writing, sink; and back again in
//! `read_back`. `source` has its own.

mod server;
mod config;
mod tls;
mod client;
mod position;
mod table;
mod encode;
mod load;
mod target;
mod frame;
mod write;
mod sink;
mod read_back;
mod source;
mod error;

pub use config::Config;
pub use sink::MysqlSink;
pub use source::{Begin, CopyReads, OnLost, SnapshotMode, SourceConfig, TimeMode, ZeroDates};

use towpath_adapter_api::{Adapter, AdapterError, Sink, SinkFactory, TableReader};

/// MySQL and MariaDB tables as a source and as a sink.
pub fn adapter() -> Adapter {
    Adapter {
        kind: "mysql",
        source: Some(source::factory()),
        sink: Some(SinkFactory { config_schema, build, reader: Some(build_reader) }),
    }
}

/// Queries at a MySQL or MariaDB server as a source.
pub fn query_adapter() -> Adapter {
    source::query_adapter()
}

fn config_schema() -> serde_json::Value {
    schemars::schema_for!(Config).to_value()
}

fn build(config: &serde_json::Value) -> Result<Box<dyn Sink>, AdapterError> {
    Ok(Box::new(MysqlSink::new(Config::read(config)?)))
}

fn build_reader(config: &serde_json::Value) -> Result<Box<dyn TableReader>, AdapterError> {
    Ok(Box::new(read_back::SinkReader::new(Config::read(config)?)))
}
