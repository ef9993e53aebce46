//! MySQL and MariaDB tables as a source and as a sink.

mod server;
mod tls;
mod client;
mod error;

use towpath_adapter_api::Adapter;

/// MySQL and MariaDB tables as a source and as a sink.
pub fn adapter() -> Adapter {
    Adapter { kind: "mysql", source: None, sink: None }
}
