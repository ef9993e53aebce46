//! The table of a stream: creating it, adding columns, and the statements that write it.
//!
//! Rows are copied straight into the table where its types are those of the stream and nothing is replaced.
//! Otherwise they are copied into a temporary table of the stream's types, a *stage*, and go on from there in
//! one statement, which lets PostgreSQL convert them as it would in any assignment.

use std::collections::BTreeMap;

use tokio_postgres::{Client, Statement};
use towpath_record::{Column, ColumnType, StreamSchema};

use crate::config::{Config, Mode};
use crate::error::PostgresError;

/// What PostgreSQL cuts names to, in bytes.
const MAX_NAME_BYTES: usize = 63;

/// How the rows of one stream in one schema are written.
pub(crate) struct Target {
    pub(crate) table: String,
    /// Copies rows into the stage, or into the table where there is none.
    pub(crate) copy: Statement,
    pub(crate) stage: Option<Stage>,
    /// In upsert mode.
    pub(crate) keyed: Option<Keyed>,
}

/// A temporary table on the way.
pub(crate) struct Stage {
    /// Moves the rows on into the table.
    pub(crate) insert: Statement,
    /// Empties the stage.
    pub(crate) clear: Statement,
}

/// How rows are deleted.
pub(crate) struct Keyed {
    /// The key columns, as indices into the schema's columns.
    pub(crate) key: Vec<usize>,
    /// Copies keys into the stage.
    pub(crate) copy_keys: Statement,
    /// Deletes the rows whose keys are in the stage.
    pub(crate) delete: Statement,
    pub(crate) delete_all: Statement,
    /// The column's name, the value it is assigned, and whether it is of the key: what an update of some columns
    /// is made of.
    assignments: Vec<(String, String, bool)>,
    place: String,
    stage: String,
}

impl Keyed {
    /// Updates the rows in the stage but for the columns `kept`; `None` if nothing is left to be written.
    pub(crate) fn update_but_for(&self, kept: &[usize]) -> Option<String> {
        let written = self.assignments.iter().enumerate().filter(|(i, (.., key))| !key && !kept.contains(i));
        let written: Vec<_> = written.map(|(_, (name, value, _))| format!("{name} = {value}")).collect();
        let keys = self.assignments.iter().filter(|(.., key)| *key);
        let matches: Vec<_> = keys.map(|(name, value, _)| format!("t.{name} = {value}")).collect();
        let (place, stage, matches) = (&self.place, &self.stage, matches.join(" AND "));
        (!written.is_empty())
            .then(|| format!("UPDATE {place} t SET {} FROM {stage} s WHERE {matches}", written.join(", ")))
    }
}

/// A column as the database has it.
struct Existing {
    /// Its type without and with its modifier: `numeric` and `numeric(12,2)`.
    base: String,
    full: String,
}

impl Target {
    /// Makes `table` ready for rows of `schema`, within the transaction that is open. `number` tells this
    /// session's stages apart.
    pub(crate) async fn prepare(
        client: &Client,
        config: &Config,
        table: String,
        schema: &StreamSchema,
        number: usize,
    ) -> Result<Self, PostgresError> {
        let unfit = |reason| PostgresError::Unfit { table: table.clone(), reason };
        let keyed = is_keyed(config, schema).map_err(unfit)?;
        check_names(&table, schema.columns()).map_err(unfit)?;
        let key = if keyed { schema.key() } else { &[] };
        let place = format!("{}.{}", quoted(&config.schema), quoted(&table));
        let existing = evolve(client, config, &table, &place, schema.columns(), key).await?;
        let stage = format!("pg_temp.towpath_stage_{number}");
        let way =
            Way { client, table: &table, place: &place, stage: &stage, schema, key, existing: &existing };
        if !keyed && way.is_direct() {
            let copy = way.prepare(&way.copy_into(&place)).await?;
            return Ok(Self { table, copy, stage: None, keyed: None });
        }
        way.create_stage().await?;
        let copy = way.prepare(&way.copy_into(&stage)).await?;
        let clear = way.prepare(&format!("TRUNCATE {stage}")).await?;
        let insert = way.prepare(&way.insert()).await?;
        let keyed = if keyed { Some(way.keyed().await?) } else { None };
        Ok(Self { copy, stage: Some(Stage { insert, clear }), keyed, table: table.clone() })
    }
}

/// Everything that the statements of a target are made of.
struct Way<'a> {
    client: &'a Client,
    table: &'a str,
    /// The table and the stage as SQL names them.
    place: &'a str,
    stage: &'a str,
    schema: &'a StreamSchema,
    /// In upsert mode.
    key: &'a [String],
    existing: &'a BTreeMap<String, Existing>,
}

