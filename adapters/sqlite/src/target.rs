//! The statements that write a stream's table.
//!
//! Their parameters are columns of a row: those of the schema, and behind them what the mode notes of a change,
//! its time first.

use rusqlite::Connection;
use towpath_adapter_api::Mode;
use towpath_adapter_api::mode::{SEQUENCE_COLUMN, VALID_FROM_COLUMN, VALID_TO_COLUMN};
use towpath_record::StreamSchema;
use towpath_record::schema::OP_COLUMN;

use crate::config::Config;
use crate::error::SqliteError;
use crate::table::{Shape, evolve, quoted};

/// How the rows of one stream in one schema are written.
pub(crate) struct Target {
    pub(crate) table: String,
    pub(crate) mode: Mode,
    /// Adds or replaces a row, or adds a version.
    pub(crate) write: Sql,
    /// In every mode but `append`.
    pub(crate) keyed: Option<Keyed>,
    way: Way,
}

/// How rows are told apart and ended: deleted, marked as deleted, or left as history.
pub(crate) struct Keyed {
    /// The key columns, as indices into the schema's columns.
    pub(crate) key: Vec<usize>,
    /// Ends the row with a key.
    pub(crate) end: Sql,
    pub(crate) end_all: Sql,
    /// In a history: asks whether the table has the change already.
    pub(crate) is_repeat: Option<Sql>,
}

/// A statement and the columns that its parameters are.
pub(crate) struct Sql {
    pub(crate) text: String,
    pub(crate) parameters: Vec<usize>,
}

impl Target {
    /// Makes `table` ready for rows of `schema`, within the transaction that is open.
    pub(crate) fn prepare(
        database: &Connection,
        config: &Config,
        table: String,
        schema: &StreamSchema,
    ) -> Result<Self, SqliteError> {
        let mode = Mode::of(config.mode, schema, config.deleted_at()).map_err(|reason| {
            SqliteError::Unfit { path: config.path.clone(), table: table.clone(), reason }
        })?;
        evolve(database, config, &Shape { table: &table, mode, schema })?;
        let way = Way::new(mode, &table, config.deleted_at(), schema);
        let keyed = mode.is_keyed().then(|| Keyed {
            key: way.key.clone(),
            end: way.end(),
            end_all: way.end_all(),
            is_repeat: (mode == Mode::History).then(|| way.is_repeat()),
        });
        Ok(Self { table, mode, write: way.write(&[]), keyed, way })
    }

    /// Writes a row but for the columns `kept`; `None` if nothing is left to be written.
    pub(crate) fn write_but_for(&self, kept: &[usize]) -> Option<Sql> {
        match self.mode {
            Mode::History => Some(self.way.write(kept)),
            Mode::Append | Mode::Upsert | Mode::SoftDelete => self.way.update(kept),
        }
    }
}

/// Everything that the statements of a target are made of, quoted.
struct Way {
    mode: Mode,
    table: String,
    /// The schema's columns.
    names: Vec<String>,
    /// The key's columns, in key order, as indices.
    key: Vec<usize>,
    deleted_at: String,
}

/// Gives columns their places among a statement's parameters.
#[derive(Default)]
struct Parameters(Vec<usize>);

impl Parameters {
    fn of(&mut self, column: usize) -> String {
        let place = self.0.iter().position(|known| *known == column).unwrap_or_else(|| {
            self.0.push(column);
            self.0.len() - 1
        });
        format!("?{}", place + 1)
    }

    fn statement(self, text: String) -> Sql {
        Sql { text, parameters: self.0 }
    }
}

impl Way {
    fn new(mode: Mode, table: &str, deleted_at: &str, schema: &StreamSchema) -> Self {
        let index = |name| schema.columns().iter().position(|column| &column.name == name);
        Self {
            mode,
            table: quoted(table),
            names: schema.columns().iter().map(|column| quoted(&column.name)).collect(),
            key: schema.key().iter().filter_map(index).collect(),
            deleted_at: quoted(deleted_at),
        }
    }

    /// The column with the time of a change, and in a history those with its operation and sequence.
    fn time(&self) -> usize {
        self.names.len()
    }

