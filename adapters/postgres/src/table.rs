//! The table of a stream: creating it, adding columns, and the types that it has.

use std::collections::BTreeMap;

use tokio_postgres::Client;
use towpath_adapter_api::Mode;
use towpath_adapter_api::mode::VALID_TO_COLUMN;
use towpath_record::{Column, ColumnType, StreamSchema};

use crate::config::Config;
use crate::error::PostgresError;

/// What PostgreSQL cuts names to, in bytes.
const MAX_NAME_BYTES: usize = 63;

/// What a table is to be.
pub(crate) struct Shape<'a> {
    pub(crate) table: &'a str,
    /// The table as SQL names it.
    pub(crate) place: &'a str,
    pub(crate) mode: Mode,
    pub(crate) schema: &'a StreamSchema,
}

/// A column as the database has it.
pub(crate) struct Existing {
    /// Its type without and with its modifier: `numeric` and `numeric(12,2)`.
    pub(crate) base: String,
    pub(crate) full: String,
}

/// PostgreSQL would cut a longer name and so mistake it for another.
fn check_names(table: &str, columns: &[Column]) -> Result<(), String> {
    let too_long = |name: &&str| name.len() > MAX_NAME_BYTES;
    match std::iter::once(table).chain(columns.iter().map(|column| &*column.name)).find(too_long) {
        Some(name) => Err(format!("the name `{name}` is longer than {MAX_NAME_BYTES} bytes; shorten it")),
        None => Ok(()),
    }
}

/// Creates the table or adds the columns that it lacks, and returns its columns. Only columns of the primary
/// key are declared `NOT NULL`: a later schema may allow absence where this one does not.
pub(crate) async fn evolve(
    client: &Client,
    config: &Config,
    shape: &Shape<'_>,
) -> Result<BTreeMap<String, Existing>, PostgresError> {
    let (table, place) = (shape.table, shape.place);
    let unfit = |reason| PostgresError::Unfit { table: table.to_owned(), reason };
    let mut columns = shape.schema.columns().to_vec();
    columns.extend(shape.mode.added_columns(config.deleted_at()));
    check_names(table, &columns).map_err(unfit)?;
    let existing = existing_columns(client, table, place).await?;
    if shape.mode == Mode::History && !existing.is_empty() {
        admits_versions(client, shape).await?;
    }
    let missing: Vec<_> = columns.iter().filter(|column| !existing.contains_key(&column.name)).collect();
    let sql = match (existing.is_empty(), missing.first()) {
        (false, None) => return Ok(existing),
        (true, _) if !config.create => {
            return Err(unfit("it does not exist; create it, or set `create: true`".to_owned()));
        }
        (true, _) => create(shape, &columns),
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

/// Refuses a table in which a key can stand only once, such as one that another mode has made.
async fn admits_versions(client: &Client, shape: &Shape<'_>) -> Result<(), PostgresError> {
    const SQL: &str = "SELECT EXISTS (SELECT FROM pg_index i \
         WHERE i.indrelid = to_regclass($1) AND i.indisunique AND i.indpred IS NULL AND i.indexprs IS NULL \
         AND NOT EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = i.indrelid AND a.attnum = ANY (i.indkey) \
         AND a.attname::text <> ALL ($2)))";
    let doing = format!("read the keys of table {}", shape.table);
    let found = client.query_one(SQL, &[&shape.place, &shape.schema.key()]).await;
    match found.map_err(PostgresError::server(doing))?.get(0) {
        false => Ok(()),
        true => Err(PostgresError::Unfit {
            table: shape.table.to_owned(),
            reason: "a unique key of it admits only one version of each row, so it cannot hold a history; \
                     name another table, or drop that key"
                .to_owned(),
        }),
    }
}

/// A table's columns by name; none when there is no such table.
pub(crate) async fn existing_columns(
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

fn create(shape: &Shape<'_>, columns: &[Column]) -> String {
    let place = shape.place;
    let mut parts: Vec<_> = columns.iter().map(declared).collect();
    let key = shape.mode.primary_key(shape.schema.key());
    if !key.is_empty() {
        parts.push(format!("PRIMARY KEY ({})", list(key.iter())));
    }
    let create = format!("CREATE TABLE {place} ({})", parts.join(", "));
    match shape.mode {
        // It finds the current version of a row among many, and no row has two.
        Mode::History => {
            let (key, ended) = (list(shape.schema.key().iter()), quoted(VALID_TO_COLUMN));
            format!("{create}; CREATE UNIQUE INDEX ON {place} ({key}) WHERE {ended} IS NULL")
        }
        _ => create,
    }
}

/// A staged value as it is assigned. PostgreSQL assigns text to no other kind of type without being asked.
pub(crate) fn assigned(column: &Column, existing: Option<&Existing>) -> String {
    const TEXTS: &[&str] = &["text", "character varying", "character", "citext", "name"];
    let value = format!("s.{}", quoted(&column.name));
    match existing {
        Some(existing) if base_of(&column.column_type) == "text" && !TEXTS.contains(&&*existing.base) => {
            format!("{value}::{}", existing.full)
        }
        _ => value,
    }
}

pub(crate) fn declared(column: &Column) -> String {
    let name = quoted(&column.name);
    match column.column_type {
        ColumnType::Decimal { precision, scale } => format!("{name} numeric({precision},{scale})"),
        ColumnType::Uint64 => format!("{name} numeric(20,0)"),
        ref other => format!("{name} {}", base_of(other)),
    }
}

/// The type of a column, as `format_type` spells it without a modifier.
pub(crate) fn base_of(column_type: &ColumnType) -> &'static str {
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

pub(crate) fn list<'a>(names: impl Iterator<Item = &'a String>) -> String {
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
        let columns = vec![
            Column::required("id", ColumnType::Int64),
            Column::nullable("say \"hi\"", ColumnType::Decimal { precision: 12, scale: 2 }),
        ];
        let schema = StreamSchema::new(columns, vec!["id".to_owned()]).unwrap();
        let shape = |mode| Shape { table: "t", place: "\"public\".\"t\"", mode, schema: &schema };
        assert_eq!(
            create(&shape(Mode::Upsert), schema.columns()),
            r#"CREATE TABLE "public"."t" ("id" bigint, "say ""hi""" numeric(12,2), PRIMARY KEY ("id"))"#
        );
        assert_eq!(
            create(&shape(Mode::History), &schema.columns()[..1]),
            r#"CREATE TABLE "public"."t" ("id" bigint, PRIMARY KEY ("id", "_valid_from", "_seq")); CREATE UNIQUE INDEX ON "public"."t" ("id") WHERE "_valid_to" IS NULL"#
        );
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
