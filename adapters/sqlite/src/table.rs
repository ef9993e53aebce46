//! The table of a stream: creating it, adding columns, and the statements that write it.

use std::collections::BTreeSet;
use std::path::Path;

use rusqlite::Connection;
use towpath_record::{Column, ColumnType, StreamSchema};

use crate::config::{Config, Mode};
use crate::error::SqliteError;

/// How the rows of one stream in one schema are written.
pub(crate) struct Target {
    pub(crate) table: String,
    /// Adds or replaces a row; its parameters are the schema's columns in order.
    pub(crate) write: String,
    /// Deletes, in upsert mode.
    pub(crate) delete: Option<Delete>,
}

/// How rows are deleted.
pub(crate) struct Delete {
    /// Deletes a row; its parameters are the key columns in order.
    pub(crate) by_key: String,
    pub(crate) all: String,
    /// The key columns, as indices into the schema's columns.
    pub(crate) key: Vec<usize>,
}

impl Target {
    /// Makes `table` ready for rows of `schema`, within the transaction that is open.
    pub(crate) fn prepare(
        database: &Connection,
        config: &Config,
        table: String,
        schema: &StreamSchema,
    ) -> Result<Self, SqliteError> {
        let unfit = |reason| SqliteError::Unfit { path: config.path.clone(), table: table.clone(), reason };
        let keyed = match config.mode {
            None => !schema.key().is_empty(),
            Some(Mode::Append) => false,
            Some(Mode::Upsert) if schema.key().is_empty() => {
                return Err(unfit(
                    "mode `upsert` needs a key, and the stream has none; set a key at its source, \
                     or use mode `append`"
                        .to_owned(),
                ));
            }
            Some(Mode::Upsert) => true,
        };
        if let Some((one, other)) = same_but_for_case(schema.columns()) {
            return Err(unfit(format!(
                "columns `{one}` and `{other}` differ only in case, which SQLite does not tell apart; rename one"
            )));
        }
        let key = if keyed { schema.key() } else { &[] };
        evolve(database, config, &table, schema.columns(), key)?;
        let delete = keyed.then(|| Delete::from_key(&table, schema));
        Ok(Self { write: insert(&table, schema.columns(), key), delete, table })
    }
}

/// How a row is written but for some of its columns.
pub(crate) struct Update {
    pub(crate) sql: String,
    /// The columns that its parameters are, as indices into the schema's columns.
    pub(crate) parameters: Vec<usize>,
    /// The key columns, likewise.
    pub(crate) key: Vec<usize>,
}

impl Update {
    /// Writes every column but those of the key and the `kept` ones; `None` if none is left.
    pub(crate) fn of(table: &str, schema: &StreamSchema, kept: &[usize]) -> Option<Self> {
        let columns = schema.columns();
        let key: Vec<_> = (0..columns.len()).filter(|i| schema.key().contains(&columns[*i].name)).collect();
        let written = (0..columns.len()).filter(|i| !key.contains(i) && !kept.contains(i));
        let mut parameters: Vec<_> = written.collect();
        let assigned =
            |(place, column): (usize, &usize)| format!("{} = ?{}", quoted(&columns[*column].name), place + 1);
        let values: Vec<_> = parameters.iter().enumerate().map(assigned).collect();
        if values.is_empty() {
            return None;
        }
        parameters.extend(&key);
        let conditions: Vec<_> = parameters.iter().enumerate().skip(values.len()).map(assigned).collect();
        let sql =
            format!("UPDATE {} SET {} WHERE {}", quoted(table), values.join(", "), conditions.join(" AND "));
        Some(Self { sql, parameters, key })
    }
}

/// Whether a stream's rows are told apart by a key.
pub(crate) fn is_keyed(config: &Config, schema: &StreamSchema) -> bool {
    config.mode != Some(Mode::Append) && !schema.key().is_empty()
}

impl Delete {
    fn from_key(table: &str, schema: &StreamSchema) -> Self {
        let conditions: Vec<_> = schema
            .key()
            .iter()
            .enumerate()
            .map(|(i, name)| format!("{} = ?{}", quoted(name), i + 1))
            .collect();
        let table = quoted(table);
        let index = |name| schema.columns().iter().position(|column| &column.name == name);
        Self {
            by_key: format!("DELETE FROM {table} WHERE {}", conditions.join(" AND ")),
            all: format!("DELETE FROM {table}"),
            key: schema.key().iter().filter_map(index).collect(),
        }
    }
}

/// Creates the table or adds the columns that it lacks. Only key columns are declared `NOT NULL`: a later
/// schema may allow absence where this one does not, and SQLite cannot take the declaration back.
fn evolve(
    database: &Connection,
    config: &Config,
    table: &str,
    columns: &[Column],
    key: &[String],
) -> Result<(), SqliteError> {
    let unfit = |reason| SqliteError::Unfit { path: config.path.clone(), table: table.to_owned(), reason };
    let existing = existing_columns(database, &config.path, table)?;
    if existing.is_empty() {
        if !config.create {
            return Err(unfit("the table does not exist; create it, or set `create: true`".to_owned()));
        }
        let doing = format!("create table {table:?}");
        return execute(database, &config.path, doing, &create(table, columns, key));
    }
    for column in columns.iter().filter(|c| !existing.contains(&c.name.to_lowercase())) {
        if !config.alter {
            let name = &column.name;
            return Err(unfit(format!("the table lacks column `{name}`; add it, or set `alter: true`")));
        }
        let sql = format!("ALTER TABLE {} ADD COLUMN {}", quoted(table), declared(column));
        execute(database, &config.path, format!("add column {:?} to table {table:?}", column.name), &sql)?;
    }
    Ok(())
}