impl Way<'_> {
    /// Whether the table's types are those of the stream, so that it takes their binary form.
    fn is_direct(&self) -> bool {
        self.schema.columns().iter().all(|column| {
            self.existing.get(&column.name).is_some_and(|e| e.base == base_of(&column.column_type))
        })
    }

    async fn prepare(&self, sql: &str) -> Result<Statement, PostgresError> {
        let doing = format!("prepare the statements for table {}", self.table);
        self.client.prepare(sql).await.map_err(PostgresError::server(doing))
    }

    async fn create_stage(&self) -> Result<(), PostgresError> {
        let columns = self.schema.columns().iter().map(declared).collect::<Vec<_>>().join(", ");
        let sql = format!("CREATE TEMP TABLE {} ({columns}) ON COMMIT DELETE ROWS", self.stage);
        self.client.batch_execute(&sql).await.map_err(PostgresError::server("create a temporary table"))
    }

    fn names(&self) -> String {
        list(self.schema.columns().iter().map(|column| &column.name))
    }

    fn copy_into(&self, place: &str) -> String {
        format!("COPY {place} ({}) FROM STDIN (FORMAT binary)", self.names())
    }

    fn insert(&self) -> String {
        let columns = self.schema.columns();
        let values: Vec<_> = columns.iter().map(|c| assigned(c, self.existing.get(&c.name))).collect();
        let conflict = if self.key.is_empty() { String::new() } else { on_conflict(columns, self.key) };
        let (names, values) = (self.names(), values.join(", "));
        format!("INSERT INTO {} ({names}) SELECT {values} FROM {} s{conflict}", self.place, self.stage)
    }

    async fn keyed(&self) -> Result<Keyed, PostgresError> {
        let (place, stage) = (self.place, self.stage);
        let columns = self.schema.columns();
        let index = |name| columns.iter().position(|column| &column.name == name);
        let key: Vec<_> = self.key.iter().filter_map(index).collect();
        let matches: Vec<_> = key
            .iter()
            .map(|&i| &columns[i])
            .map(|c| format!("t.{} = {}", quoted(&c.name), assigned(c, self.existing.get(&c.name))))
            .collect();
        let (keys, matches) = (list(self.key.iter()), matches.join(" AND "));
        let assignment = |(index, c): (usize, &Column)| {
            (quoted(&c.name), assigned(c, self.existing.get(&c.name)), key.contains(&index))
        };
        Ok(Keyed {
            assignments: columns.iter().enumerate().map(assignment).collect(),
            place: place.to_owned(),
            stage: stage.to_owned(),
            key: key.clone(),
            copy_keys: self.prepare(&format!("COPY {stage} ({keys}) FROM STDIN (FORMAT binary)")).await?,
            delete: self.prepare(&format!("DELETE FROM {place} t USING {stage} s WHERE {matches}")).await?,
            delete_all: self.prepare(&format!("DELETE FROM {place}")).await?,
        })
    }
}

pub(crate) fn is_keyed(config: &Config, schema: &StreamSchema) -> Result<bool, String> {
    match config.mode {
        None => Ok(!schema.key().is_empty()),
        Some(Mode::Append) => Ok(false),
        Some(Mode::Upsert) if schema.key().is_empty() => {
            Err("mode `upsert` needs a key, and the stream has none; set a key at its source, or use mode `append`"
                .to_owned())
        }
        Some(Mode::Upsert) => Ok(true),
    }
}

/// PostgreSQL would cut a longer name and so mistake it for another.
fn check_names(table: &str, columns: &[Column]) -> Result<(), String> {
    let too_long = |name: &&str| name.len() > MAX_NAME_BYTES;
    match std::iter::once(table).chain(columns.iter().map(|column| &*column.name)).find(too_long) {
        Some(name) => Err(format!("the name `{name}` is longer than {MAX_NAME_BYTES} bytes; shorten it")),
        None => Ok(()),
    }
}

/// Creates the table or adds the columns that it lacks, and returns its columns. Only key columns are
/// declared `NOT NULL`: a later schema may allow absence where this one does not.
async fn evolve(
    client: &Client,
    config: &Config,
    table: &str,
    place: &str,
    columns: &[Column],
    key: &[String],
) -> Result<BTreeMap<String, Existing>, PostgresError> {
    let unfit = |reason| PostgresError::Unfit { table: table.to_owned(), reason };
    let existing = existing_columns(client, table, place).await?;
    let missing: Vec<_> = columns.iter().filter(|column| !existing.contains_key(&column.name)).collect();
    let sql = match (existing.is_empty(), missing.first()) {
        (false, None) => return Ok(existing),
        (true, _) if !config.create => {
            return Err(unfit("it does not exist; create it, or set `create: true`".to_owned()));
        }
        (true, _) => create(place, columns, key),
        (false, Some(column)) if !config.alter => {
            let name = &column.name;
            return Err(unfit(format!("it lacks column `{name}`; add it, or set `alter: true`")));
        }
        (false, Some(_)) => {
            let added: Vec<_> =
                missing.iter().map(|c| format!("ADD COLUMN IF NOT EXISTS {}", declared(c))).collect();
            format!("ALTER TABLE {place} {}", added.join(", "))
        }
    };
    let doing = format!("create or extend table {table}");
    client.batch_execute(&sql).await.map_err(PostgresError::server(doing))?;
    existing_columns(client, table, place).await
}

