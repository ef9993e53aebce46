//! What can go wrong at a PostgreSQL server, and what kind of failure each is to the agent.
//!
//! A server's `DETAIL` quotes row values, so it is left out of every message.

use std::error::Error;
use std::path::PathBuf;

use towpath_adapter_api::{AdapterError, ErrorKind, RouteKey};

/// A failure at a server.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PostgresError {
    /// The server or the way to it failed an operation.
    #[error("cannot {doing}")]
    Server { doing: String, source: tokio_postgres::Error },
    /// TLS cannot be set up.
    #[error("TLS cannot be set up")]
    Tls(#[source] rustls::Error),
    /// The authorities' file cannot be used.
    #[error("the authorities in {} cannot be used: {reason}; correct `tls.ca`", path.display())]
    Authority { path: PathBuf, reason: String },
    /// The configuration cannot work.
    #[error("{0}")]
    Config(#[from] AdapterError),
    /// Arrow could not show a value.
    #[error("rows cannot be encoded")]
    Encode(#[source] arrow_schema::ArrowError),
    /// The table or the configuration does not fit the stream.
    #[error("table {table}: {reason}")]
    Unfit { table: String, reason: String },
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

    /// The failure as the agent sees it, of the database at `address`.
    pub(crate) fn at(self, address: &str) -> AdapterError {
        let message = match &self {
            Self::Server { source, .. } => format!("{self}: {}", in_words(source)),
            Self::Tls(source) => format!("{self}: {source}"),
            _ => self.to_string(),
        };
        let kind = match &self {
            Self::Server { source, .. } => kind_of(source),
            Self::Tls(_) | Self::Authority { .. } | Self::Unfit { .. } | Self::Encode(_) => ErrorKind::Config,
            Self::Config(error) => error.kind,
            Self::Fenced { .. } | Self::NotOpen => ErrorKind::Unavailable,
        };
        AdapterError::new(kind, address, message).caused_by(self)
    }

    /// Why the server refuses rows for good, or `None` when the failure is not the rows'.
    pub(crate) fn refusal(&self) -> Option<String> {
        let Self::Server { source, .. } = self else { return None };
        let error = source.as_db_error()?;
        let about_rows = match error.code().code() {
            // Cardinality violation: two keys that differ in bytes and not to the table.
            "21000" | "54000" | "P0001" => true,
            code => code.starts_with("22") || code.starts_with("23"),
        };
        let constraint = error.constraint().map(|name| format!(" (constraint {name})")).unwrap_or_default();
        about_rows.then(|| {
            format!(
                "PostgreSQL refuses the row: {}{constraint}; correct it at its source or relax the table",
                error.message()
            )
        })
    }
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

/// What an SQLSTATE means to the agent (PostgreSQL manual, appendix A). A failure without one happened on the
/// way.
fn kind_of(error: &tokio_postgres::Error) -> ErrorKind {
    let Some(code) = error.code().map(tokio_postgres::error::SqlState::code) else {
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
