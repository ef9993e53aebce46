//! Which stream each table has.

use std::collections::BTreeMap;
use std::sync::Arc;

use towpath_record::StreamName;

use crate::error::SqliteError;
use crate::source::config::SourceConfig;
use crate::source::install::Installed;
use crate::source::table::{TableDef, UnfitTable};

/// Names streams after tables.
pub(super) struct Streams {
    config: Arc<SourceConfig>,
    source: String,
}

impl Streams {
    pub(super) fn new(config: Arc<SourceConfig>, source: &str) -> Self {
        Self { config, source: source.to_owned() }
    }

    /// The stream of a table.
    ///
    /// # Errors
    /// Its name gives no stream.
    pub(super) fn of(&self, table: &str) -> Result<StreamName, SqliteError> {
        self.config.stream_of(&self.source, table).map_err(|reason| self.unfit(table, reason))
    }

    /// Refuses tables that would share a stream, and tables that cannot have one.
    pub(super) fn check(&self, installed: &Installed) -> Result<(), SqliteError> {
        let current = installed.versions.values().filter(|version| version.current);
        self.check_tables(current.map(|version| &*version.table))
    }

    /// The same for tables that are not installed.
    pub(super) fn check_tables<'t>(
        &self,
        tables: impl Iterator<Item = &'t TableDef>,
    ) -> Result<(), SqliteError> {
        let mut taken = BTreeMap::new();
        for table in tables {
            table.schema().map_err(|unfit| SqliteError::unfit(&self.config.path, unfit))?;
            let stream = self.of(&table.name)?;
            if let Some(other) = taken.insert(stream.clone(), &table.name) {
                let reason =
                    format!("its stream `{stream}` is also that of table {other:?}; exclude one of them");
                return Err(self.unfit(&table.name, reason));
            }
        }
        Ok(())
    }

    fn unfit(&self, table: &str, reason: String) -> SqliteError {
        SqliteError::unfit(&self.config.path, UnfitTable { table: table.to_owned(), reason })
    }
}
