//! Resources as an admin would write them. JSON is YAML, so they are built as values.

use std::path::Path;

use serde_json::{Value, json};

use crate::data::Feed;

/// Documents that are applied together.
#[derive(Clone, Default, Debug)]
pub struct Documents(Vec<Value>);

impl Documents {
    /// No document yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a resource.
    #[must_use]
    pub fn with(mut self, kind: &str, name: &str, spec: &Value) -> Self {
        self.0.push(json!({
            "apiVersion": "towpath/v1", "kind": kind, "metadata": { "name": name }, "spec": spec,
        }));
        self
    }

    /// Adds a source of whole files that reads these feeds from a folder, quick enough for tests.
    #[must_use]
    pub fn with_file_source(self, name: &str, agent: &str, folder: &Path, feeds: &[Feed]) -> Self {
        self.with("Source", name, &file_source(agent, folder, feeds))
    }

    /// Adds a SQLite sink that keeps every row it is given.
    #[must_use]
    pub fn with_sqlite_sink(self, name: &str, agent: &str, database: &Path) -> Self {
        let config = json!({ "path": database, "mode": "append" });
        self.with("Sink", name, &json!({ "agent": agent, "adapter": "sqlite", "config": config }))
    }

    /// Adds a file sink whose files are finished soon.
    #[must_use]
    pub fn with_file_sink(self, name: &str, agent: &str, folder: &Path, format: &str) -> Self {
        let config =
            json!({ "path": folder, "format": format, "roll": { "bytes": "256KiB", "every": "1ms" } });
        self.with("Sink", name, &json!({ "agent": agent, "adapter": "file", "config": config }))
    }

    /// Adds a route of all streams of the feeds to a sink.
    #[must_use]
    pub fn with_route(self, name: &str, sink: &str) -> Self {
        let retry = json!({ "first": "50ms", "max": "1s" });
        let breaker = json!({ "failures": 20, "pause": "1s" });
        let spec = json!({
            "streams": ["erp.*"], "sink": sink, "from": "earliest", "retry": retry, "breaker": breaker,
        });
        self.with("Route", name, &spec)
    }

    /// The documents as one YAML text.
    pub fn to_yaml(&self) -> String {
        self.0.iter().map(|document| format!("---\n{document}\n")).collect()
    }
}

/// The spec of a source of whole files that reads these feeds from a folder.
pub fn file_source(agent: &str, folder: &Path, feeds: &[Feed]) -> Value {
    let rules: Vec<_> = feeds.iter().map(|feed| feed.file_rule()).collect();
    json!({
        "agent": agent,
        "adapter": "file",
        "config": {
            "path": folder,
            "files": rules,
            "ready": { "stable_for": "50ms" },
            "rescan": "300ms",
            "batch": { "rows": 100 },
        },
        "capture": { "linger": "5ms" },
    })
}
