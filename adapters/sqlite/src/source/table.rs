//! What a table looks like: its columns and their types, its key, and the order in which it is copied.

use rusqlite::Connection;
use serde::{Deserialize, Serialize};
use towpath_record::schema::BEFORE_COLUMN;
use towpath_record::{Column, ColumnType, StreamSchema};

use crate::error::SqliteError;
use crate::source::config::Choice;
use crate::source::database::Database;
use crate::table::quoted;

/// The column that tells rows apart in a table without a primary key.
pub(super) const ROWID_COLUMN: &str = "_rowid";
/// Columns of a table that can be read. SQLite has 2,000 columns for a table, and 1,000 for one expression.
const MOST_COLUMNS: usize = 900;

/// A table as it is read.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(super) struct TableDef {
    pub(super) name: String,
    pub(super) columns: Vec<ColumnDef>,
    /// The primary key's columns, by their place; none if it has none, and rows are told apart by their row id.
    pub(super) key: Vec<usize>,
    pub(super) walk: Walk,
    /// Other unique indexes, by which `REPLACE` removes rows without a word to triggers.
    pub(super) uniques: Vec<Vec<Collated>>,
    /// Whether rows carry what they were before.
    pub(super) before: bool,
}

/// A column as it is read.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(super) struct ColumnDef {
    pub(super) name: String,
    pub(super) column_type: ColumnType,
    /// Whether blobs are read as well, in hexadecimal.
    pub(super) any: bool,
}

/// The order in which a table is copied, which is one of its own.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(super) enum Walk {
    /// By row id, under a name that no column hides; whether `VACUUM` leaves it alone.
    Rowid { name: String, stable: bool },
    /// By the primary key of a table without row ids.
    Key(Vec<Collated>),
}

/// A column and how its texts compare.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(super) struct Collated {
    pub(super) column: usize,
    pub(super) collation: String,
}

/// Why a table cannot be read.
pub(crate) struct UnfitTable {
    pub(crate) table: String,
    pub(crate) reason: String,
}

/// What reading the tables can end with.
pub(super) enum TableFault {
    Database(rusqlite::Error),
    Unfit(UnfitTable),
}

impl From<rusqlite::Error> for TableFault {
    fn from(error: rusqlite::Error) -> Self {
        Self::Database(error)
    }
}

impl TableFault {
    /// The failure, with the database that it was met in.
    pub(super) fn at(self, database: &Database) -> SqliteError {
        match self {
            Self::Database(error) => database.fault("read the tables", error),
            Self::Unfit(unfit) => SqliteError::unfit(database.path(), unfit),
        }
    }
}

/// Every table that is chosen, by name. Views, virtual tables and what Towpath itself keeps are none.
pub(super) fn chosen(
    database: &Connection,
    choice: &Choice,
    before: bool,
) -> Result<Vec<TableDef>, TableFault> {
    let mut statement = database.prepare_cached(
        "SELECT name, wr FROM pragma_table_list WHERE schema = 'main' AND type = 'table' ORDER BY name",
    )?;
    let tables = statement.query_map([], |row| Ok((row.get::<_, String>(0)?, row.get::<_, bool>(1)?)))?;
    let mut chosen = Vec::new();
    for table in tables {
        let (name, without_rowid) = table?;
        let lower = name.to_lowercase();
        if !lower.starts_with("sqlite_") && !lower.starts_with("_towpath_") && choice.takes_table(&name) {
            let mut def = read(database, choice, name, without_rowid)?;
            def.before = before;
            chosen.push(def);
        }
    }
    Ok(chosen)
}

/// A column as SQLite tells it.
struct Told {
    name: String,
    declared: String,
    /// Its place in the primary key, from 1; 0 if it is not in it.
    key: usize,
}

