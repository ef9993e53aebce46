//! What the source keeps in the database that it reads, and how it keeps up with the application's tables.
//!
//! Three tables, whose names begin with `_towpath_` and the name of the source:
//!
//! ```text
//!   …_state     one row: which installation this is, how far changes were released, the schema version as known
//!   …_tables    each version of each table that was read: a table that changed its shape is a new version
//!   …_changes   the changes: id, tbl (a version), op, at (ms), mark, row (row id), v0 … vN and, with `before`, o0 … oN
//! ```
//!
//! The columns `v…` and `o…` have no declared type, so SQLite keeps every value in them exactly as the application
//! stored it. All of it is made and changed in single transactions; the triggers of a version exist exactly as long
//! as the version is current. A version's number says its place in the order of copies.

use std::collections::BTreeMap;
use std::sync::Arc;

use rusqlite::types::ToSql;
use rusqlite::{Connection, OptionalExtension};

use crate::error::SqliteError;
use crate::source::config::{Choice, SourceConfig};
use crate::source::database::{Database, schema_version};
use crate::source::table::{self, TableDef};
use crate::source::triggers::Triggers;
use crate::table::quoted;

/// Why a version of a table is copied.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Begin {
    /// It was never read: nothing of it is at the sinks.
    First = 1,
    /// Its shape changed while its changes were written down: the sinks have its rows, but not in this shape.
    Again = 2,
    /// Changes may have gone unseen: the sinks' rows must go first.
    Empty = 3,
}

/// A version of a table.
#[derive(Clone, Debug)]
pub(super) struct Version {
    pub(super) id: i64,
    pub(super) table: Arc<TableDef>,
    pub(super) begin: Begin,
    /// Whether its triggers are in place, and it is not superseded.
    pub(super) current: bool,
}

/// What is installed, as it was last read.
#[derive(Clone, Debug)]
pub(super) struct Installed {
    pub(super) installation: Vec<u8>,
    pub(super) schema_version: i64,
    pub(super) versions: BTreeMap<i64, Version>,
    /// How many columns `v…` the table of changes has.
    pub(super) width: usize,
    /// Whether it has the columns `o…` as well.
    pub(super) before: bool,
}

/// The names of one source's objects.
#[derive(Clone, Debug)]
pub(super) struct Names {
    pub(super) prefix: String,
    pub(super) state: String,
    pub(super) tables: String,
    pub(super) changes: String,
}

impl Names {
    pub(super) fn of(source: &str) -> Self {
        let prefix = format!("_towpath_{source}_");
        let name = |of: &str| quoted(&format!("{prefix}{of}"));
        Self { state: name("state"), tables: name("tables"), changes: name("changes"), prefix }
    }
}

/// Installs and keeps up.
pub(super) struct Installer<'a> {
    pub(super) names: &'a Names,
    pub(super) config: &'a SourceConfig,
    pub(super) choice: &'a Choice,
}

