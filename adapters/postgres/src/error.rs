//! What can go wrong at a PostgreSQL server, and what kind of failure each is to the agent.
//!
//! A server's `DETAIL` quotes row values, so it is left out of every message.

use std::error::Error;
use std::fmt;
use std::path::PathBuf;

use towpath_adapter_api::{AdapterError, ErrorKind, RouteKey};

/// A failure at a server.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PostgresError {
    /// The server or the way to it failed an operation.
    #[error("cannot {doing}")]
    Server { doing: String, source: tokio_postgres::Error },
    /// The way to the server failed in replication mode.
    #[error("cannot {doing}")]
    Wire { doing: String, source: std::io::Error },
    /// The server refuses in replication mode.
    #[error("{0}")]
    Refused(Refusal),
    /// What the source needs at the server is not as it must be.
    #[error("{message}")]
    Unready { kind: ErrorKind, message: String },
    /// The stream of changes says what it cannot say.
    #[error("the stream of changes is damaged: {0}")]
    Damaged(&'static str),
    /// TLS cannot be set up.
    #[error("TLS cannot be set up")]
    Tls(#[source] rustls::Error),
    /// The authorities' file cannot be used.
    #[error("the authorities in {} cannot be used: {reason}; correct `tls.ca`", path.display())]
    Authority { path: PathBuf, reason: String },
    /// The certificate or the key that shall prove who connects cannot be used.
    #[error("{} cannot be used: {reason}; correct `tls.certificate` and `tls.key`", path.display())]
    Certificate { path: PathBuf, reason: String },
    /// The configuration cannot work.
    #[error("{0}")]
    Config(#[from] AdapterError),
    /// Arrow could not show a value.
    #[error("rows cannot be encoded")]
    Encode(#[source] arrow_schema::ArrowError),
    /// The table or the configuration does not fit the stream.
    #[error("table {table}: {reason}")]
    Unfit { table: String, reason: String },
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
    /// A table that is read back holds what the stream does not.
    #[error(
        "table {table}: column {column:?} holds a value that is not of the stream's type: {reason}; the table \
         has changed, or was written by others"
    )]
    Misfit { table: String, column: String, reason: String },
    /// Nobody wants the rows that are read.
    #[error(transparent)]
    Unwanted(#[from] towpath_adapter_api::Stopped),
    /// The checkpoint is not the one this instance read or wrote.
    #[error("the checkpoint of route {route} was changed by another writer; it will be read again")]
    Fenced { route: RouteKey },
    /// A call came before `open` or after an error.
    #[error("the sink is not open")]
    NotOpen,
}

impl PostgresError {
    /// Makes a server's failure into this one.
    pub(crate) fn server(doing: impl Into<String>) -> impl FnOnce(tokio_postgres::Error) -> Self {
        let doing = doing.into();
        move |source| Self::Server { doing, source }
    }

    /// Makes a failure of a replication connection into this one.
    pub(crate) fn wire(doing: &str) -> impl Fn(std::io::Error) -> Self {
        move |source| Self::Wire { doing: doing.to_owned(), source }
    }

    /// What is wrong at the server, and what puts it right.
    pub(crate) fn unready(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self::Unready { kind, message: message.into() }
    }

    /// The failure as the agent sees it, of the database at `address`.
    pub(crate) fn at(self, address: &str) -> AdapterError {
        let message = match &self {
            Self::Server { source, .. } => format!("{self}: {}", in_words(source)),
            Self::Tls(source) => format!("{self}: {source}"),
            Self::Wire { source, .. } => format!("{self}: {source}"),
            _ => self.to_string(),
        };
        let kind = match &self {
            Self::Server { source, .. } => kind_of(source.code().map(tokio_postgres::error::SqlState::code)),
            Self::Refused(refusal) => kind_of(Some(&refusal.code)),
            Self::Unready { kind, .. } => *kind,
            Self::Damaged(_) => ErrorKind::Corrupt,
            Self::Tls(_)
            | Self::Authority { .. }
            | Self::Certificate { .. }
            | Self::Unfit { .. }
            | Self::Encode(_)
            | Self::Conflict { .. }
            | Self::Misfit { .. }
            | Self::NothingToKeep { .. } => ErrorKind::Config,
            Self::Config(error) => error.kind,
            Self::Unwanted(_) => ErrorKind::Stopped,
            Self::Fenced { .. } | Self::NotOpen | Self::Wire { .. } => ErrorKind::Unavailable,
        };
        AdapterError::new(kind, address, message).caused_by(self)
    }

    /// Why the server refuses rows for good, or `None` when the failure is not the rows'.
    pub(crate) fn refusal(&self) -> Option<RowRefusal> {
        if matches!(self, Self::NothingToKeep { .. }) {
            return Some(RowRefusal::Value(self.to_string()));
        }
        let Self::Server { source, .. } = self else { return None };
        let error = source.as_db_error()?;
        let constraint = error.constraint().map(|name| format!(" (constraint {name})")).unwrap_or_default();
        let reason = format!(
            "PostgreSQL refuses the row: {}{constraint}; correct it at its source or relax the table",
            error.message()
        );
        match error.code().code() {
            // A trigger that raises an exception is a constraint in the words of the table's owner.
            "P0001" => Some(RowRefusal::Constraint(reason)),
            code if code.starts_with("23") => Some(RowRefusal::Constraint(reason)),
            // Cardinality violation: two keys that differ in bytes and not to the table.
            "21000" | "54000" => Some(RowRefusal::Value(reason)),
            code if code.starts_with("22") => Some(RowRefusal::Value(reason)),
            _ => None,
        }
    }
}

/// Why the server refuses a row for good.
pub(crate) enum RowRefusal {
    /// A constraint of the table.
    Constraint(String),
    /// A value that the table has no form for.
    Value(String),
}

/// The server's message and hint, or the causes of a failure on the way to it.
fn in_words(error: &tokio_postgres::Error) -> String {
    if let Some(error) = error.as_db_error() {
        let hint = error.hint().map(|hint| format!("; {hint}")).unwrap_or_default();
        return format!("{} (SQLSTATE {}){hint}", error.message(), error.code().code());
    }
    let mut words = error.to_string();
    let mut cause = error.source();
    while let Some(deeper) = cause {
        words = format!("{words}: {deeper}");
        cause = deeper.source();
    }
    words
}

/// A server's refusal in replication mode.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    doing: String,
    /// The SQLSTATE.
    pub(crate) code: String,
    message: String,
    hint: Option<String>,
}

impl Refusal {
    /// Reads an `ErrorResponse`: fields of a letter and a text that ends with NUL.
    pub(crate) fn read(doing: &str, body: &[u8]) -> Self {
        let field = |letter: u8| {
            let mut fields = body.split(|byte| *byte == 0).filter(|field| !field.is_empty());
            fields
                .find(|field| field[0] == letter)
                .map(|field| String::from_utf8_lossy(&field[1..]).into_owned())
        };
        let message = field(b'M').unwrap_or_default();
        Self { doing: doing.to_owned(), code: field(b'C').unwrap_or_default(), message, hint: field(b'H') }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { doing, code, message, hint } = self;
        write!(f, "cannot {doing}: {message} (SQLSTATE {code})")?;
        hint.as_ref().map_or(Ok(()), |hint| write!(f, "; {hint}"))
    }
}

/// What an SQLSTATE means to the agent (PostgreSQL manual, appendix A). A failure without one happened on the
/// way.
fn kind_of(code: Option<&str>) -> ErrorKind {
    let Some(code) = code.filter(|code| code.len() == 5) else {
        return ErrorKind::Unavailable;
    };
    match code {
        "42501" => ErrorKind::Permission,
        "53100" => ErrorKind::NoSpace,
        "XX001" | "XX002" => ErrorKind::Corrupt,
        _ => match &code[..2] {
            "28" => ErrorKind::Permission,
            "0A" | "22" | "23" | "3D" | "3F" | "42" => ErrorKind::Config,
            _ => ErrorKind::Unavailable,
        },
    }
}
