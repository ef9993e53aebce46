//! What an adapter can fail with, and what the agent does about it.

use std::error::Error;
use std::time::Duration;

/// A failure of an adapter.
#[derive(Debug, thiserror::Error)]
#[error("{resource}: {message}")]
pub struct AdapterError {
    /// What kind of failure it is.
    pub kind: ErrorKind,
    /// What failed: a path, a table, an address. Never a secret.
    pub resource: String,
    /// The cause in words, and the remedy where one is known.
    pub message: String,
    #[source]
    source: Option<Box<dyn Error + Send + Sync>>,
}

/// The kinds of failure.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ErrorKind {
    /// The configuration cannot work.
    Config,
    /// The system cannot be reached or is not ready.
    Unavailable,
    /// The system refuses this user.
    Permission,
    /// The disk or the system's storage is full.
    NoSpace,
    /// The system's data or this adapter's state is damaged.
    Corrupt,
    /// The position is no longer there to resume from.
    PositionLost,
    /// The run was stopped.
    Stopped,
}

/// What the agent does about a failure.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Reaction {
    /// Tries again after a pause that grows up to this limit.
    Retry {
        /// The longest pause.
        longest_pause: Duration,
    },
    /// Waits until an admin changes the resource.
    AwaitChange,
    /// Ends quietly.
    End,
}

impl ErrorKind {
    /// The reaction to this kind of failure, and the general remedy for it.
    pub const fn reaction(self) -> (Reaction, &'static str) {
        const MINUTE: Reaction = Reaction::Retry { longest_pause: Duration::from_secs(60) };
        const SOON: Reaction = Reaction::Retry { longest_pause: Duration::from_secs(10) };
        match self {
            Self::Config => (Reaction::AwaitChange, "correct the resource and apply it again"),
            Self::Unavailable => {
                (SOON, "check that the system runs and can be reached from the agent's machine")
            }
            Self::Permission => (MINUTE, "grant the agent's user the right that is named"),
            Self::NoSpace => (SOON, "free space; work resumes by itself"),
            Self::Corrupt => (MINUTE, "inspect the named item; what is damaged was set aside, not deleted"),
            Self::PositionLost => (Reaction::AwaitChange, "decide whether to start the source anew"),
            Self::Stopped => (Reaction::End, ""),
        }
    }
}

impl AdapterError {
    /// A failure without a deeper cause.
    pub fn new(kind: ErrorKind, resource: impl Into<String>, message: impl Into<String>) -> Self {
        Self { kind, resource: resource.into(), message: message.into(), source: None }
    }

    /// The same with the error that caused it.
    #[must_use]
    pub fn caused_by(mut self, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// A failure of a file operation, its kind taken from the operating system's answer.
    pub fn io(resource: impl Into<String>, doing: &str, error: std::io::Error) -> Self {
        use std::io::ErrorKind as Io;
        let kind = match error.kind() {
            Io::PermissionDenied | Io::ReadOnlyFilesystem => ErrorKind::Permission,
            Io::StorageFull | Io::QuotaExceeded => ErrorKind::NoSpace,
            Io::InvalidData => ErrorKind::Corrupt,
            _ => ErrorKind::Unavailable,
        };
        Self::new(kind, resource, format!("cannot {doing}: {error}")).caused_by(error)
    }
}

impl From<crate::source::Stopped> for AdapterError {
    fn from(stopped: crate::source::Stopped) -> Self {
        Self::new(ErrorKind::Stopped, "source", stopped.to_string())
    }
}
