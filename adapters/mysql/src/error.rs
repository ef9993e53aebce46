//! What can go wrong at a MySQL or MariaDB server, and what kind of failure each is to the agent.
//!
//! The server quotes row values in some of its messages; they are cut out of every one.

use std::path::PathBuf;

use mysql_async::{DriverError, Error, IoError, ServerError};
use mysql_common::proto::codec::error::PacketCodecError;
use towpath_adapter_api::{AdapterError, ErrorKind, RouteKey, Stopped};

/// A failure at a server.
#[derive(Debug, thiserror::Error)]
pub(crate) enum MysqlError {
    /// The server or the way to it failed an operation.
    #[error("cannot {doing}")]
    Server { doing: String, source: Error },
    /// The server took no notice.
    #[error("the server does not answer within {seconds} s")]
    Silent { seconds: u64 },
    /// A query gives nothing.
    #[error(
        "the query gives no row within {seconds} s; make it quicker, by an index on mark and key, or raise `timeout`"
    )]
    Slow { seconds: u64 },
    /// The authorities' file cannot be used.
    #[error("the authorities in {} cannot be used: {reason}; correct `tls.ca`", path.display())]
    Authority { path: PathBuf, reason: String },
    /// The configuration cannot work.
    #[error("{0}")]
    Config(#[from] AdapterError),
    /// The server may lose what it has committed.
    #[error(
        "innodb_flush_log_at_trx_commit is {setting}, so the server may lose its last commits in a crash, and rows \
         with them; set it to 1 there, or set `accept_lossy_commits: true`"
    )]
    Lossy { setting: u8 },
    /// Arrow could not show or read a value.
    #[error("rows cannot be {doing}")]
    Arrow { doing: &'static str, source: arrow_schema::ArrowError },
    /// The table or the configuration does not fit the stream.
    #[error("table {table}: {reason}")]
    Unfit { table: String, reason: String },
    /// A column was added where rows had been written, and MySQL ends a transaction for it.
    #[error(
        "table {table} was given the columns that it lacked, for which the rows since the last commit were rolled \
         back; they are written again"
    )]
    Extended { table: String },
    /// A row is longer than a statement may be.
    #[error(
        "the row takes {bytes} bytes, and the server takes statements of at most {limit}; raise max_allowed_packet there"
    )]
    TooLong { bytes: usize, limit: usize },
    /// A row leaves values as they are that the table does not have.
    #[error(
        "table {table} has no row with the key of one that leaves values as they are; copy the source again"
    )]
    NothingToKeep { table: String },
    /// A constraint refuses a row, and the route is to stop at it.
    #[error(
        "table {table}: {reason}. The route stops here, as `on_conflict` is `stop`; then apply the sink again"
    )]
    Conflict { table: String, reason: String },
    /// The checkpoint is not the one this instance read or wrote.
    #[error("the checkpoint of route {route} was changed by another writer; it will be read again")]
    Fenced { route: RouteKey },
    /// A call came before `open` or after an error.
    #[error("the sink is not open")]
    NotOpen,
    /// What the source needs at the server is not as it must be.
    #[error("{message}")]
    Unready { kind: ErrorKind, message: String },
    /// The binlog says what it cannot say.
    #[error("the binlog is damaged: {0}")]
    Damaged(&'static str),
    /// Nobody wants the rest of what is read.
    #[error(transparent)]
    Stopped(#[from] Stopped),
}

/// Why the server refuses a row for good.
pub(crate) enum RowRefusal {
    /// A constraint of the table.
    Constraint(String),
    /// A value that the table has no form for.
    Value(String),
}

impl MysqlError {
    /// Makes a server's failure into this one.
    pub(crate) fn server(doing: impl Into<String>) -> impl FnOnce(Error) -> Self {
        let doing = doing.into();
        move |source| Self::Server { doing, source }
    }

    /// The failure as the agent sees it, of the database at `address`.
    pub(crate) fn at(self, address: &str) -> AdapterError {
        let message = match &self {
            Self::Server { source, .. } => format!("{self}: {}", in_words(source)),
            Self::Arrow { source, .. } => format!("{self}: {source}"),
            _ => self.to_string(),
        };
        let kind = self.kind();
        AdapterError::new(kind, address, message).caused_by(self)
    }

    /// What kind of failure it is to the agent.
    pub(crate) fn kind(&self) -> ErrorKind {
        match self {
            Self::Server { source: Error::Server(error), .. } => kind_of(error),
            Self::Server { source, .. } if is_too_large(source) => ErrorKind::Config,
            Self::Server { .. }
            | Self::Silent { .. }
            | Self::Slow { .. }
            | Self::Extended { .. }
            | Self::Fenced { .. }
            | Self::NotOpen => ErrorKind::Unavailable,
            Self::Authority { .. }
            | Self::Lossy { .. }
            | Self::Arrow { .. }
            | Self::Unfit { .. }
            | Self::TooLong { .. }
            | Self::NothingToKeep { .. }
            | Self::Conflict { .. } => ErrorKind::Config,
            Self::Config(error) => error.kind,
            Self::Stopped(_) => ErrorKind::Stopped,
            Self::Unready { kind, .. } => *kind,
            Self::Damaged(_) => ErrorKind::Corrupt,
        }
    }

    /// What is wrong at the server, and what puts it right.
    pub(crate) fn unready(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self::Unready { kind, message: message.into() }
    }

    /// Why the server refuses rows for good, or `None` when the failure is not the rows'.
    pub(crate) fn refusal(&self) -> Option<RowRefusal> {
        let error = match self {
            Self::NothingToKeep { .. } | Self::TooLong { .. } => {
                return Some(RowRefusal::Value(self.to_string()));
            }
            Self::Server { source: Error::Server(error), .. } => error,
            _ => return None,
        };
        let reason = format!(
            "MySQL refuses the row: {}; correct it at its source or relax the table",
            without_values(error)
        );
        match error.code {
            // A check that fails; a column without a default; a trigger that raises an error.
            3819 | 4025 | 1364 | 1644 => Some(RowRefusal::Constraint(reason)),
            // Text that a column's character set or type has no form for.
            1300 | 1366 | 3140 | 3988 => Some(RowRefusal::Value(reason)),
            _ if error.state.starts_with("23") => Some(RowRefusal::Constraint(reason)),
            _ if error.state.starts_with("22") => Some(RowRefusal::Value(reason)),
            _ => None,
        }
    }
}

/// The server's message with what mends it, or the cause of a failure on the way to it.
fn in_words(error: &Error) -> String {
    match error {
        Error::Server(error) => {
            let remedy = remedy(error.code).map(|remedy| format!("; {remedy}")).unwrap_or_default();
            format!("{} (error {}){remedy}", without_values(error), error.code)
        }
        error if is_too_large(error) => {
            "the answer is longer than max_allowed_packet; raise it at the server".to_owned()
        }
        Error::Io(IoError::Io(error)) => error.to_string(),
        Error::Io(IoError::Tls(error)) => error.to_string(),
        Error::Driver(DriverError::NoClientSslFlagFromServer) => {
            "the server offers no TLS; set it up there, or set `tls.mode`".to_owned()
        }
        Error::Driver(error) => error.to_string(),
        Error::Url(error) => error.to_string(),
        Error::Other(error) => error.to_string(),
    }
}

/// What an admin does about some of the server's errors (MySQL Server Error Message Reference; MariaDB has the
/// same numbers where both have the error).
fn remedy(code: u16) -> Option<&'static str> {
    Some(match code {
        1040 | 1203 | 1226 => "raise the limit of connections, or close some",
        1045 | 1698 => "correct the user or the password",
        1044 | 1142 | 1143 | 1227 => "grant the user the right",
        1049 => "create the database, or correct its name",
        1071 => "lower `key_length`, or create the table yourself",
        1129 => "run FLUSH HOSTS at the server",
        1665 => "set binlog_format to ROW or MIXED at the server",
        1820 | 1862 => "set a new password",
        3098 | 3750 => "give the stream a key at its source, or create the table yourself with a primary key",
        _ => return None,
    })
}