/// A table's columns by name; none when there is no such table.
async fn existing_columns(
    client: &Client,
    table: &str,
    place: &str,
) -> Result<BTreeMap<String, Existing>, PostgresError> {
    const SQL: &str = "SELECT attname::text, format_type(atttypid, NULL), format_type(atttypid, atttypmod) \
         FROM pg_attribute WHERE attrelid = to_regclass($1) AND attnum > 0 AND NOT attisdropped";
    let doing = format!("read the columns of table {table}");
    let rows = client.query(SQL, &[&place]).await.map_err(PostgresError::server(doing))?;
    Ok(rows.into_iter().map(|row| (row.get(0), Existing { base: row.get(1), full: row.get(2) })).collect())
}

fn create(place: &str, columns: &[Column], key: &[String]) -> String {
    let mut parts: Vec<_> = columns.iter().map(declared).collect();
    if !key.is_empty() {
        parts.push(format!("PRIMARY KEY ({})", list(key.iter())));
    }
    format!("CREATE TABLE {place} ({})", parts.join(", "))
}

fn on_conflict(columns: &[Column], key: &[String]) -> String {
    let rest = columns.iter().filter(|column| !key.contains(&column.name));
    let updates: Vec<_> =
        rest.map(|c| quoted(&c.name)).map(|name| format!("{name} = excluded.{name}")).collect();
    let action = match updates.is_empty() {
        true => "NOTHING".to_owned(),
        false => format!("UPDATE SET {}", updates.join(", ")),
    };
    format!(" ON CONFLICT ({}) DO {action}", list(key.iter()))
}

/// A staged value as it is assigned. PostgreSQL assigns text to no other kind of type without being asked.
fn assigned(column: &Column, existing: Option<&Existing>) -> String {
    const TEXTS: &[&str] = &["text", "character varying", "character", "citext", "name"];
    let value = format!("s.{}", quoted(&column.name));
    match existing {
        Some(existing) if base_of(&column.column_type) == "text" && !TEXTS.contains(&&*existing.base) => {
            format!("{value}::{}", existing.full)
        }
        _ => value,
    }
}

fn declared(column: &Column) -> String {
    let name = quoted(&column.name);
    match column.column_type {
        ColumnType::Decimal { precision, scale } => format!("{name} numeric({precision},{scale})"),
        ColumnType::Uint64 => format!("{name} numeric(20,0)"),
        ref other => format!("{name} {}", base_of(other)),
    }
}

/// The type of a column, as `format_type` spells it without a modifier.
fn base_of(column_type: &ColumnType) -> &'static str {
    match column_type {
        ColumnType::Boolean => "boolean",
        ColumnType::Int8 | ColumnType::Int16 | ColumnType::Uint8 => "smallint",
        ColumnType::Int32 | ColumnType::Uint16 => "integer",
        ColumnType::Int64 | ColumnType::Uint32 => "bigint",
        ColumnType::Uint64 | ColumnType::Decimal { .. } => "numeric",
        ColumnType::Float32 => "real",
        ColumnType::Float64 => "double precision",
        ColumnType::String => "text",
        ColumnType::Binary => "bytea",
        ColumnType::Date => "date",
        ColumnType::Time => "time without time zone",
        ColumnType::LocalTimestamp => "timestamp without time zone",
        ColumnType::Timestamp => "timestamp with time zone",
        ColumnType::Interval => "interval",
        ColumnType::List(_) | ColumnType::Struct(_) => "jsonb",
    }
}

fn list<'a>(names: impl Iterator<Item = &'a String>) -> String {
    names.map(|name| quoted(name)).collect::<Vec<_>>().join(", ")
}

/// A name as an SQL identifier.
pub(crate) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_is_created_with_names_quoted_and_its_key() {
        let columns = [
            Column::required("id", ColumnType::Int64),
            Column::nullable("say \"hi\"", ColumnType::Decimal { precision: 12, scale: 2 }),
        ];
        assert_eq!(
            create("\"public\".\"t\"", &columns, &["id".to_owned()]),
            r#"CREATE TABLE "public"."t" ("id" bigint, "say ""hi""" numeric(12,2), PRIMARY KEY ("id"))"#
        );
        assert_eq!(on_conflict(&columns[..1], &["id".to_owned()]), r#" ON CONFLICT ("id") DO NOTHING"#);
    }

    #[test]
    fn text_is_converted_where_it_would_not_be_assigned() {
        let column = Column::nullable("when", ColumnType::String);
        let existing = |base: &str| Existing { base: base.to_owned(), full: base.to_owned() };
        assert_eq!(assigned(&column, Some(&existing("date"))), "s.\"when\"::date");
        assert_eq!(assigned(&column, Some(&existing("character varying"))), "s.\"when\"");
    }

    #[test]
    fn a_name_that_postgres_would_cut_is_refused() {
        let long = "x".repeat(64);
        assert!(
            check_names("t", &[Column::nullable(&long, ColumnType::String)]).unwrap_err().contains(&long)
        );
    }
}
