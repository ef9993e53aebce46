//! The table of a stream as the server has it: creating it, adding columns, and what its columns are.

use std::collections::BTreeMap;

use mysql_async::prelude::Queryable;
use mysql_async::{Conn, params};
use towpath_adapter_api::Mode;
use towpath_record::{Column, ColumnType, StreamSchema};

use crate::client::Flavor;
use crate::config::Config;
use crate::error::MysqlError;
use crate::load::Form;

/// How many characters a name may have.
const MAX_NAME_CHARS: usize = 64;
/// How many digits MySQL holds behind the point. MariaDB holds more; tables are made alike.
const MAX_SCALE: u8 = 30;
/// Holds a decimal with its sign, its point and a zero before it.
const DECIMAL_CHARS: u16 = 41;
const INTERVAL_CHARS: u16 = 100;
/// Holds the words that a mode writes.
const WORD_CHARS: u16 = 16;

/// What a table must be for a stream.
pub(crate) struct Shape<'a> {
    pub(crate) table: &'a str,
    pub(crate) mode: Mode,
    pub(crate) schema: &'a StreamSchema,
    pub(crate) config: &'a Config,
    pub(crate) flavor: Flavor,
}

/// A table as the server has it.
#[derive(Debug, Default)]
pub(crate) struct Table {
    /// Its columns by name in lower case: to MySQL, names of columns have no case.
    columns: BTreeMap<String, Existing>,
    /// The columns of each of its unique indexes, in lower case and order.
    unique: Vec<Vec<String>>,
}

/// A column as the server has it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Existing {
    /// Its type without what is in brackets: `varchar`.
    pub(crate) base: String,
    /// Its type, character set and collation, as a definition has them.
    pub(crate) full: String,
}

impl Table {
    /// Reads a table; one that does not exist has no columns.
    ///
    /// # Errors
    /// The server fails, or the table is of a kind that takes no part in transactions.
    pub(crate) async fn read(connection: &mut Conn, table: &str) -> Result<Self, MysqlError> {
        // The catalog compares names without case; where the file system tells them apart, so must we.
        const NAMED: &str = "table_schema = DATABASE() AND table_name = :name \
             AND (@@lower_case_table_names > 0 OR BINARY table_name = :name)";
        let named = params! { "name" => table };
        let doing = || MysqlError::server(format!("read the columns of table {table}"));
        let sql = format!("SELECT engine FROM information_schema.tables WHERE {NAMED}");
        let engine: Option<Option<String>> =
            connection.exec_first(sql, named.clone()).await.map_err(doing())?;
        let Some(engine) = engine else { return Ok(Self::default()) };
        check_engine(table, engine.as_deref())?;
        let sql = format!(
            "SELECT column_name, data_type, column_type, character_set_name, collation_name \
             FROM information_schema.columns WHERE {NAMED}"
        );
        let rows: Vec<ColumnRow> = connection.exec(sql, named.clone()).await.map_err(doing())?;
        let sql = format!(
            "SELECT index_name, column_name, sub_part FROM information_schema.statistics \
             WHERE {NAMED} AND non_unique = 0 ORDER BY index_name, seq_in_index"
        );
        let parts: Vec<(String, Option<String>, Option<u64>)> =
            connection.exec(sql, named).await.map_err(doing())?;
        Ok(Self { columns: rows.into_iter().map(existing).collect(), unique: indexes(parts) })
    }

    /// Whether there is such a table.
    pub(crate) fn exists(&self) -> bool {
        !self.columns.is_empty()
    }

    /// The column of this name.
    pub(crate) fn column(&self, name: &str) -> Option<&Existing> {
        self.columns.get(&name.to_lowercase())
    }

    /// Whether a row can be told from others by these columns, and whether something else tells rows apart too.
    pub(crate) fn uniqueness(&self, key: &[String]) -> Uniqueness {
        let mut wanted: Vec<_> = key.iter().map(|name| name.to_lowercase()).collect();
        wanted.sort();
        let is_wanted = |index: &Vec<String>| {
            let mut index = index.clone();
            index.sort();
            index == wanted
        };
        match self.unique.iter().filter(|index| is_wanted(index)).count() {
            0 => Uniqueness::None,
            here if here == self.unique.len() => Uniqueness::ByKeyAlone,
            _ => Uniqueness::ByMore,
        }
    }
}