fn read(
    database: &Connection,
    choice: &Choice,
    name: String,
    without_rowid: bool,
) -> Result<TableDef, TableFault> {
    let mut statement = database
        .prepare_cached("SELECT name, type, pk FROM pragma_table_xinfo(?1) WHERE hidden <> 1 ORDER BY cid")?;
    let told = statement.query_map([&name], |row| {
        let key = usize::try_from(row.get::<_, i64>(2)?).unwrap_or_default();
        Ok(Told { name: row.get(0)?, declared: row.get(1)?, key })
    })?;
    let told: Vec<Told> = told.collect::<Result<_, _>>()?;
    if told.len() > MOST_COLUMNS {
        let reason = format!("it has {} columns, and at most {MOST_COLUMNS} can be read", told.len());
        return Err(unfit(&name, reason));
    }
    let mut key: Vec<usize> = (0..told.len()).filter(|&i| told[i].key > 0).collect();
    key.sort_by_key(|&i| told[i].key);
    let Indexes { key_index, mut uniques } = indexes(database, &name)?;
    let walk = match (without_rowid, &key_index) {
        (true, Some(index)) => Walk::Key(index.clone()),
        (true, None) => return Err(unfit(&name, "its primary key cannot be found".to_owned())),
        (false, index) => rowid_walk(&name, &told, &key, index.is_none())?,
    };
    // A text key that compares otherwise than byte by byte is replaced by another text.
    uniques.extend(key_index.filter(|index| index.iter().any(|it| it.collation != "BINARY")));
    let columns = told.iter().map(|column| {
        let any = choice.takes_as_text(&name, &column.name);
        let column_type = if any { ColumnType::String } else { column_type(&column.declared) };
        ColumnDef { name: column.name.clone(), column_type, any }
    });
    Ok(TableDef { columns: columns.collect(), key, walk, uniques, before: false, name })
}

/// A primary key of one `INTEGER` column that needs no index is the row id itself.
fn rowid_walk(table: &str, told: &[Told], key: &[usize], no_index: bool) -> Result<Walk, TableFault> {
    if let [only] = key
        && no_index
    {
        return Ok(Walk::Rowid { name: told[*only].name.clone(), stable: true });
    }
    let hidden = |name: &&str| told.iter().any(|column| column.name.eq_ignore_ascii_case(name));
    let free = ["rowid", "_rowid_", "oid"].into_iter().find(|name| !hidden(name));
    let Some(name) = free else {
        return Err(unfit(table, "columns named rowid, _rowid_ and oid hide its row id".to_owned()));
    };
    Ok(Walk::Rowid { name: name.to_owned(), stable: false })
}

struct Indexes {
    key_index: Option<Vec<Collated>>,
    uniques: Vec<Vec<Collated>>,
}

fn indexes(database: &Connection, table: &str) -> rusqlite::Result<Indexes> {
    let mut statement = database.prepare_cached(
        "SELECT name, origin, partial FROM pragma_index_list(?1) WHERE \"unique\" ORDER BY name",
    )?;
    let found = statement.query_map([table], |row| {
        Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?, row.get::<_, bool>(2)?))
    })?;
    let mut indexes = Indexes { key_index: None, uniques: Vec::new() };
    for index in found {
        let (index, origin, partial) = index?;
        let columns = index_columns(database, &index)?;
        match columns {
            Some(columns) if origin == "pk" => indexes.key_index = Some(columns),
            Some(columns) if !partial => indexes.uniques.push(columns),
            _ => tracing::warn!(
                table,
                index,
                "rows that REPLACE removes by this partial or computed index are only seen with \
                 PRAGMA recursive_triggers=ON"
            ),
        }
    }
    Ok(indexes)
}

/// The columns of an index; `None` if it computes one.
fn index_columns(database: &Connection, index: &str) -> rusqlite::Result<Option<Vec<Collated>>> {
    let mut statement = database
        .prepare_cached("SELECT cid, coll FROM pragma_index_xinfo(?1) WHERE \"key\" ORDER BY seqno")?;
    let columns = statement.query_map([index], |row| {
        let column = usize::try_from(row.get::<_, i64>(0)?).ok();
        let collation: String = row.get(1)?;
        Ok(column.map(|column| Collated { column, collation: collation.to_uppercase() }))
    })?;
    columns.collect()
}

fn unfit(table: &str, reason: String) -> TableFault {
    TableFault::Unfit(UnfitTable { table: table.to_owned(), reason })
}

