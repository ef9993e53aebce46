//! What can go wrong at a folder of files.

use std::io;
use std::path::PathBuf;

use towpath_adapter_api::{AdapterError, ErrorKind, RouteKey};

/// A failure at a file sink.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FileSinkError {
    /// The file system refused or failed an operation.
    #[error("cannot {doing}")]
    Io { path: PathBuf, doing: &'static str, source: io::Error },
    /// Another instance writes for the same route.
    #[error("another instance writes for route {route}; it is waited for")]
    Busy { path: PathBuf, route: RouteKey },
    /// The state file cannot be understood.
    #[error(
        "the state of route {route} is damaged: {reason}; restore the file, or remove its folder to let the \
             route start over, after which rows land again"
    )]
    State { path: PathBuf, route: RouteKey, reason: String },
    /// A part that the state file names is not there, or is too short.
    #[error(
        "an unfinished file with {committed_bytes} committed bytes was {fate}; restore it, or remove its \
             folder to let the route start over, after which rows land again"
    )]
    PartLost { path: PathBuf, committed_bytes: u64, fate: &'static str },
    /// Rows could not be put into the file's format.
    #[error("rows of stream {stream} cannot be written")]
    Encode { path: PathBuf, stream: String, source: Box<dyn std::error::Error + Send + Sync> },
    /// A call came before `open` or after an error.
    #[error("the sink is not open")]
    NotOpen { path: PathBuf },
    /// The thread that wrote the files ended in a panic.
    #[error("the file worker failed; this is a defect, please report it")]
    Worker { path: PathBuf, source: tokio::task::JoinError },
}

impl FileSinkError {
    /// Makes an I/O error into this one.
    pub(crate) fn io(path: impl Into<PathBuf>, doing: &'static str) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { path, doing, source }
    }
}

impl From<FileSinkError> for AdapterError {
    fn from(error: FileSinkError) -> Self {
        use FileSinkError as E;
        let (kind, path) = match error {
            E::Io { path, doing, source } => return Self::io(path.display().to_string(), doing, source),
            E::Busy { ref path, .. } | E::NotOpen { ref path } | E::Worker { ref path, .. } => {
                (ErrorKind::Unavailable, path)
            }
            E::State { ref path, .. } | E::PartLost { ref path, .. } => (ErrorKind::Corrupt, path),
            E::Encode { ref path, .. } => (ErrorKind::Config, path),
        };
        Self::new(kind, path.display().to_string(), error.to_string()).caused_by(error)
    }
}