/// By what a table tells rows apart.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Uniqueness {
    /// Not by the key.
    None,
    /// By the key and nothing else.
    ByKeyAlone,
    /// By the key and by other columns.
    ByMore,
}

type ColumnRow = (String, String, String, Option<String>, Option<String>);

fn existing((name, base, full, charset, collation): ColumnRow) -> (String, Existing) {
    let full = match (charset, collation) {
        (Some(charset), Some(collation)) => format!("{full} CHARACTER SET {charset} COLLATE {collation}"),
        _ => full,
    };
    (name.to_lowercase(), Existing { base: base.to_lowercase(), full })
}

/// Indexes from their parts, in order. One of a part's first characters, or of an expression, tells no rows apart
/// by its columns; it stands without any, so that it counts as another.
fn indexes(parts: Vec<(String, Option<String>, Option<u64>)>) -> Vec<Vec<String>> {
    let mut indexes = BTreeMap::<String, (Vec<String>, bool)>::new();
    for (index, column, cut) in parts {
        let (columns, is_whole) = indexes.entry(index).or_insert((Vec::new(), true));
        *is_whole &= cut.is_none() && column.is_some();
        columns.extend(column.map(|name| name.to_lowercase()));
    }
    indexes.into_values().map(|(columns, is_whole)| if is_whole { columns } else { Vec::new() }).collect()
}

fn check_engine(table: &str, engine: Option<&str>) -> Result<(), MysqlError> {
    let unfit = |reason| Err(MysqlError::Unfit { table: table.to_owned(), reason });
    match engine {
        Some(engine) if engine.eq_ignore_ascii_case("InnoDB") => Ok(()),
        Some(engine) => unfit(format!(
            "its engine is {engine}, which cannot commit rows together with their checkpoint; run ALTER TABLE {} \
             ENGINE = InnoDB",
            quoted(table)
        )),
        None => unfit("it is a view; name the table behind it".to_owned()),
    }
}

