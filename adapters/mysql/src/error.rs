//! What can go wrong at a MySQL or MariaDB server, and what kind of failure each is to the agent.
//!
//! The server quotes row values in some of its messages; they are cut out of every one.

use std::path::PathBuf;

use mysql_async::{DriverError, Error, IoError, ServerError};
use towpath_adapter_api::{AdapterError, ErrorKind};

/// A failure at a server.
#[derive(Debug, thiserror::Error)]
pub(crate) enum MysqlError {
    /// The server or the way to it failed an operation.
    #[error("cannot {doing}")]
    Server { doing: String, source: Error },
    /// The server took no notice.
    #[error("the server does not answer within {seconds} s")]
    Silent { seconds: u64 },
    /// The authorities' file cannot be used.
    #[error("the authorities in {} cannot be used: {reason}; correct `tls.ca`", path.display())]
    Authority { path: PathBuf, reason: String },
    /// The configuration cannot work.
    #[error("{0}")]
    Config(#[from] AdapterError),
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
            _ => self.to_string(),
        };
        let kind = match &self {
            Self::Server { source: Error::Server(error), .. } => kind_of(error),
            Self::Server { .. } | Self::Silent { .. } => ErrorKind::Unavailable,
            Self::Authority { .. } => ErrorKind::Config,
            Self::Config(error) => error.kind,
        };
        AdapterError::new(kind, address, message).caused_by(self)
    }
}

/// The server's message with what mends it, or the cause of a failure on the way to it.
fn in_words(error: &Error) -> String {
    match error {
        Error::Server(error) => {
            let remedy = remedy(error.code).map(|remedy| format!("; {remedy}")).unwrap_or_default();
            format!("{} (error {}){remedy}", without_values(error), error.code)
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

/// What the server's error means to the agent.
fn kind_of(error: &ServerError) -> ErrorKind {
    match error.code {
        1044 | 1045 | 1142 | 1143 | 1227 | 1698 | 1820 | 1862 | 3118 => ErrorKind::Permission,
        1021 | 1114 => ErrorKind::NoSpace,
        1034 | 1035 | 1194 | 1195 | 1712 => ErrorKind::Corrupt,
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
    }
}