    fn op(&self) -> usize {
        self.names.len() + 1
    }

    fn sequence(&self) -> usize {
        self.names.len() + 2
    }

    fn key_names(&self) -> String {
        self.key.iter().map(|i| &*self.names[*i]).collect::<Vec<_>>().join(", ")
    }

    /// Whether a row of the table has the key of the one that is written.
    fn matches(&self, parameters: &mut Parameters) -> String {
        let equal = |i: &usize| format!("{} = {}", self.names[*i], parameters.of(*i));
        self.key.iter().map(equal).collect::<Vec<_>>().join(" AND ")
    }

    fn write(&self, kept: &[usize]) -> Sql {
        let Self { table, deleted_at, .. } = self;
        let mut parameters = Parameters::default();
        let values = (0..self.names.len()).map(|i| match kept.contains(&i) {
            true => self.names[i].clone(),
            false => parameters.of(i),
        });
        let (values, names) = (values.collect::<Vec<_>>().join(", "), self.names.join(", "));
        let rest = (0..self.names.len()).filter(|i| !self.key.contains(i)).map(|i| &self.names[i]);
        let mut updates: Vec<_> = rest.map(|name| format!("{name} = excluded.{name}")).collect();
        let keys = self.key_names();
        let text = match self.mode {
            Mode::Append => format!("INSERT INTO {table} ({names}) VALUES ({values})"),
            Mode::Upsert => {
                let action = match updates.is_empty() {
                    true => "NOTHING".to_owned(),
                    false => format!("UPDATE SET {}", updates.join(", ")),
                };
                format!("INSERT INTO {table} ({names}) VALUES ({values}) ON CONFLICT ({keys}) DO {action}")
            }
            Mode::SoftDelete => {
                updates.push(format!("{deleted_at} = NULL"));
                format!(
                    "INSERT INTO {table} ({names}, {deleted_at}) VALUES ({values}, NULL) \
                     ON CONFLICT ({keys}) DO UPDATE SET {}",
                    updates.join(", ")
                )
            }
            Mode::History => return self.add_version(values, !kept.is_empty(), parameters),
        };
        parameters.statement(text)
    }

    /// Adds a version, after the one before it was ended. It is valid from its own time, or from that end if it is
    /// later; and if it keeps values, they are those of the version that was ended.
    fn add_version(&self, values: String, keeps: bool, mut parameters: Parameters) -> Sql {
        let (table, names) = (&self.table, self.names.join(", "));
        let (from, to, seq) = (quoted(VALID_FROM_COLUMN), quoted(VALID_TO_COLUMN), quoted(SEQUENCE_COLUMN));
        let (time, op) = (parameters.of(self.time()), parameters.of(self.op()));
        let sequence = parameters.of(self.sequence());
        let matches = self.matches(&mut parameters);
        let last = format!("FROM {table} WHERE {matches} ORDER BY {from} DESC, {seq} DESC LIMIT 1");
        let insert = format!("INSERT INTO {table} ({names}, {from}, {}, {seq})", quoted(OP_COLUMN));
        parameters.statement(match keeps {
            true => format!("{insert} SELECT {values}, {to}, {op}, {sequence} {last}"),
            false => format!(
                "{insert} VALUES ({values}, max({time}, coalesce((SELECT {to} {last}), {time})), {op}, {sequence})"
            ),
        })
    }

    /// In a mode without history. A row that is marked as deleted counts as gone.
    fn update(&self, kept: &[usize]) -> Option<Sql> {
        let mut parameters = Parameters::default();
        let written = (0..self.names.len()).filter(|i| !self.key.contains(i) && !kept.contains(i));
        let set: Vec<_> = written.map(|i| format!("{} = {}", self.names[i], parameters.of(i))).collect();
        let there = match self.mode {
            Mode::SoftDelete => format!(" AND {} IS NULL", self.deleted_at),
            _ => String::new(),
        };
        let (table, matches) = (&self.table, self.matches(&mut parameters));
        let text = format!("UPDATE {table} SET {} WHERE {matches}{there}", set.join(", "));
        (!set.is_empty()).then(|| parameters.statement(text))
    }

