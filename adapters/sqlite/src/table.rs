//! The table of a stream: creating it, adding columns, and the types that it has.

use std::collections::BTreeSet;
use std::path::Path;

use rusqlite::Connection;
use towpath_adapter_api::Mode;
use towpath_adapter_api::mode::VALID_TO_COLUMN;
use towpath_record::{Column, ColumnType, StreamSchema};

use crate::config::Config;
use crate::error::SqliteError;

/// What a table is to be.
pub(crate) struct Shape<'a> {
    pub(crate) table: &'a str,
    pub(crate) mode: Mode,
    pub(crate) schema: &'a StreamSchema,
}

/// Creates the table or adds the columns that it lacks. Only columns of the primary key are declared `NOT NULL`:
/// a later schema may allow absence where this one does not, and SQLite cannot take the declaration back.
pub(crate) fn evolve(database: &Connection, config: &Config, shape: &Shape<'_>) -> Result<(), SqliteError> {
    let table = shape.table;
    let unfit = |reason| SqliteError::Unfit { path: config.path.clone(), table: table.to_owned(), reason };
    let mut columns = shape.schema.columns().to_vec();
    columns.extend(shape.mode.added_columns(config.deleted_at()));
    if let Some((one, other)) = same_but_for_case(&columns) {
        return Err(unfit(format!(
            "columns `{one}` and `{other}` differ only in case, which SQLite does not tell apart; rename one"
        )));
    }
    let existing = existing_columns(database, &config.path, table)?;
    if existing.is_empty() {
        if !config.create {
            return Err(unfit("the table does not exist; create it, or set `create: true`".to_owned()));
        }
        let doing = format!("create table {table:?}");
        return execute(database, &config.path, doing, &create(shape, &columns));
    }
    if shape.mode == Mode::History && !admits_versions(database, &config.path, shape)? {
        return Err(unfit(
            "a unique key of the table admits only one version of each row, so it cannot hold a history; name \
             another table, or drop that key"
                .to_owned(),
        ));
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

/// Whether a key may stand more than once in a table, unlike in one that another mode has made. A primary key
/// that is an integer has no index of its own.
fn admits_versions(database: &Connection, path: &Path, shape: &Shape<'_>) -> Result<bool, SqliteError> {
    const SQL: &str = "WITH key AS (SELECT value AS name FROM json_each(?2)) \
        SELECT NOT EXISTS (SELECT 1 FROM pragma_index_list(?1) l WHERE l.\"unique\" AND NOT l.partial \
        AND NOT EXISTS (SELECT 1 FROM pragma_index_info(l.name) i \
        WHERE i.name IS NULL OR i.name COLLATE NOCASE NOT IN (SELECT name FROM key))) \
        AND (SELECT count(*) = 0 OR sum(name COLLATE NOCASE NOT IN (SELECT name FROM key)) > 0 \
        FROM pragma_table_info(?1) WHERE pk > 0)";
    let key = serde_json::Value::from(shape.schema.key()).to_string();
    let doing = format!("read the keys of table {:?}", shape.table);
    let admits = database.query_row(SQL, [shape.table, &key], |row| row.get(0));
    admits.map_err(|source| SqliteError::Database { path: path.to_owned(), doing, source })
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

fn create(shape: &Shape<'_>, columns: &[Column]) -> String {
    let (table, key) = (quoted(shape.table), shape.mode.primary_key(shape.schema.key()));
    let declare = |column: &Column| match key.contains(&column.name) {
        true => format!("{} NOT NULL", declared(column)),
        false => declared(column),
    };
    let mut parts: Vec<_> = columns.iter().map(declare).collect();
    if !key.is_empty() {
        parts.push(format!("PRIMARY KEY ({})", list(key.iter())));
    }
    let create = format!("CREATE TABLE {table} ({})", parts.join(", "));
    match shape.mode {
        // It finds the current version of a row among many, and no row has two.
        Mode::History => {
            let index = quoted(&format!("{}_towpath_current", shape.table));
            let (key, ended) = (list(shape.schema.key().iter()), quoted(VALID_TO_COLUMN));
            format!("{create}; CREATE UNIQUE INDEX {index} ON {table} ({key}) WHERE {ended} IS NULL")
        }
        _ => create,
    }
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

    #[test]
    fn names_are_quoted_and_only_the_key_is_not_null() {
        let columns = vec![
            Column::required("id", ColumnType::Int64),
            Column::nullable("say \"hi\"", ColumnType::String),
            Column::nullable("count", ColumnType::Uint64),
        ];
        let schema = StreamSchema::new(columns, vec!["id".to_owned()]).unwrap();
        let shape = |mode| Shape { table: "my table", mode, schema: &schema };
        assert_eq!(
            create(&shape(Mode::Upsert), schema.columns()),
            r#"CREATE TABLE "my table" ("id" INTEGER NOT NULL, "say ""hi""" TEXT, "count", PRIMARY KEY ("id"))"#
        );
        assert!(create(&shape(Mode::History), &schema.columns()[..1]).ends_with(
            r#"("id" INTEGER NOT NULL, PRIMARY KEY ("id", "_valid_from", "_seq")); CREATE UNIQUE INDEX "my table_towpath_current" ON "my table" ("id") WHERE "_valid_to" IS NULL"#
        ));
    }

    #[test]
    fn a_table_with_one_row_for_each_key_holds_no_history() {
        let schema =
            StreamSchema::new(vec![Column::required("id", ColumnType::Int64)], vec!["id".to_owned()]);
        let schema = schema.unwrap();
        let admits = |sql: &str| {
            let database = Connection::open_in_memory().unwrap();
            database.execute_batch(sql).unwrap();
            let shape = Shape { table: "t", mode: Mode::History, schema: &schema };
            admits_versions(&database, Path::new("test"), &shape).unwrap()
        };
        assert!(!admits("CREATE TABLE t (ID INTEGER PRIMARY KEY)"));
        assert!(!admits("CREATE TABLE t (id TEXT UNIQUE, v)"));
        assert!(admits("CREATE TABLE t (id, v, PRIMARY KEY (id, v))"));
        assert!(admits("CREATE TABLE t (id, v); CREATE UNIQUE INDEX i ON t (id) WHERE v IS NULL"));
    }
}