/// Whether the server sent more at once than the connection takes.
pub(crate) fn is_too_large(error: &Error) -> bool {
    let Error::Io(IoError::Io(error)) = error else { return false };
    let cause = error.get_ref().and_then(|cause| cause.downcast_ref::<PacketCodecError>());
    matches!(cause, Some(PacketCodecError::PacketTooLarge))
}

/// What the server's error means to the agent.
fn kind_of(error: &ServerError) -> ErrorKind {
    match error.code {
        1044 | 1045 | 1142 | 1143 | 1227 | 1698 | 1820 | 1862 | 3118 => ErrorKind::Permission,
        1021 | 1114 => ErrorKind::NoSpace,
        1034 | 1035 | 1194 | 1195 | 1712 => ErrorKind::Corrupt,
        // An event that the server itself has no room for.
        1236 if error.message.contains("max_allowed_packet") => ErrorKind::Config,
        // The reader of the binlog asked for what is no longer there.
        1236 => ErrorKind::PositionLost,
        1665 | 3098 | 3750 => ErrorKind::Config,
        _ => match &error.state[..error.state.len().min(2)] {
            "28" => ErrorKind::Permission,
            "0A" | "21" | "22" | "23" | "42" => ErrorKind::Config,
            _ => ErrorKind::Unavailable,
        },
    }
}