    fn end(&self) -> Sql {
        let (table, deleted_at) = (&self.table, &self.deleted_at);
        let mut parameters = Parameters::default();
        let matches = self.matches(&mut parameters);
        let text = match self.mode {
            Mode::Append | Mode::Upsert => format!("DELETE FROM {table} WHERE {matches}"),
            Mode::SoftDelete => {
                let time = parameters.of(self.time());
                format!("UPDATE {table} SET {deleted_at} = {time} WHERE {matches} AND {deleted_at} IS NULL")
            }
            Mode::History => {
                let (from, to) = (quoted(VALID_FROM_COLUMN), quoted(VALID_TO_COLUMN));
                let time = parameters.of(self.time());
                format!("UPDATE {table} SET {to} = max({time}, {from}) WHERE {matches} AND {to} IS NULL")
            }
        };
        parameters.statement(text)
    }

    fn end_all(&self) -> Sql {
        let (table, deleted_at) = (&self.table, &self.deleted_at);
        let mut parameters = Parameters::default();
        let text = match self.mode {
            Mode::Append | Mode::Upsert => format!("DELETE FROM {table}"),
            Mode::SoftDelete => {
                let time = parameters.of(self.time());
                format!("UPDATE {table} SET {deleted_at} = {time} WHERE {deleted_at} IS NULL")
            }
            Mode::History => {
                let (from, to, seq) =
                    (quoted(VALID_FROM_COLUMN), quoted(VALID_TO_COLUMN), quoted(SEQUENCE_COLUMN));
                let (time, sequence) = (parameters.of(self.time()), parameters.of(self.sequence()));
                format!(
                    "UPDATE {table} SET {to} = max({time}, {from}) \
                     WHERE {to} IS NULL AND NOT ({from} >= {time} AND {seq} > {sequence})"
                )
            }
        };
        parameters.statement(text)
    }

    fn is_repeat(&self) -> Sql {
        let mut parameters = Parameters::default();
        let matches = self.matches(&mut parameters);
        let (time, sequence) = (parameters.of(self.time()), parameters.of(self.sequence()));
        let (from, seq) = (quoted(VALID_FROM_COLUMN), quoted(SEQUENCE_COLUMN));
        let text = format!(
            "SELECT 1 FROM {} WHERE {matches} AND {from} >= {time} AND {seq} >= {sequence} LIMIT 1",
            self.table
        );
        parameters.statement(text)
    }
}

#[cfg(test)]
mod tests {
    use towpath_record::{Column, ColumnType};

    use super::*;

    fn way(mode: Mode, names: &[&str]) -> Way {
        let columns = names.iter().map(|name| Column::nullable(*name, ColumnType::Int64)).collect();
        let schema = StreamSchema::new(columns, vec!["id".to_owned()]).unwrap();
        Way::new(mode, "t", "_deleted_at", &schema)
    }

    #[test]
    fn an_upsert_replaces_every_column_but_the_key() {
        assert_eq!(
            way(Mode::Upsert, &["id", "say \"hi\""]).write(&[]).text,
            r#"INSERT INTO "t" ("id", "say ""hi""") VALUES (?1, ?2) ON CONFLICT ("id") DO UPDATE SET "say ""hi""" = excluded."say ""hi""""#
        );
        assert!(way(Mode::Upsert, &["id"]).write(&[]).text.ends_with("DO NOTHING"));
        assert!(
            way(Mode::SoftDelete, &["id"]).write(&[]).text.ends_with(r#"DO UPDATE SET "_deleted_at" = NULL"#)
        );
    }

    #[test]
    fn a_column_stands_once_among_the_parameters() {
        let ends = way(Mode::SoftDelete, &["note", "id"]).end();
        assert_eq!(
            ends.text,
            r#"UPDATE "t" SET "_deleted_at" = ?2 WHERE "id" = ?1 AND "_deleted_at" IS NULL"#
        );
        assert_eq!(ends.parameters, [1, 2]);
        let version = way(Mode::History, &["id", "note"]).write(&[1]);
        assert_eq!(version.parameters, [0, 2, 3, 4]);
        assert!(version.text.contains(r#"SELECT ?1, "note", "_valid_to", ?3, ?4"#), "{}", version.text);
    }
}
