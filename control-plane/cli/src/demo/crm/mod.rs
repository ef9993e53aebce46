//! The CRM: a small local database that its application writes to, and that Towpath follows.
//!
//! It is a PostgreSQL server of the demo's own where one can be started, and a SQLite file elsewhere. What its table holds
//! is read back by means that are not Towpath's, `psql` or SQLite itself.

mod installed;
mod owner;
mod ask;
mod postgres;
mod sqlite;
mod contacts;
mod rows;
mod resources;
#[cfg(test)]
mod tests;

use std::fs;
use std::path::PathBuf;

use clap::ValueEnum;
use tokio::task::{JoinError, spawn_blocking};

use super::place::Place;
use super::processes::Processes;
use super::resources::Document;
use contacts::Contacts;
use installed::Installed;
use postgres::{PROCESS, Postgres};
use sqlite::Sqlite;

pub use ask::AskError;
pub use postgres::PostgresError;

pub(super) use contacts::Written;
#[cfg(test)]
pub(super) use rows::Row;
pub(super) use rows::Rows;

/// The source, whose name is also that of PostgreSQL's schema: so both databases feed the same stream.
pub(super) const SOURCE: &str = "crm";
/// The stream of contacts.
pub(super) const STREAM: &str = "crm.contacts";
/// The table that the SQLite sink writes it to.
pub(super) const COPY: &str = "crm_contacts";
/// The route.
pub(super) const ROUTE: &str = "crm-to-sqlite";

/// One contact for so many rows of the ERP, within bounds.
const ROWS_PER_CONTACT: u64 = 20;
const LEAST_CONTACTS: u64 = 20;
const MOST_CONTACTS: u64 = 1_000;

/// Which database the CRM has.
#[derive(ValueEnum, Clone, Copy, PartialEq, Eq, Debug)]
pub enum Choice {
    /// A private PostgreSQL server if one can be started, else a SQLite file.
    Auto,
    /// A private PostgreSQL server.
    Postgres,
    /// A SQLite file.
    Sqlite,
}

/// The CRM.
#[derive(Debug)]
pub(super) struct Crm {
    database: Database,
    contacts: Contacts,
    filled_with: u64,
    log: PathBuf,
}

#[derive(Clone, Debug)]
enum Database {
    Postgres(Postgres),
    Sqlite { file: Sqlite, why: String },
}

/// The CRM is not as it should be.
#[derive(Debug, thiserror::Error)]
pub enum CrmError {
    /// PostgreSQL is wanted and not there.
    #[error(
        "no PostgreSQL from version 13 on is installed: postgres, initdb and psql are together in no directory of PATH and \
         in none of the usual ones; install it, or leave --database away"
    )]
    NotInstalled,
    /// PostgreSQL is wanted and cannot be started.
    #[error("the CRM's PostgreSQL server cannot be started; --database sqlite does without: {0}")]
    NotStarted(PostgresError),
    /// PostgreSQL does not do what the application asks.
    #[error("the CRM's PostgreSQL server does not do its work; {} may say why: {source}", log.display())]
    Postgres {
        /// Its log.
        log: PathBuf,
        /// Why.
        source: PostgresError,
    },
    /// The SQLite file cannot be used.
    #[error("the CRM's database {} cannot be used; check that its disk has room: {source}", path.display())]
    Sqlite {
        /// The file.
        path: PathBuf,
        /// Why.
        source: rusqlite::Error,
    },
    /// A helper thread failed.
    #[error("a task of the demo failed: {0}; report it, it is an error in this program")]
    Task(#[from] JoinError),
}

