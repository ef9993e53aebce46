//! PostgreSQL tables as a sink.
//!
//! A frame's rows travel by binary `COPY`; rows and delivery checkpoint are committed in one transaction, so
//! every row lands exactly once. The modules follow the way of a row: configuration, connection, checkpoint,
//! table, value, the plan of a batch, copy, sink.

mod config;
mod tls;
mod client;
mod position;
mod table;
mod numeric;
mod encode;
mod plan;
mod copy;
mod sink;
mod error;

pub use config::{Config, Mode, Secret, Tls, TlsMode};
pub use sink::PostgresSink;

use towpath_adapter_api::{Adapter, AdapterError, Sink, SinkFactory};

/// The registration of this adapter.
pub fn adapter() -> Adapter {
    Adapter { kind: "postgres", source: None, sink: Some(SinkFactory { config_schema, build }) }
}

fn config_schema() -> serde_json::Value {
    schemars::schema_for!(Config).to_value()
}

fn build(config: &serde_json::Value) -> Result<Box<dyn Sink>, AdapterError> {
    Ok(Box::new(PostgresSink::new(Config::read(config)?)))
}