impl Shape<'_> {
    /// The table as it stands, and the statement that makes it what the stream needs.
    ///
    /// # Errors
    /// The server fails, or the configuration forbids the statement.
    pub(crate) async fn needs(&self, connection: &mut Conn) -> Result<(Table, Option<Need>), MysqlError> {
        self.check_names().map_err(|reason| self.unfit(reason))?;
        let table = Table::read(connection, self.table).await?;
        if !table.exists() {
            if !self.config.create {
                return Err(self.unfit("it does not exist; create it, or set `create: true`"));
            }
            return Ok((table, Some(Need::Create(self.create()?))));
        }
        let columns = self.columns()?;
        let missing: Vec<_> = columns.iter().filter(|(name, _)| table.column(name).is_none()).collect();
        let Some((first, _)) = missing.first() else { return Ok((table, None)) };
        if !self.config.alter {
            return Err(self.unfit(format!("it lacks column `{first}`; add it, or set `alter: true`")));
        }
        let added: Vec<_> = missing
            .iter()
            .map(|(name, definition)| format!("ADD COLUMN {} {definition}", quoted(name)))
            .collect();
        let sql = format!("ALTER TABLE {} {}", quoted(self.table), added.join(", "));
        Ok((table, Some(Need::Extend(sql))))
    }

    /// That the table does not fit, and why.
    pub(crate) fn unfit(&self, reason: impl Into<String>) -> MysqlError {
        MysqlError::Unfit { table: self.table.to_owned(), reason: reason.into() }
    }

    fn check_names(&self) -> Result<(), String> {
        let columns = self.schema.columns();
        let mut names = std::iter::once(self.table).chain(columns.iter().map(|column| &*column.name));
        if let Some(name) = names.find(|name| name.chars().count() > MAX_NAME_CHARS) {
            return Err(format!("the name `{name}` is longer than {MAX_NAME_CHARS} characters; shorten it"));
        }
        let mut seen = BTreeMap::new();
        for column in columns {
            if let Some(earlier) = seen.insert(column.name.to_lowercase(), &*column.name) {
                return Err(format!(
                    "columns `{earlier}` and `{}` differ only in case, which MySQL does not tell apart; rename one",
                    column.name
                ));
            }
        }
        Ok(())
    }

    /// Every column that the table must have, with its definition. Only columns of the key are `NOT NULL`: a later
    /// schema may allow absence where this one does not.
    fn columns(&self) -> Result<Vec<(String, String)>, MysqlError> {
        let primary = self.mode.primary_key(self.schema.key());
        let key_length = self.config.key_length;
        let of_stream = self.schema.columns().iter().map(|column| {
            let definition = match primary.contains(&column.name) {
                true => {
                    key_definition(column, key_length, self.flavor).map_err(|reason| self.unfit(reason))?
                }
                false => definition(&column.column_type),
            };
            Ok((column.name.clone(), definition))
        });
        let added = self.mode.added_columns(self.config.deleted_at());
        let of_mode = added.into_iter().map(|column| {
            let definition = match column.column_type {
                ColumnType::String => ascii(WORD_CHARS),
                ref other => definition(other),
            };
            let null = if column.nullable { "" } else { " NOT NULL" };
            Ok((column.name, format!("{definition}{null}")))
        });
        of_stream.chain(of_mode).collect()
    }

    fn create(&self) -> Result<String, MysqlError> {
        let columns = self.columns()?;
        let mut parts: Vec<_> =
            columns.iter().map(|(name, definition)| format!("{} {definition}", quoted(name))).collect();
        let primary = self.mode.primary_key(self.schema.key());
        if !primary.is_empty() {
            let names: Vec<_> = primary.iter().map(|name| quoted(name)).collect();
            parts.push(format!("PRIMARY KEY ({})", names.join(", ")));
        }
        let table = quoted(self.table);
        Ok(format!("CREATE TABLE IF NOT EXISTS {table} ({}) ENGINE = InnoDB", parts.join(", ")))
    }
}

/// A statement that a table needs. Either ends the transaction of its connection.
#[derive(Debug)]
pub(crate) enum Need {
    /// Nobody has the table open.
    Create(String),
    /// The table may be open in a transaction, which it waits for.
    Extend(String),
}

/// The definition of a column of the key.
fn key_definition(column: &Column, length: u16, flavor: Flavor) -> Result<String, String> {
    // Case and trailing blanks tell keys apart, as they do at the source.
    let exact = match flavor {
        Flavor::MariaDb => "utf8mb4_nopad_bin",
        Flavor::MySql => "utf8mb4_0900_bin",
    };
    let definition = match column.column_type {
        ColumnType::String => format!("VARCHAR({length}) CHARACTER SET utf8mb4 COLLATE {exact}"),
        ColumnType::Binary => format!("VARBINARY({length})"),
        ColumnType::List(_) | ColumnType::Struct(_) => {
            let name = &column.name;
            return Err(format!(
                "column `{name}` of the key is a list or a struct, which MySQL does not index"
            ));
        }
        ref other => definition(other),
    };
    Ok(format!("{definition} NOT NULL"))
}

/// The type of a column that is created.
fn definition(column_type: &ColumnType) -> String {
    match column_type {
        ColumnType::Boolean => "TINYINT(1)",
        ColumnType::Int8 => "TINYINT",
        ColumnType::Int16 => "SMALLINT",
        ColumnType::Int32 => "INT",
        ColumnType::Int64 => "BIGINT",
        ColumnType::Uint8 => "TINYINT UNSIGNED",
        ColumnType::Uint16 => "SMALLINT UNSIGNED",
        ColumnType::Uint32 => "INT UNSIGNED",
        ColumnType::Uint64 => "BIGINT UNSIGNED",
        ColumnType::Float32 => "FLOAT",
        ColumnType::Float64 => "DOUBLE",
        ColumnType::Decimal { scale, .. } if *scale > MAX_SCALE => return ascii(DECIMAL_CHARS),
        ColumnType::Decimal { precision, scale } => return format!("DECIMAL({precision},{scale})"),
        ColumnType::String => "LONGTEXT CHARACTER SET utf8mb4",
        ColumnType::Binary => "LONGBLOB",
        ColumnType::Date => "DATE",
        ColumnType::Time => "TIME(6)",
        ColumnType::LocalTimestamp | ColumnType::Timestamp => "DATETIME(6)",
        ColumnType::Interval => return ascii(INTERVAL_CHARS),
        ColumnType::List(_) | ColumnType::Struct(_) => "JSON",
    }
    .to_owned()
}

