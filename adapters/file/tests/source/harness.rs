//! An agent's core in small: keeps what became durable, and starts the source again from there.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use arrow_array::cast::AsArray;
use arrow_array::types::TimestampMicrosecondType;
use arrow_array::{ArrayRef, RecordBatch};
use serde_json::{Value, json};
use tempfile::TempDir;
use towpath_adapter_api::{Emission, MemoryCache, Resume, Rows};
use towpath_adapter_conformance::{SourceRun, SourceStart};
use towpath_adapter_file::adapter;
use towpath_record::dead_letter::DeadLetter;
use towpath_record::{Mark, Position};

/// Longer than anything here takes, so that what is waited for in vain fails the test.
const PATIENCE: Duration = Duration::from_secs(60);
/// Longer than a source needs to notice something.
const QUIET: Duration = Duration::from_millis(400);

/// The durable side of an agent.
pub(crate) struct Agent {
    pub(crate) folder: TempDir,
    pub(crate) config: Value,
    pub(crate) cache: Arc<MemoryCache>,
    /// What became durable, in order.
    pub(crate) durable: Vec<Emission>,
    /// How much of it was released.
    pub(crate) released: usize,
    /// Whether the cache was lost and the marks must be told.
    pub(crate) rebuild: bool,
}

impl Agent {
    /// An agent whose source reads an empty folder by one rule for all files.
    pub(crate) fn new(rule: Value, settings: Value) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut files = json!({"include": ["*"], "stream": "test"});
        merge(&mut files, rule);
        let mut config = json!({
            "path": folder.path().join("in"),
            "ready": {"stable_for": "0s"},
            "rescan": "100ms",
            "files": [files],
        });
        merge(&mut config, settings);
        std::fs::create_dir(folder.path().join("in")).unwrap();
        let cache = Arc::new(MemoryCache::default());
        Self { folder, config, cache, durable: Vec::new(), released: 0, rebuild: false }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join("in").join(name)
    }

    /// Puts a file into the folder, complete at once.
    pub(crate) fn drop_file(&self, name: &str, content: impl AsRef<[u8]>) {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        let unfinished = self.folder.path().join("unfinished");
        std::fs::write(&unfinished, content).unwrap();
        std::fs::rename(unfinished, path).unwrap();
    }

    /// Files below the folder, sorted.
    pub(crate) fn files(&self) -> Vec<String> {
        let root = self.path("");
        let walk = walkdir::WalkDir::new(&root).sort_by_file_name().into_iter().map(Result::unwrap);
        let files = walk.filter(|entry| entry.file_type().is_file());
        files.map(|entry| entry.path().strip_prefix(&root).unwrap().display().to_string()).collect()
    }

    /// Starts the source from the last durable position.
    pub(crate) fn start(&mut self) -> SourceRun {
        let source = (adapter().source.unwrap().build)(&self.config).unwrap();
        let rebuild = std::mem::take(&mut self.rebuild).then(|| self.marks());
        let resume = Resume { position: self.position(), rebuild };
        SourceStart { name: "test", resume, cache: self.cache.clone(), ..SourceStart::default() }.run(source)
    }

    pub(crate) fn position(&self) -> Position {
        self.durable.last().map_or_else(Position::default, |emission| emission.position.clone())
    }

    /// Runs the source until `enough` is durable, then kills it.
    pub(crate) async fn run_until(&mut self, enough: impl Fn(&Self) -> bool) {
        let mut run = self.start();
        while !enough(self) {
            self.receive(&mut run).await;
        }
        run.stop().await.unwrap();
    }

    /// Runs the source, releasing everything as it becomes durable, until `enough`.
    pub(crate) async fn run_releasing_until(&mut self, enough: impl Fn(&Self) -> bool) {
        let mut run = self.start();
        self.release(&run).await;
        while !enough(self) {
            self.receive(&mut run).await;
            self.release(&run).await;
        }
        run.stop().await.unwrap();
    }

    /// Makes the next emission durable.
    pub(crate) async fn receive(&mut self, run: &mut SourceRun) {
        let emission = run.expect().await.unwrap();
        assert!(emission.position.0.len() <= towpath_record::limits::MAX_POSITION_BYTES);
        self.durable.push(emission);
    }

    /// Whether the source emits nothing for a while.
    pub(crate) async fn is_quiet(&mut self, run: &mut SourceRun) -> bool {
        let emission = run.next(QUIET).await.unwrap();
        let is_quiet = emission.is_none();
        self.durable.extend(emission);
        is_quiet
    }

    /// Releases what is durable and was not released yet.
    pub(crate) async fn release(&mut self, run: &SourceRun) {
        for emission in &self.durable[self.released..] {
            run.release(&emission.position, &emission.marks).await.unwrap();
        }
        self.released = self.durable.len();
    }

    /// The rows that are durable, as JSON.
    pub(crate) fn rows(&self) -> Vec<Value> {
        let batches = self.durable.iter().filter_map(|emission| match &emission.rows {
            Rows::Records { batch, .. } => Some(batch),
            _ => None,
        });
        batches.flat_map(rows_of).collect()
    }

    /// The dead letters that are durable.
    pub(crate) fn letters(&self) -> Vec<DeadLetter> {
        let letters = self.durable.iter().filter_map(|emission| match &emission.rows {
            Rows::DeadLetters(letters) => Some(letters.clone()),
            _ => None,
        });
        letters.flatten().collect()
    }

    /// How many files are durably done with.
    pub(crate) fn files_done(&self) -> usize {
        self.marks().len()
    }

    pub(crate) fn marks(&self) -> Vec<Mark> {
        self.durable.iter().flat_map(|emission| emission.marks.clone()).collect()
    }
}

/// Waits until something holds.
pub(crate) async fn eventually(what: &str, holds: impl Fn() -> bool) {
    let begin = std::time::Instant::now();
    while !holds() {
        assert!(begin.elapsed() < PATIENCE, "waited in vain for: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// The rows of a batch as JSON, without the reserved columns.
pub(crate) fn rows_of(batch: &RecordBatch) -> Vec<Value> {
    let columns: Vec<usize> = (3..batch.num_columns()).collect();
    let batch = with_offsets(&batch.project(&columns).unwrap());
    let mut writer = arrow_json::LineDelimitedWriter::new(Vec::new());
    writer.write(&batch).unwrap();
    writer.finish().unwrap();
    let text = String::from_utf8(writer.into_inner()).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// The batch with `+00:00` for UTC, which the JSON writer knows without a database of zones.
fn with_offsets(batch: &RecordBatch) -> RecordBatch {
    let named = |column: &ArrayRef| match column.as_primitive_opt::<TimestampMicrosecondType>() {
        Some(times) if times.timezone().is_some() => {
            Arc::new(times.clone().with_timezone("+00:00")) as ArrayRef
        }
        _ => column.clone(),
    };
    let schema = batch.schema();
    let names = schema.fields().iter().map(|field| field.name());
    RecordBatch::try_from_iter(names.zip(batch.columns().iter().map(named))).unwrap()
}

pub(crate) fn merge(into: &mut Value, from: Value) {
    let Value::Object(from) = from else { panic!("settings are objects") };
    into.as_object_mut().unwrap().extend(from);
}

pub(crate) fn gzip(content: &[u8]) -> Vec<u8> {
    use std::io::Write;
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(content).unwrap();
    encoder.finish().unwrap()
}

pub(crate) fn zstd(content: &[u8]) -> Vec<u8> {
    zstd::encode_all(content, 1).unwrap()
}

pub(crate) fn exists(path: &Path) -> bool {
    std::fs::symlink_metadata(path).is_ok()
}
