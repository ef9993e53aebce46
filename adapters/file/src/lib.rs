//! Drop folders and log files as a source, files as a sink.

mod config;
mod os;
mod discover;
mod identity;
mod ledger;
mod read;
mod format;
mod table;
mod infer;
mod columns;
mod position;
mod mark;
mod emit;
mod whole;
mod tail;
mod lifecycle;
mod source;
mod sink;

use towpath_adapter_api::Adapter;

/// Drop folders and log files as a source, files as a sink.
pub fn adapter() -> Adapter {
    Adapter { kind: "file", source: Some(source::factory()), sink: Some(sink::factory()) }
}
