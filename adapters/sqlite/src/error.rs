//! What can go wrong at a SQLite database, and what kind of failure each is to the agent.

use std::path::{Path, PathBuf};

use rusqlite::ErrorCode;
use towpath_adapter_api::{AdapterError, ErrorKind, RouteKey};

use crate::source::UnfitTable;

/// A failure at a database.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SqliteError {
    /// SQLite refused or failed an operation.
    #[error("cannot {doing}")]
    Database { path: PathBuf, doing: String, source: rusqlite::Error },
    /// A file operation beside SQLite failed.
    #[error("cannot {doing}")]
    Io { path: PathBuf, doing: &'static str, source: std::io::Error },
    /// The database does not keep a write-ahead log.
    #[error("the database stays in journal mode `{found}`, not `wal`; move it to a local file system")]
    NoWal { path: PathBuf, found: String },
    /// The checkpoint is not the one this instance read or wrote.
    #[error("the checkpoint of route {route} was changed by another writer; it will be read again")]
    Fenced { path: PathBuf, route: RouteKey },
    /// The table or the configuration does not fit the stream.
    #[error("{reason}")]
    Unfit { path: PathBuf, table: String, reason: String },
    /// A constraint refuses a row, and the route is to stop at it.
    #[error("{reason}. The route stops here, as `on_conflict` is `stop`; then apply the sink again")]
    Conflict { path: PathBuf, table: String, reason: String },
    /// Arrow could not show a value.
    #[error("rows cannot be encoded: {source}")]
    Encode { path: PathBuf, source: arrow_schema::ArrowError },
    /// The database is not the one whose changes were read.
    #[error(
        "the database is not as the source left it: {how}. If it was restored or replaced on purpose, set \
         `on_replaced: copy_again`; each stream is then emptied and filled again"
    )]
    Replaced { path: PathBuf, how: String },
    /// What Towpath keeps in the database cannot be read.
    #[error("{what}; remove what was installed, then start the source anew")]
    Damaged { path: PathBuf, what: String },
    /// A call came before `open` or after an error.
    #[error("the sink is not open")]
    NotOpen { path: PathBuf },
    /// The thread that spoke to the database ended in a panic.
    #[error("the database worker failed; this is a defect, please report it")]
    Worker { path: PathBuf, source: tokio::task::JoinError },
}

impl SqliteError {
    /// A table that cannot be read.
    pub(crate) fn unfit(path: &Path, unfit: UnfitTable) -> Self {
        Self::Unfit { path: path.to_owned(), table: unfit.table, reason: unfit.reason }
    }

    /// Whether another process holds a lock that it will give up by itself.
    pub(crate) fn is_busy(&self) -> bool {
        let Self::Database { source, .. } = self else { return false };
        matches!(source.sqlite_error_code(), Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked))
    }

    fn kind(&self) -> ErrorKind {
        match self {
            Self::Database { source, .. } => kind_of(source),
            Self::NoWal { .. } | Self::Unfit { .. } | Self::Conflict { .. } | Self::Encode { .. } => {
                ErrorKind::Config
            }
            Self::Replaced { .. } => ErrorKind::PositionLost,
            Self::Damaged { .. } => ErrorKind::Corrupt,
            Self::Io { .. } | Self::Fenced { .. } | Self::NotOpen { .. } | Self::Worker { .. } => {
                ErrorKind::Unavailable
            }
        }
    }

    fn resource(&self) -> String {
        match self {
            Self::Unfit { path, table, .. } | Self::Conflict { path, table, .. } => {
                format!("table {table:?} of {}", path.display())
            }
            Self::Database { path, .. }
            | Self::Io { path, .. }
            | Self::NoWal { path, .. }
            | Self::Fenced { path, .. }
            | Self::Encode { path, .. }
            | Self::Replaced { path, .. }
            | Self::Damaged { path, .. }
            | Self::NotOpen { path }
            | Self::Worker { path, .. } => path.display().to_string(),
        }
    }
}

impl From<SqliteError> for AdapterError {
    fn from(error: SqliteError) -> Self {
        match error {
            SqliteError::Io { path, doing, source } => Self::io(path.display().to_string(), doing, source),
            SqliteError::Database { ref source, .. } => {
                let message = format!("{error}: {source}");
                Self::new(error.kind(), error.resource(), message).caused_by(error)
            }
            other => Self::new(other.kind(), other.resource(), other.to_string()).caused_by(other),
        }
    }
}

/// What SQLite's result code means to the agent. A code that speaks of the statement rather than of the
/// system (no such table, no such column, a trigger's refusal) waits for an admin.
fn kind_of(error: &rusqlite::Error) -> ErrorKind {
    use ErrorCode as Code;
    match error.sqlite_error_code() {
        Some(Code::DiskFull) => ErrorKind::NoSpace,
        Some(Code::PermissionDenied | Code::ReadOnly | Code::AuthorizationForStatementDenied) => {
            ErrorKind::Permission
        }
        Some(Code::DatabaseCorrupt | Code::NotADatabase) => ErrorKind::Corrupt,
        Some(
            Code::DatabaseBusy
            | Code::DatabaseLocked
            | Code::FileLockingProtocolFailed
            | Code::SystemIoFailure
            | Code::CannotOpen
            | Code::OutOfMemory
            | Code::SchemaChanged
            | Code::OperationInterrupted,
        ) => ErrorKind::Unavailable,
        _ => ErrorKind::Config,
    }
}

/// Why a row is refused for good.
pub(crate) enum RowRefusal {
    /// A constraint of the table.
    Constraint(String),
    /// A value that the table has no form for.
    Value(String),
}

/// Why SQLite refuses a row for good, or `None` when the failure is not the row's.
pub(crate) fn refusal(error: &rusqlite::Error) -> Option<RowRefusal> {
    use ErrorCode as Code;
    let reason = |remedy| format!("SQLite refuses the row: {error}; {remedy}");
    Some(match error.sqlite_error_code()? {
        // A trigger that raises is a constraint in the words of the table's owner.
        Code::ConstraintViolation => {
            RowRefusal::Constraint(reason("correct the row at its source or relax the table's constraint"))
        }
        Code::TypeMismatch => {
            RowRefusal::Value(reason("correct the value at its source or change the column's type"))
        }
        Code::TooBig => RowRefusal::Value(reason("SQLite holds at most 1 GB in one row")),
        _ => return None,
    })
}