/// The type of a column's values by its declared type: SQLite's own rules of affinity, refined where a name says
/// more. Dates have no type of their own in SQLite, and stay what they are, as text.
pub(super) fn column_type(declared: &str) -> ColumnType {
    let declared = declared.to_ascii_uppercase();
    let has = |words: &[&str]| words.iter().any(|word| declared.contains(word));
    if has(&["BOOL"]) {
        ColumnType::Boolean
    } else if has(&["POINT"]) {
        if has(&["FLOAT"]) { ColumnType::Float64 } else { ColumnType::String }
    } else if has(&["INT"]) {
        ColumnType::Int64
    } else if has(&["CHAR", "CLOB", "TEXT"]) {
        ColumnType::String
    } else if has(&["BLOB", "BINARY"]) {
        ColumnType::Binary
    } else if has(&["REAL", "FLOA", "DOUB", "NUMERIC", "DECIMAL", "NUMBER", "MONEY"]) {
        ColumnType::Float64
    } else {
        ColumnType::String
    }
}

impl TableDef {
    /// The schema of the table's stream.
    ///
    /// # Errors
    /// A column's name cannot be one in a stream.
    pub(super) fn schema(&self) -> Result<StreamSchema, UnfitTable> {
        let fields: Vec<_> = self
            .columns
            .iter()
            .enumerate()
            .map(|(i, column)| match self.key.contains(&i) {
                true => Column::required(&column.name, column.column_type.clone()),
                false => Column::nullable(&column.name, column.column_type.clone()),
            })
            .collect();
        let before = self.before.then(|| {
            let columns = self.columns.iter().map(|it| Column::nullable(&it.name, it.column_type.clone()));
            Column::nullable(BEFORE_COLUMN, ColumnType::Struct(columns.collect()))
        });
        let rowid = self.key.is_empty().then(|| Column::required(ROWID_COLUMN, ColumnType::Int64));
        let key = match &rowid {
            Some(column) => vec![column.name.clone()],
            None => self.key.iter().map(|&i| self.columns[i].name.clone()).collect(),
        };
        let columns = rowid.into_iter().chain(fields).chain(before).collect();
        StreamSchema::new(columns, key).map_err(|error| UnfitTable {
            table: self.name.clone(),
            reason: format!("{error}; rename the column or exclude the table"),
        })
    }

    /// Whether `VACUUM` may change by what its rows are told apart or copied.
    pub(super) fn moves(&self) -> bool {
        matches!(self.walk, Walk::Rowid { stable: false, .. })
    }
}

impl Walk {
    /// How many values a key of this order has.
    pub(super) fn width(&self) -> usize {
        match self {
            Self::Rowid { .. } => 1,
            Self::Key(columns) => columns.len(),
        }
    }

    /// The terms by which rows are ordered, in the table's own columns.
    pub(super) fn terms(&self, def: &TableDef) -> Vec<String> {
        match self {
            Self::Rowid { name, .. } => vec![quoted_rowid(name)],
            Self::Key(columns) => {
                columns.iter().map(|it| collated(&quoted(&def.columns[it.column].name), it)).collect()
            }
        }
    }
}

/// The row id must not be quoted where it is no column: quoted, an unknown name is a text.
pub(super) fn quoted_rowid(name: &str) -> String {
    match name {
        "rowid" | "_rowid_" | "oid" => name.to_owned(),
        column => quoted(column),
    }
}

pub(super) fn collated(expression: &str, column: &Collated) -> String {
    format!("{expression} COLLATE {}", quoted(&column.collation))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_declared_type_says_what_a_column_holds() {
        for (declared, expected) in [
            ("INTEGER", ColumnType::Int64),
            ("unsigned big int", ColumnType::Int64),
            ("varchar(20)", ColumnType::String),
            ("double precision", ColumnType::Float64),
            ("floating point", ColumnType::Float64),
            ("point", ColumnType::String),
            ("DECIMAL(10,2)", ColumnType::Float64),
            ("boolean", ColumnType::Boolean),
            ("varbinary(8)", ColumnType::Binary),
            ("datetime", ColumnType::String),
            ("", ColumnType::String),
        ] {
            assert_eq!(column_type(declared), expected, "{declared}");
        }
    }
}
