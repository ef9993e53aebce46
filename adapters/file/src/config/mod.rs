//! What an admin says about a folder.

mod choice;
mod explain;
mod format;
mod rule;
mod validate;

use std::path::PathBuf;
use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;
use towpath_record::{ByteSize, TimeSpan};

pub(crate) use explain::parse;
pub(crate) use format::{CsvFormat, DeclaredColumn, Format, JsonLinesFormat};
pub(crate) use rule::{BadRowLimit, CompressionChoice, FileRule, OnError};

/// A folder whose files are read.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct FileSourceConfig {
    /// The folder to read. Required.
    #[schemars(with = "String")]
    pub(crate) path: PathBuf,
    /// Whether folders below `path` are read too. Default: false.
    #[serde(default)]
    pub(crate) recursive: bool,
    /// Whether files are complete when they are read (`whole`) or grow like logs (`tail`). Default: whole.
    #[serde(default)]
    pub(crate) mode: Mode,
    /// Which files belong to which stream, and how they are written. The first rule that matches a file counts; a
    /// file that none matches is left alone. Required.
    pub(crate) files: Vec<FileRule>,
    /// Globs of names that are never read, because their writers use them for unfinished work.
    /// Default: *.tmp, *.part, *.partial, *.swp, ~*, .*
    #[serde(default = "default_ignore")]
    pub(crate) ignore: Vec<String>,
    /// When a file counts as complete.
    #[serde(default)]
    pub(crate) ready: Ready,
    /// The order in which waiting files are read: by `name` or by modification `time`. Default: name.
    #[serde(default)]
    pub(crate) order: Order,
    /// What happens to a file once its rows are durable: `keep`, `delete`, or `archive: FOLDER`, a folder that is
    /// relative to `path` or absolute. Default: archive in `archive`.
    #[serde(default, deserialize_with = "choice::after")]
    pub(crate) after: After,
    /// Where files go that cannot be read, each with a `.reason` file; relative to `path` or absolute.
    /// Default: error
    #[serde(default = "default_error_folder")]
    #[schemars(with = "String")]
    pub(crate) error_folder: PathBuf,
    /// What happens to a file whose content was loaded before, under any name: `skip` or `load`. Default: skip.
    #[serde(default)]
    pub(crate) duplicate: DuplicatePolicy,
    /// How often the folder is listed even if nothing was reported to have changed, as network mounts report
    /// nothing. Default: 10s.
    #[serde(default = "default_rescan")]
    pub(crate) rescan: TimeSpan,
    /// How much is handed over at once.
    #[serde(default)]
    pub(crate) batch: Batch,
    /// Whether each row gets the columns `_file` (path below the folder) and `_line`. Default: false.
    #[serde(default)]
    pub(crate) provenance: bool,
}

/// How files come to be.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Mode {
    /// Files are complete when they are read, and read once.
    #[default]
    Whole,
    /// Files grow and are rotated.
    Tail,
}

/// When a file counts as complete.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Ready {
    /// How long size and modification time must have stayed the same. Default: 2s.
    #[serde(default = "default_stable_for")]
    pub(crate) stable_for: TimeSpan,
    /// What else must lie beside it. Default: nothing.
    #[serde(default)]
    pub(crate) done_marker: Option<DoneMarker>,
}

impl Default for Ready {
    fn default() -> Self {
        Self { stable_for: default_stable_for(), done_marker: None }
    }
}

/// A file by which the writer says that another one is complete.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum DoneMarker {
    /// A file of the same name with this suffix, such as `.done`.
    Suffix(String),
    /// A glob of files in the same folder that list complete files, each line a SHA-256 and a name as
    /// `sha256sum` writes them. A file whose content has another checksum goes to the error folder.
    Manifest(String),
}

/// The order in which files are read.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Order {
    /// By path.
    #[default]
    Name,
    /// By modification time, then path.
    Time,
}

/// What happens to a file once its rows are durable.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum After {
    /// It moves to this folder.
    Archive(#[schemars(with = "String")] PathBuf),
    /// It is deleted.
    Delete,
    /// It stays.
    Keep,
}

impl Default for After {
    fn default() -> Self {
        Self::Archive("archive".into())
    }
}

/// What happens to content that was loaded before.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum DuplicatePolicy {
    /// It is reported and not loaded.
    #[default]
    Skip,
    /// It is loaded again.
    Load,
}

/// How much is handed over at once.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Batch {
    /// Most rows. Default: 16384.
    #[serde(default = "default_batch_rows")]
    pub(crate) rows: usize,
    /// Most bytes of input. Default: 4MiB.
    #[serde(default = "default_batch_bytes")]
    pub(crate) bytes: ByteSize,
}

impl Default for Batch {
    fn default() -> Self {
        Self { rows: default_batch_rows(), bytes: default_batch_bytes() }
    }
}

impl FileSourceConfig {
    /// Whether a folder, given relative to `path` or absolute, is one that this source writes to.
    pub(crate) fn own_folders(&self) -> Vec<PathBuf> {
        let archive = match &self.after {
            After::Archive(folder) => Some(self.path.join(folder)),
            After::Delete | After::Keep => None,
        };
        archive.into_iter().chain([self.path.join(&self.error_folder)]).collect()
    }
}

fn default_ignore() -> Vec<String> {
    ["*.tmp", "*.part", "*.partial", "*.swp", "~*", ".*"].map(str::to_owned).to_vec()
}

fn default_error_folder() -> PathBuf {
    "error".into()
}

fn default_rescan() -> TimeSpan {
    TimeSpan(Duration::from_secs(10))
}

fn default_stable_for() -> TimeSpan {
    TimeSpan(Duration::from_secs(2))
}

fn default_batch_rows() -> usize {
    16_384
}

fn default_batch_bytes() -> ByteSize {
    ByteSize(4 << 20)
}