/// The message without the row's values and without the row's number, which counts within a statement that
/// nobody sees.
pub(crate) fn without_values(error: &ServerError) -> String {
    let message = &*error.message;
    let message = message.rfind(" at row ").map_or(message, |at| &message[..at]);
    match error.code {
        1062 | 1586 => match message.rfind(" for key ") {
            Some(key) => format!("Duplicate entry{}", &message[key..]),
            None => "Duplicate entry".to_owned(),
        },
        _ => match (message.find(": '"), message.rfind('\'')) {
            (Some(open), Some(close)) if open + 3 <= close && error.code != 1644 => {
                // What stands behind the value names the column.
                let close = message.find("' for ").filter(|at| *at >= open).unwrap_or(close);
                format!("{}{}", &message[..open], &message[close + 1..])
            }
            _ => message.to_owned(),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(code: u16, message: &str) -> String {
        without_values(&ServerError { code, message: message.to_owned(), state: "HY000".to_owned() })
    }

    #[test]
    fn no_message_quotes_the_values_of_a_row() {
        assert_eq!(
            said(1062, "Duplicate entry 'a for key b' for key 'email'"),
            "Duplicate entry for key 'email'"
        );
        assert_eq!(
            said(1366, "Incorrect integer value: 'O'Neill' for column `erp`.`t`.`age` at row 7"),
            "Incorrect integer value for column `erp`.`t`.`age`"
        );
        assert_eq!(said(1292, "Truncated incorrect DOUBLE value: 'abc'"), "Truncated incorrect DOUBLE value");
        assert_eq!(said(1406, "Data too long for column 'note' at row 2"), "Data too long for column 'note'");
        assert_eq!(said(1644, "the trigger says: 'no'"), "the trigger says: 'no'");
    }

    #[test]
    fn a_failure_is_of_the_kind_that_its_number_says() {
        let kind = |code, state: &str| {
            kind_of(&ServerError { code, message: String::new(), state: state.to_owned() })
        };
        assert_eq!(kind(1045, "28000"), ErrorKind::Permission);
        assert_eq!(kind(1114, "HY000"), ErrorKind::NoSpace);
        assert_eq!(kind(1146, "42S02"), ErrorKind::Config);
        assert_eq!(kind(1213, "40001"), ErrorKind::Unavailable);
        assert_eq!(kind(1290, "HY000"), ErrorKind::Unavailable);
        assert_eq!(kind(1236, "HY000"), ErrorKind::PositionLost);
        let message = "log event entry exceeded max_allowed_packet; Increase max_allowed_packet on master";
        let (message, state) = (message.to_owned(), "HY000".to_owned());
        assert_eq!(kind_of(&ServerError { code: 1236, message, state }), ErrorKind::Config);
    }
}
