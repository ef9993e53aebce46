//! The laws that hold for every adapter.

use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use serde_json::{Value, json};
use tempfile::TempDir;
use towpath_adapter_api::Registry;
use towpath_adapter_conformance::{SourceSubject, SourceSystem, registry_suite, source_suite};
use towpath_adapter_file::adapter;

struct DropFolder;

struct Folder(TempDir);

#[async_trait]
impl SourceSubject for DropFolder {
    async fn fresh(&self) -> anyhow::Result<Box<dyn SourceSystem>> {
        let folder = tempfile::tempdir()?;
        for (name, content) in [
            ("orders.csv", "id,name\n1,a\n2,b\nx,c,d\n3,e\n4,f\n"),
            ("events.jsonl", "{\"at\":1}\n{\"at\":2}\n{\"at\":3,\"late\":true}\n"),
        ] {
            let path = folder.path().join(name);
            std::fs::write(&path, content)?;
            let modified = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000);
            std::fs::File::options().write(true).open(path)?.set_modified(modified)?;
        }
        Ok(Box::new(Folder(folder)))
    }
}

#[async_trait]
impl SourceSystem for Folder {
    fn config(&self) -> Value {
        json!({
            "path": self.0.path(),
            "ready": {"stable_for": "0s"},
            "batch": {"rows": 2},
            "files": [
                {"include": ["*.csv"], "stream": "orders", "format": "csv", "key": ["id"]},
                {"include": ["*.jsonl"], "stream": "events", "format": {"json_lines": {"infer_rows": 1}}},
            ],
        })
    }

    async fn state(&self) -> anyhow::Result<String> {
        let mut names = Vec::new();
        for entry in walkdir::WalkDir::new(self.0.path()).sort_by_file_name() {
            names.push(entry?.path().strip_prefix(self.0.path())?.display().to_string());
        }
        Ok(names.join("\n"))
    }

    fn quiet_after(&self) -> Duration {
        Duration::from_secs(1)
    }
}

#[tokio::test]
async fn the_laws_of_sources_hold() -> anyhow::Result<()> {
    source_suite(adapter().source.unwrap(), &DropFolder, &[]).await
}

#[test]
fn the_laws_of_registered_adapters_hold() -> anyhow::Result<()> {
    registry_suite(&Registry::new(vec![adapter()]))
}
