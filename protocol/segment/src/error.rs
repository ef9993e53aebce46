//! What can go wrong, by operation. Each error names the file or directory; the cause is its source.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The file system refused an operation.
#[derive(Debug, Clone, thiserror::Error)]
#[error("cannot {action} `{}`", path.display())]
pub struct StorageFault {
    /// What was tried, as a verb phrase: `append to`, `open`.
    pub action: &'static str,
    /// The file or directory it was tried on.
    pub path: PathBuf,
    /// Why it was refused.
    #[source]
    pub cause: Arc<io::Error>,
}

impl StorageFault {
    pub(crate) fn new(action: &'static str, path: &Path, cause: io::Error) -> Self {
        Self { action, path: path.to_owned(), cause: Arc::new(cause) }
    }

    /// Whether the disk or a quota is full, which passes when space is freed.
    pub fn is_no_space(&self) -> bool {
        is_no_space(&self.cause)
    }
}

pub(crate) fn is_no_space(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

/// Gives an [`io::Result`] the name of what was tried and on what.
pub(crate) trait Blame<T> {
    fn blame(self, action: &'static str, path: &Path) -> Result<T, StorageFault>;
}

impl<T> Blame<T> for io::Result<T> {
    fn blame(self, action: &'static str, path: &Path) -> Result<T, StorageFault> {
        self.map_err(|cause| StorageFault::new(action, path, cause))
    }
}

/// Why a log could not be opened.
#[derive(Debug, Clone, thiserror::Error)]
pub enum OpenError {
    /// Another process (or another log of this one) holds the directory.
    #[error(
        "`{}` is in use by {}: stop it, or choose another directory",
        dir.display(),
        pid.map_or_else(|| "another process".to_owned(), |pid| format!("process {pid}"))
    )]
    Locked {
        /// The directory.
        dir: PathBuf,
        /// The holder, where it could be read.
        pid: Option<u32>,
    },
    /// A segment was written by a newer release.
    #[error(
        "`{}` has format version {found}, this release reads up to {}: install the newer release again",
        file.display(),
        crate::layout::VERSION
    )]
    Version {
        /// The segment.
        file: PathBuf,
        /// The version it carries.
        found: u32,
    },
    /// A journal holds a record that is not one of its own.
    #[error("record {index} of `{}` is not a journal's: a newer release wrote it, or it is another log", dir.display())]
    Foreign {
        /// The directory.
        dir: PathBuf,
        /// The record.
        index: u64,
    },
    /// The configuration contradicts the format.
    #[error("segment configuration for `{}` is not valid: {reason}", dir.display())]
    Config {
        /// The directory.
        dir: PathBuf,
        /// Which rule it breaks.
        reason: String,
    },
    /// The file system refused.
    #[error(transparent)]
    Storage(#[from] StorageFault),
}

/// Why a record was not appended, or not made durable.
#[derive(Debug, Clone, thiserror::Error)]
pub enum AppendError {
    /// The record is larger than the log takes.
    #[error("a record of {bytes} bytes exceeds the limit of {limit}")]
    TooLarge {
        /// Its size.
        bytes: usize,
        /// `Config::max_record_bytes`.
        limit: usize,
    },
    /// The disk is full. Nothing of the record is visible; try again when space returns.
    #[error("no space left for the log: free space, or raise the quota; it resumes by itself")]
    NoSpace(#[source] StorageFault),
    /// A write or sync failed, so what the disk holds is unknown. Nothing is acknowledged until the log is
    /// reopened, which goes back to what is known to be durable.
    #[error("the log stopped after a failed write and must be reopened: check the disk")]
    Poisoned(#[source] StorageFault),
    /// The file system refused something that leaves the log as usable as before, such as removing a segment.
    #[error(transparent)]
    Storage(#[from] StorageFault),
    /// The log is shutting down.
    #[error("the log is closed")]
    Closed,
}

/// A range of records that were acknowledged once and can no longer be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("records {from} to {} are lost: {}", to - 1, self.cause())]
pub struct LostRange {
    /// The first lost index.
    pub from: u64,
    /// The index after the last lost one.
    pub to: u64,
    /// The file that held them, or its neighbour where the file is gone.
    pub file: PathBuf,
    /// Where the damage begins in that file, where it is known.
    pub offset: Option<u64>,
    /// What is wrong there.
    pub reason: String,
}

impl LostRange {
    /// What is wrong, in which file and where.
    pub fn cause(&self) -> String {
        format!("{} (`{}`{})", self.reason, self.file.display(), at(self.offset))
    }
}

fn at(offset: Option<u64>) -> String {
    offset.map_or_else(String::new, |offset| format!(" at byte {offset}"))
}

/// Why a record could not be read.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ReadError {
    /// The record was trimmed away.
    #[error("record {wanted} was trimmed away, the oldest kept is {first}: resume from there")]
    Trimmed {
        /// The index asked for.
        wanted: u64,
        /// The oldest index kept.
        first: u64,
    },
    /// The record is damaged or gone. A reader that reports this once goes on behind the range.
    #[error(transparent)]
    Lost(#[from] LostRange),
    /// The file system refused.
    #[error(transparent)]
    Storage(#[from] StorageFault),
}