fn ascii(chars: u16) -> String {
    format!("VARCHAR({chars}) CHARACTER SET ascii COLLATE ascii_bin")
}

/// How the text of a stream's value becomes that of the table's column.
pub(crate) fn form(column_type: &ColumnType, existing: Option<&Existing>) -> Form {
    match existing {
        _ if *column_type == ColumnType::Binary => Form::Hex,
        Some(existing) if existing.base == "bit" => Form::Bits,
        _ => Form::Text,
    }
}

/// A name as an SQL identifier.
pub(crate) fn quoted(name: &str) -> String {
    format!("`{}`", name.replace('`', "``"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn shaped<T>(columns: Vec<Column>, key: &[&str], look: impl FnOnce(Shape<'_>) -> T) -> T {
        let config = Config::read(&json!({ "url": "mysql://u@h/d" })).unwrap();
        let schema = StreamSchema::new(columns, key.iter().map(|&name| name.to_owned()).collect()).unwrap();
        let mode = if key.is_empty() { Mode::Append } else { Mode::Upsert };
        look(Shape { table: "t", mode, schema: &schema, config: &config, flavor: Flavor::MariaDb })
    }

    #[test]
    fn a_table_is_created_with_names_quoted_and_a_key_that_tells_case_apart() {
        let columns = vec![
            Column::required("code", ColumnType::String),
            Column::nullable("say `hi`", ColumnType::Decimal { precision: 12, scale: 2 }),
            Column::nullable("fine", ColumnType::Decimal { precision: 38, scale: 31 }),
        ];
        assert_eq!(
            shaped(columns, &["code"], |shape| shape.create().unwrap()),
            "CREATE TABLE IF NOT EXISTS `t` (`code` VARCHAR(255) CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin \
             NOT NULL, `say ``hi``` DECIMAL(12,2), `fine` VARCHAR(41) CHARACTER SET ascii COLLATE ascii_bin, \
             PRIMARY KEY (`code`)) ENGINE = InnoDB"
        );
    }

    #[test]
    fn what_mysql_would_mix_up_or_cut_is_refused() {
        let column = |name: &str| Column::nullable(name, ColumnType::String);
        let said = |columns| shaped(columns, &[], |shape| shape.check_names().unwrap_err());
        assert!(said(vec![column("Name"), column("name")]).contains("`Name` and `name`"));
        assert!(said(vec![column(&"ü".repeat(65))]).contains("64 characters"));
        let list = ColumnType::List(Box::new(column("item")));
        let listed = vec![Column::required("tags", list)];
        let said = shaped(listed, &["tags"], |shape| shape.create().unwrap_err().to_string());
        assert!(said.contains("`tags`"), "{said}");
    }

    #[test]
    fn what_tells_rows_apart_is_known_by_the_unique_indexes() {
        let table = |unique: &[&[&str]]| Table {
            unique: unique.iter().map(|index| index.iter().map(|&name| name.to_owned()).collect()).collect(),
            ..Table::default()
        };
        let key = ["B".to_owned(), "a".to_owned()];
        assert_eq!(table(&[]).uniqueness(&key), Uniqueness::None);
        assert_eq!(table(&[&["a"]]).uniqueness(&key), Uniqueness::None);
        assert_eq!(table(&[&["a", "b"]]).uniqueness(&key), Uniqueness::ByKeyAlone);
        assert_eq!(table(&[&["a", "b"], &["c"]]).uniqueness(&key), Uniqueness::ByMore);
        assert_eq!(table(&[&["a", "b"], &[]]).uniqueness(&key), Uniqueness::ByMore);
    }
}
