//! A file source that reads one small file.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::runtime::Builder;
use tokio_util::sync::CancellationToken;
use towpath_adapter_api::{MemoryCache, Precedence, Resume, Rows, SourceContext, SourceDriver};
use towpath_record::ResourceName;

/// What came out of a file.
#[derive(Debug, Default, PartialEq)]
pub struct Outcome {
    /// Rows, each as its columns' text.
    pub rows: Vec<Vec<String>>,
    /// The lines that were refused.
    pub refused: Vec<u64>,
}

/// Reads `bytes` as a file of this format, with batches of so many rows, until the source says that it is done.
///
/// # Panics
/// The source fails, or does not come to an end.
pub fn read(bytes: &[u8], format: &Value, batch_rows: usize) -> Outcome {
    let folder = tempfile::tempdir_in("/dev/shm").expect("/dev/shm can be written");
    std::fs::write(folder.path().join("input"), bytes).expect("the folder can be written");
    let config = json!({
        "path": folder.path(),
        "files": [{ "include": ["*"], "stream": "fuzz", "format": format, "max_bad_rows": 1_000_000,
                    "compression": "none" }],
        "ready": { "stable_for": "0ms" },
        "batch": { "rows": batch_rows },
        "after": "keep",
    });
    let factory = towpath_adapter_file::adapter().source.expect("files can be read");
    let source = (factory.build)(&config).expect("the configuration is valid");
    let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime can be had");
    runtime.block_on(async {
        let (output, releases, mut driver) = SourceDriver::channels(1);
        let stop = CancellationToken::new();
        let context = SourceContext {
            name: ResourceName::new("fuzz").expect("a valid name"),
            resume: Resume::default(),
            output,
            releases,
            cache: Arc::new(MemoryCache::default()),
            turn: Precedence::default().turn(ResourceName::new("fuzz").expect("a valid name")),
            stop: stop.clone(),
        };
        let run = tokio::spawn(source.run(context));
        let mut outcome = Outcome::default();
        loop {
            let next = tokio::time::timeout(Duration::from_secs(20), driver.emissions.recv()).await;
            let emission = next.expect("the source goes on").expect("the source does not fail");
            match emission.rows {
                Rows::Records { batch, .. } => outcome.rows.extend(texts(&batch)),
                Rows::DeadLetters(letters) => {
                    outcome.refused.extend(letters.iter().map(|letter| letter.line))
                }
                Rows::Progress => {}
            }
            // The mark of a file says that it is complete.
            if !emission.marks.is_empty() {
                break;
            }
        }
        stop.cancel();
        drop(driver);
        run.await.expect("the source does not panic").ok();
        outcome
    })
}

fn texts(batch: &arrow_array::RecordBatch) -> Vec<Vec<String>> {
    (0..batch.num_rows())
        .map(|row| batch.columns()[3..].iter().map(|column| format!("{:?}", column.slice(row, 1))).collect())
        .collect()
}