/// The names of a table's columns in lower case, generated ones left out; none when there is no such table.
fn existing_columns(
    database: &Connection,
    path: &Path,
    table: &str,
) -> Result<BTreeSet<String>, SqliteError> {
    let read = || -> rusqlite::Result<_> {
        let mut statement = database.prepare_cached("SELECT name FROM pragma_table_info(?1)")?;
        statement.query_map([table], |row| row.get::<_, String>(0).map(|name| name.to_lowercase()))?.collect()
    };
    let doing = format!("read the columns of table {table:?}");
    read().map_err(|source| SqliteError::Database { path: path.to_owned(), doing, source })
}

fn execute(database: &Connection, path: &Path, doing: String, sql: &str) -> Result<(), SqliteError> {
    database.execute_batch(sql).map_err(|source| SqliteError::Database {
        path: path.to_owned(),
        doing,
        source,
    })
}

fn create(table: &str, columns: &[Column], key: &[String]) -> String {
    let mut parts: Vec<_> = columns
        .iter()
        .map(|column| match key.contains(&column.name) {
            true => format!("{} NOT NULL", declared(column)),
            false => declared(column),
        })
        .collect();
    if !key.is_empty() {
        parts.push(format!("PRIMARY KEY ({})", list(key.iter())));
    }
    format!("CREATE TABLE {} ({})", quoted(table), parts.join(", "))
}

fn insert(table: &str, columns: &[Column], key: &[String]) -> String {
    let names = list(columns.iter().map(|column| &column.name));
    let parameters = (1..=columns.len()).map(|i| format!("?{i}")).collect::<Vec<_>>().join(", ");
    let insert = format!("INSERT INTO {} ({names}) VALUES ({parameters})", quoted(table));
    if key.is_empty() {
        return insert;
    }
    let rest = columns.iter().filter(|column| !key.contains(&column.name));
    let updates: Vec<_> =
        rest.map(|c| quoted(&c.name)).map(|name| format!("{name} = excluded.{name}")).collect();
    let action = match updates.is_empty() {
        true => "NOTHING".to_owned(),
        false => format!("UPDATE SET {}", updates.join(", ")),
    };
    format!("{insert} ON CONFLICT ({}) DO {action}", list(key.iter()))
}

fn declared(column: &Column) -> String {
    format!("{} {}", quoted(&column.name), declared_type(&column.column_type)).trim_end().to_owned()
}

/// The declared type of a column, chosen for the affinity that changes no value: SQLite has no exact decimal
/// and no unsigned 64-bit integer, and would turn text that looks like one into a float.
fn declared_type(column_type: &ColumnType) -> &'static str {
    match column_type {
        ColumnType::Boolean => "BOOLEAN",
        ColumnType::Int8
        | ColumnType::Int16
        | ColumnType::Int32
        | ColumnType::Int64
        | ColumnType::Uint8
        | ColumnType::Uint16
        | ColumnType::Uint32 => "INTEGER",
        ColumnType::Uint64 => "",
        ColumnType::Float32 | ColumnType::Float64 => "REAL",
        ColumnType::Binary => "BLOB",
        ColumnType::Decimal { .. }
        | ColumnType::String
        | ColumnType::Date
        | ColumnType::Time
        | ColumnType::LocalTimestamp
        | ColumnType::Timestamp
        | ColumnType::Interval
        | ColumnType::List(_)
        | ColumnType::Struct(_) => "TEXT",
    }
}

fn same_but_for_case(columns: &[Column]) -> Option<(&str, &str)> {
    let mut seen = std::collections::BTreeMap::new();
    columns
        .iter()
        .find_map(|c| seen.insert(c.name.to_lowercase(), &*c.name).map(|earlier| (earlier, &*c.name)))
}

fn list<'a>(names: impl Iterator<Item = &'a String>) -> String {
    names.map(|name| quoted(name)).collect::<Vec<_>>().join(", ")
}

/// A name as SQL spells it.
pub(crate) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn columns() -> Vec<Column> {
        vec![
            Column::required("id", ColumnType::Int64),
            Column::nullable("say \"hi\"", ColumnType::String),
            Column::nullable("count", ColumnType::Uint64),
        ]
    }

    #[test]
    fn names_are_quoted_and_only_the_key_is_not_null() {
        assert_eq!(
            create("my table", &columns(), &["id".to_owned()]),
            r#"CREATE TABLE "my table" ("id" INTEGER NOT NULL, "say ""hi""" TEXT, "count", PRIMARY KEY ("id"))"#
        );
    }

    #[test]
    fn an_upsert_replaces_every_column_but_the_key() {
        assert_eq!(
            insert("t", &columns()[..2], &["id".to_owned()]),
            r#"INSERT INTO "t" ("id", "say ""hi""") VALUES (?1, ?2) ON CONFLICT ("id") DO UPDATE SET "say ""hi""" = excluded."say ""hi""""#
        );
        assert!(insert("t", &columns()[..1], &["id".to_owned()]).ends_with("DO NOTHING"));
    }
}