impl Crm {
    /// Prepares the database, with the contacts that are there before anybody follows it.
    pub(super) async fn start(
        choice: Choice,
        place: &Place,
        processes: &mut Processes,
        (seed, rows_per_day): (u64, u64),
    ) -> Result<Self, CrmError> {
        let database = Database::start(choice, place, processes).await?;
        let table = match &database {
            Database::Postgres(_) => postgres::TABLE,
            Database::Sqlite { .. } => sqlite::TABLE,
        };
        let per_day = (rows_per_day / ROWS_PER_CONTACT).clamp(LEAST_CONTACTS, MOST_CONTACTS);
        let mut contacts = Contacts::new(table, seed, per_day);
        let fill = contacts.fill();
        let filled_with = contacts.written().records();
        let crm = Self { database, contacts, filled_with, log: place.log(PROCESS) };
        crm.write(fill).await?;
        Ok(crm)
    }

    /// Which database it is, and why, in a line.
    pub(super) fn introduction(&self) -> String {
        match &self.database {
            Database::Postgres(server) => {
                format!("the CRM has a PostgreSQL {} server of its own", server.version)
            }
            Database::Sqlite { why, .. } => format!("the CRM has a SQLite file: {why}"),
        }
    }

    /// What the application wrote.
    pub(super) fn written(&self) -> Written {
        self.contacts.written()
    }

    /// How many records the source makes of what was there first.
    pub(super) fn filled_with(&self) -> u64 {
        self.filled_with
    }

    /// The resources that make its contacts flow.
    pub(super) fn document(&self, place: &Place) -> Document {
        resources::document(place, &self.database)
    }

    /// The application's next day.
    pub(super) async fn next_day(&mut self) -> Result<(), CrmError> {
        let script = self.contacts.next_day();
        self.write(script).await
    }

    /// What the table holds.
    pub(super) async fn read(&self) -> Result<Rows, CrmError> {
        match &self.database {
            Database::Postgres(server) => server.read().await.map_err(|e| self.postgres(e)),
            Database::Sqlite { file, .. } => in_file(file, Sqlite::read).await,
        }
    }

    async fn write(&self, script: String) -> Result<(), CrmError> {
        match &self.database {
            Database::Postgres(server) => server.write(&script).await.map_err(|e| self.postgres(e)),
            Database::Sqlite { file, .. } => in_file(file, move |file| file.write(&script)).await,
        }
    }

    fn postgres(&self, source: PostgresError) -> CrmError {
        CrmError::Postgres { log: self.log.clone(), source }
    }
}

impl Database {
    async fn start(choice: Choice, place: &Place, processes: &mut Processes) -> Result<Self, CrmError> {
        if choice == Choice::Sqlite {
            return Self::sqlite(place, "it was chosen".to_owned());
        }
        let installed = spawn_blocking(Installed::newest).await?;
        let is_must = choice == Choice::Postgres;
        match installed {
            None if is_must => Err(CrmError::NotInstalled),
            None => Self::sqlite(place, "no PostgreSQL is installed".to_owned()),
            Some(installed) => match Postgres::start(&installed, place, processes).await {
                Ok(server) => Ok(Self::Postgres(server)),
                Err(error) if is_must => Err(CrmError::NotStarted(error)),
                Err(error) => {
                    // What is left of it would only puzzle whoever looks; its log stays, and a folder that does too is
                    // in nobody's way.
                    let _ = fs::remove_dir_all(place.crm_server());
                    let (version, why) = (installed.version, error.to_string());
                    let why = why.lines().next().unwrap_or_default();
                    Self::sqlite(place, format!("PostgreSQL {version} cannot be started here ({why})"))
                }
            },
        }
    }

    fn sqlite(place: &Place, why: String) -> Result<Self, CrmError> {
        let path = place.crm_file();
        let file = Sqlite::create(path.clone()).map_err(|source| CrmError::Sqlite { path, source })?;
        Ok(Self::Sqlite { file, why })
    }
}

/// Does something with the file where it may block.
async fn in_file<T: Send + 'static>(
    file: &Sqlite,
    ask: impl FnOnce(&Sqlite) -> rusqlite::Result<T> + Send + 'static,
) -> Result<T, CrmError> {
    let (file, path) = (file.clone(), file.path().to_owned());
    spawn_blocking(move || ask(&file)).await?.map_err(|source| CrmError::Sqlite { path, source })
}