impl Installer<'_> {
    /// Removes what is there and installs anew. `begin` says what the sinks are thought to have of every table.
    pub(super) fn install(&self, database: &Database, begin: Begin) -> Result<Installed, SqliteError> {
        database.write(|connection| {
            self.drop_all(connection).map_err(|e| database.fault("remove an earlier installation", e))?;
            self.create(connection).map_err(|e| database.fault("create the tables of the source", e))?;
            self.bring_up_to_date(database, connection, begin, 0)
        })
    }

    /// What is installed; `None` if it is not there, or not whole.
    pub(super) fn find(&self, database: &Database) -> Result<Option<Installed>, SqliteError> {
        let found = database.read(|connection| {
            let there =
                |name: &str| connection.table_exists(Some("main"), &*format!("{}{name}", self.names.prefix));
            let whole = || Ok(there("state")? && there("tables")? && there("changes")?);
            if !whole().map_err(|e| database.fault("look for what was installed", e))? {
                return Ok(None);
            }
            self.load(database, connection).map(Some)
        })?;
        Ok(found)
    }

    /// Compares the tables with what is installed and brings that up to date. `copied_through` is the last
    /// version that the source has finished copying.
    pub(super) fn keep_up(&self, database: &Database, copied_through: i64) -> Result<Installed, SqliteError> {
        database.write(|connection| self.bring_up_to_date(database, connection, Begin::First, copied_through))
    }

    /// Removes everything that was installed. Returns whether anything was.
    pub(super) fn remove(&self, database: &Database) -> Result<bool, SqliteError> {
        database.write(|connection| {
            self.drop_all(connection).map_err(|e| database.fault("remove what was installed", e))
        })
    }

    fn create(&self, connection: &Connection) -> rusqlite::Result<()> {
        let Names { state, tables, changes, .. } = self.names;
        connection.execute_batch(&format!(
            "CREATE TABLE {state} (id INTEGER PRIMARY KEY, installation BLOB, released INTEGER, schema INTEGER);
             INSERT INTO {state} VALUES (1, randomblob(16), 0, 0);
             CREATE TABLE {tables} (id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT, begin INTEGER,
                                    current INTEGER, definition TEXT);
             CREATE TABLE {changes} (id INTEGER PRIMARY KEY AUTOINCREMENT, tbl, op, at, mark, row);"
        ))
    }

    fn drop_all(&self, connection: &Connection) -> rusqlite::Result<bool> {
        // Triggers first: a trigger without its table would stop the application's writes.
        let triggers = self.triggers(connection)?;
        for trigger in triggers.keys() {
            connection.execute_batch(&format!("DROP TRIGGER {}", quoted(trigger)))?;
        }
        let mut found = !triggers.is_empty();
        for (name, table) in
            [("changes", &self.names.changes), ("tables", &self.names.tables), ("state", &self.names.state)]
        {
            found |= connection.table_exists(Some("main"), &*format!("{}{name}", self.names.prefix))?;
            connection.execute_batch(&format!("DROP TABLE IF EXISTS {table}"))?;
        }
        Ok(found)
    }

    /// The source's triggers, each with the table that it is on.
    fn triggers(&self, connection: &Connection) -> rusqlite::Result<BTreeMap<String, String>> {
        let mut statement = connection.prepare_cached(
            "SELECT name, tbl_name FROM sqlite_schema WHERE type = 'trigger' AND substr(name, 1, length(?1)) = ?1",
        )?;
        statement.query_map([&self.names.prefix], |row| Ok((row.get(0)?, row.get(1)?)))?.collect()
    }

    fn load(&self, database: &Database, connection: &Connection) -> Result<Installed, SqliteError> {
        let read = || -> rusqlite::Result<_> {
            let state = format!("SELECT installation, schema FROM {} WHERE id = 1", self.names.state);
            let state = connection.query_row(&state, [], |row| Ok((row.get(0)?, row.get(1)?))).optional()?;
            let sql = format!("SELECT id, begin, current, definition FROM {} ORDER BY id", self.names.tables);
            let mut statement = connection.prepare(&sql)?;
            let versions = statement.query_map([], |row| {
                Ok((
                    row.get::<_, i64>(0)?,
                    row.get::<_, i64>(1)?,
                    row.get::<_, bool>(2)?,
                    row.get::<_, String>(3)?,
                ))
            })?;
            let sql = "SELECT name FROM pragma_table_info(?1)";
            let mut columns = connection.prepare_cached(sql)?;
            let columns = columns.query_map([format!("{}changes", self.names.prefix)], |row| row.get(0))?;
            Ok((
                state,
                versions.collect::<rusqlite::Result<Vec<_>>>()?,
                columns.collect::<rusqlite::Result<Vec<String>>>()?,
            ))
        };
        let (state, rows, columns) = read().map_err(|e| database.fault("read what was installed", e))?;
        let damaged = |what: &str| SqliteError::Damaged {
            path: database.path().to_owned(),
            what: format!("{} in what the source installed ({}…)", what, self.names.prefix),
        };
        let (installation, schema_version) = state.ok_or_else(|| damaged("the state is missing"))?;
        let mut versions = BTreeMap::new();
        for (id, begin, current, definition) in rows {
            let table =
                serde_json::from_str(&definition).map_err(|_| damaged("a definition cannot be read"))?;
            let begin = [Begin::First, Begin::Again, Begin::Empty].into_iter().find(|it| *it as i64 == begin);
            let begin = begin.ok_or_else(|| damaged("a table begins in no known way"))?;
            versions.insert(id, Version { id, table: Arc::new(table), begin, current });
        }
        let width = columns.iter().filter(|name| name.starts_with('v')).count();
        let before = columns.iter().any(|name| name == "o0");
        Ok(Installed { installation, schema_version, versions, width, before })
    }

    fn bring_up_to_date(
        &self,
        database: &Database,
        connection: &Connection,
        new_begin: Begin,
        copied_through: i64,
    ) -> Result<Installed, SqliteError> {
        let installed = self.load(database, connection)?;
        let fault = |e| database.fault("bring the triggers up to date", e);
        let tables = self.tables(database, connection)?;
        let triggers = self.triggers(connection).map_err(fault)?;
        let version = schema_version(connection).map_err(fault)?;
        let altered = version != installed.schema_version;
        let latest =
            |name: &str| installed.versions.values().rev().find(|version| version.table.name == name);
        let mut kept = Vec::new();
        let mut new = Vec::new();
        for table in tables {
            let Some(last) = latest(&table.name) else {
                new.push((table, new_begin));
                continue;
            };
            let seen = last.current && self.is_intact(last, &table.name, &triggers);
            // VACUUM may have numbered rows anew.
            let moved = altered && table.moves();
            let begin = match (seen, *last.table == table) {
                (false, _) => Begin::Empty,
                (true, _) if moved && table.key.is_empty() => Begin::Empty,
                (true, true) if !moved || last.id <= copied_through => {
                    kept.push(last.id);
                    continue;
                }
                (true, _) => again(last, copied_through),
            };
            new.push((table, begin));
        }
        let superseded = installed.versions.values().filter(|it| it.current && !kept.contains(&it.id));
        let change = || -> rusqlite::Result<()> {
            for version in superseded {
                self.retire(connection, version, &triggers)?;
            }
            self.widen(connection, &installed, new.iter().map(|(table, _)| table))?;
            for (table, begin) in &new {
                tracing::info!(path = %database.path().display(), table = table.name, ?begin, "a table is captured");
                self.add(connection, table, *begin)?;
            }
            let sql = format!("UPDATE {} SET schema = ?1 WHERE id = 1 AND schema <> ?1", self.names.state);
            connection.execute(&sql, [schema_version(connection)?])?;
            Ok(())
        };
        change().map_err(fault)?;
        self.load(database, connection)
    }

    /// The chosen tables, each with a stream of its own.
    fn tables(&self, database: &Database, connection: &Connection) -> Result<Vec<TableDef>, SqliteError> {
        table::chosen(connection, self.choice, self.config.before).map_err(|fault| fault.at(database))
    }

    fn is_intact(&self, version: &Version, table: &str, triggers: &BTreeMap<String, String>) -> bool {
        let expected = Triggers { prefix: &self.names.prefix, version: version.id, table: &version.table };
        expected
            .all()
            .iter()
            .all(|(name, _)| triggers.get(name).is_some_and(|on| on.eq_ignore_ascii_case(table)))
    }

    fn retire(
        &self,
        connection: &Connection,
        version: &Version,
        triggers: &BTreeMap<String, String>,
    ) -> rusqlite::Result<()> {
        let own = format!("{}{}_", self.names.prefix, version.id);
        for trigger in triggers.keys().filter(|name| name.starts_with(&own)) {
            connection.execute_batch(&format!("DROP TRIGGER {}", quoted(trigger)))?;
        }
        let sql = format!("UPDATE {} SET current = 0 WHERE id = ?1", self.names.tables);
        connection.execute(&sql, [version.id]).map(drop)
    }

    /// Gives the table of changes the columns that it lacks.
    fn widen<'t>(
        &self,
        connection: &Connection,
        installed: &Installed,
        tables: impl Iterator<Item = &'t TableDef>,
    ) -> rusqlite::Result<()> {
        let width = tables.map(|table| table.columns.len()).max().unwrap_or(0).max(installed.width);
        let before = self.config.before || installed.before;
        let add = |name: String| {
            connection.execute_batch(&format!("ALTER TABLE {} ADD COLUMN {name}", self.names.changes))
        };
        (installed.width..width).try_for_each(|i| add(format!("v{i}")))?;
        let before_from = if installed.before { installed.width } else { 0 };
        if before { (before_from..width).try_for_each(|i| add(format!("o{i}"))) } else { Ok(()) }
    }

    fn add(&self, connection: &Connection, table: &TableDef, begin: Begin) -> rusqlite::Result<()> {
        let definition =
            serde_json::to_string(table).map_err(|e| rusqlite::Error::ToSqlConversionFailure(e.into()))?;
        let sql = format!(
            "INSERT INTO {} (name, begin, current, definition) VALUES (?1, ?2, 1, ?3)",
            self.names.tables
        );
        let begin = begin as i64;
        connection.execute(&sql, [&table.name as &dyn ToSql, &begin, &definition])?;
        let version = connection.last_insert_rowid();
        for (_, sql) in (Triggers { prefix: &self.names.prefix, version, table }).all() {
            connection.execute_batch(&sql)?;
        }
        Ok(())
    }
}

/// How a version begins that follows one without a gap. If the earlier one was never copied to its end, its sinks may
/// lack rows, but have none that should be gone, unless that is why it was to be emptied.
fn again(last: &Version, copied_through: i64) -> Begin {
    if last.begin == Begin::Empty && last.id > copied_through { Begin::Empty } else { Begin::Again }
}
