//! The statements that write a stream's table.
//!
//! Rows are copied straight into the table where its types are those of the stream and nothing is replaced.
//! Otherwise they are copied into a temporary table of the stream's types, a *stage*, and go on from there in
//! one statement, which lets PostgreSQL convert them as it would in any assignment. A few rows go on the same way but
//! for the stage: its place in the statement is taken by one row of parameters.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio_postgres::{Client, Statement};
use towpath_adapter_api::Mode;
use towpath_adapter_api::mode::{SEQUENCE_COLUMN, VALID_FROM_COLUMN, VALID_TO_COLUMN, VERSION_COLUMNS};
use towpath_record::schema::OP_COLUMN;
use towpath_record::{Op, StreamSchema};

use crate::config::Config;
use crate::error::PostgresError;
use crate::single::Single;
use crate::table::{Existing, Shape, assigned, base_of, declared, evolve, quoted};

/// How the rows of one stream in one schema are written.
pub(crate) struct Target {
    pub(crate) table: String,
    pub(crate) mode: Mode,
    /// Copies rows into the stage, or into the table where there is none.
    pub(crate) copy: Statement,
    pub(crate) stage: Option<Stage>,
    /// Where there is a stage, in modes that have no need of seeing rows together.
    pub(crate) single: Option<Single>,
    /// In every mode but `append`.
    pub(crate) keyed: Option<Keyed>,
}

/// A temporary table on the way.
pub(crate) struct Stage {
    /// Moves the rows on into the table.
    pub(crate) insert: Statement,
    /// Empties the stage.
    pub(crate) clear: Statement,
    /// Whether there may be rows in it, which the end of the transaction removes.
    pub(crate) used: AtomicBool,
}

/// How rows are told apart and ended: deleted, marked as deleted, or left as history.
pub(crate) struct Keyed {
    /// The key columns, as indices into the schema's columns.
    pub(crate) key: Vec<usize>,
    /// Copies keys into the stage, with what the mode notes of an end.
    pub(crate) copy_ends: Statement,
    /// Ends the rows whose keys are in the stage.
    pub(crate) end: Statement,
    /// Ends all rows. Its parameters are the time, in modes that keep rows, and in a history the sequence.
    pub(crate) end_all: Statement,
    /// In a history: removes from the stage what the table has already.
    pub(crate) drop_repeats: Option<Statement>,
    way: Way,
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
        let mode = Mode::of(config.mode, schema, config.deleted_at());
        let mode = mode.map_err(|reason| PostgresError::Unfit { table: table.clone(), reason })?;
        let place = format!("{}.{}", quoted(&config.schema), quoted(&table));
        let shape = Shape { table: &table, place: &place, mode, schema };
        let existing = evolve(client, config, &shape).await?;
        let way = Way::new(mode, place, format!("pg_temp.towpath_stage_{number}"), config, schema, &existing);
        let prepare = async |sql: String| {
            let doing = format!("prepare the statements for table {table}");
            client.prepare(&sql).await.map_err(PostgresError::server(doing))
        };
        if mode == Mode::Append && is_direct(schema, &existing) {
            let copy = prepare(way.copy_rows(&way.place)).await?;
            return Ok(Self { table, mode, copy, stage: None, single: None, keyed: None });
        }
        let staged = client.batch_execute(&way.create_stage(schema)).await;
        staged.map_err(PostgresError::server("create a temporary table"))?;
        let copy = prepare(way.copy_rows(&way.stage)).await?;
        let clear = prepare(format!("TRUNCATE {}", way.stage)).await?;
        let insert = prepare(way.insert()).await?;
        let single = match mode {
            Mode::History => None,
            Mode::Append => Some(Single { insert: prepare(way.of_row().insert()).await?, end: None }),
            Mode::Upsert | Mode::SoftDelete => Some(Single {
                insert: prepare(way.of_row().insert()).await?,
                end: Some(prepare(way.of_end().end()).await?),
            }),
        };
        let keyed = match mode {
            Mode::Append => None,
            Mode::Upsert | Mode::SoftDelete | Mode::History => Some(Keyed {
                key: way.key_indices(),
                copy_ends: prepare(way.copy_ends()).await?,
                end: prepare(way.end()).await?,
                end_all: prepare(way.end_all()).await?,
                drop_repeats: match mode {
                    Mode::History => Some(prepare(way.drop_repeats()).await?),
                    _ => None,
                },
                way,
            }),
        };
        let stage = Stage { insert, clear, used: AtomicBool::new(false) };
        Ok(Self { copy, stage: Some(stage), single, keyed, mode, table })
    }

    /// Notes that a transaction has ended.
    pub(crate) fn ended(&self) {
        if let Some(stage) = &self.stage {
            stage.used.store(false, Ordering::Relaxed);
        }
    }
}

impl Keyed {
    /// In a mode without history: updates the rows in the stage but for the columns `kept`; `None` if nothing is
    /// left to be written.
    pub(crate) fn update_but_for(&self, kept: &[usize]) -> Option<String> {
        let Way { columns, place, stage, .. } = &self.way;
        let written = columns.iter().enumerate().filter(|(i, column)| !column.is_key && !kept.contains(i));
        let written: Vec<_> = written.map(|(_, c)| format!("{} = {}", c.name, c.value)).collect();
        // A row that is marked as deleted counts as gone.
        let there = match self.way.mode {
            Mode::SoftDelete => format!(" AND t.{} IS NULL", self.way.deleted_at),
            _ => String::new(),
        };
        let (set, matches) = (written.join(", "), self.way.matches());
        (!written.is_empty())
            .then(|| format!("UPDATE {place} t SET {set} FROM {stage} s WHERE {matches}{there}"))
    }

    /// In a history: fills the columns `kept` of the stage's rows with these sequences, `$1`, from the current
    /// versions. A row that follows a delete of its key has no version to keep values of.
    pub(crate) fn fill(&self, kept: &[usize]) -> String {
        let Way { columns, place, stage, .. } = &self.way;
        let kept = columns.iter().enumerate().filter(|(i, _)| kept.contains(i));
        let filled: Vec<_> = kept.map(|(_, c)| format!("{0} = t.{0}::{1}", c.name, c.staged_type)).collect();
        let same: Vec<_> = self.way.key().map(|c| format!("d.{0} = s.{0}", c.name)).collect();
        format!(
            "UPDATE {stage} s SET {} FROM {place} t WHERE {} AND t.{TO} IS NULL AND s.{SEQ} = ANY ($1) \
             AND NOT EXISTS (SELECT FROM {stage} d WHERE {} AND d.{OP} = '{}' AND d.{SEQ} < s.{SEQ})",
            filled.join(", "),
            self.way.matches(),
            same.join(" AND "),
            Op::Delete.as_str(),
            TO = quoted(VALID_TO_COLUMN),
            SEQ = quoted(SEQUENCE_COLUMN),
            OP = quoted(OP_COLUMN),
        )
    }

    /// In a history: counts the stage's rows with these sequences, `$1`.
    pub(crate) fn count_staged(&self) -> String {
        format!("SELECT count(*) FROM {} WHERE {} = ANY ($1)", self.way.stage, quoted(SEQUENCE_COLUMN))
    }
}

/// Whether the table's types are those of the stream, so that it takes their binary form.
fn is_direct(schema: &StreamSchema, existing: &BTreeMap<String, Existing>) -> bool {
    schema
        .columns()
        .iter()
        .all(|column| existing.get(&column.name).is_some_and(|e| e.base == base_of(&column.column_type)))
}

/// Everything that the statements of a target are made of. In all of them `t` is the table and `s` the stage.
#[derive(Clone)]
struct Way {
    mode: Mode,
    /// The table and the stage as SQL names them.
    place: String,
    stage: String,
    /// The schema's columns.
    columns: Vec<WayColumn>,
    /// The key's columns, in key order, as indices.
    key: Vec<usize>,
    /// The column with the time of a deletion, quoted.
    deleted_at: String,
}

/// A column of the stream.
#[derive(Clone)]
struct WayColumn {
    /// Quoted.
    name: String,
    /// The staged value as it is assigned to the table's column.
    value: String,
    /// The type that it has in the stage.
    staged_type: &'static str,
    is_key: bool,
}

impl Way {
    fn new(
        mode: Mode,
        place: String,
        stage: String,
        config: &Config,
        schema: &StreamSchema,
        existing: &BTreeMap<String, Existing>,
    ) -> Self {
        let columns = schema.columns().iter().map(|column| WayColumn {
            name: quoted(&column.name),
            value: assigned(column, existing.get(&column.name)),
            staged_type: base_of(&column.column_type),
            is_key: schema.key().contains(&column.name),
        });
        let index = |name| schema.columns().iter().position(|column| &column.name == name);
        Self {
            mode,
            place,
            stage,
            columns: columns.collect(),
            key: schema.key().iter().filter_map(index).collect(),
            deleted_at: quoted(config.deleted_at()),
        }
    }

    /// The same where a row is not staged: it is made of a statement's parameters.
    fn of_row(&self) -> Self {
        self.of_parameters(&self.columns.iter().map(|c| (&*c.name, c.staged_type)).collect::<Vec<_>>())
    }

    /// The same with what is staged of a row that is ended.
    fn of_end(&self) -> Self {
        let noted = (self.mode == Mode::SoftDelete).then_some((&*self.deleted_at, "timestamptz"));
        self.of_parameters(&self.key().map(|c| (&*c.name, c.staged_type)).chain(noted).collect::<Vec<_>>())
    }

    fn of_parameters(&self, fields: &[(&str, &str)]) -> Self {
        let fields = (1..).zip(fields).map(|(n, (name, sql_type))| format!("${n}::{sql_type} AS {name}"));
        let stage = format!("(SELECT {})", fields.collect::<Vec<_>>().join(", "));
        Self { stage, ..self.clone() }
    }

    fn key_indices(&self) -> Vec<usize> {
        self.key.clone()
    }

    fn key(&self) -> impl Iterator<Item = &WayColumn> {
        self.key.iter().map(|&index| &self.columns[index])
    }

    /// Names of all columns, and of those of the key.
    fn names(&self) -> String {
        self.columns.iter().map(|column| &*column.name).collect::<Vec<_>>().join(", ")
    }

    fn key_names(&self) -> String {
        self.key().map(|column| &*column.name).collect::<Vec<_>>().join(", ")
    }

    fn values(&self) -> String {
        self.columns.iter().map(|column| &*column.value).collect::<Vec<_>>().join(", ")
    }

    /// Whether a row of the table has the key of one in the stage.
    fn matches(&self) -> String {
        self.key()
            .map(|column| format!("t.{} = {}", column.name, column.value))
            .collect::<Vec<_>>()
            .join(" AND ")
    }

    fn create_stage(&self, schema: &StreamSchema) -> String {
        let added = self.mode.added_columns("");
        let noted: Vec<_> = match self.mode {
            Mode::Append | Mode::Upsert => Vec::new(),
            Mode::SoftDelete => vec![format!("{} timestamptz", self.deleted_at)],
            Mode::History => {
                added.iter().filter(|c| VERSION_COLUMNS.contains(&&*c.name)).map(declared).collect()
            }
        };
        let columns: Vec<_> = schema.columns().iter().map(declared).chain(noted).collect();
        format!("CREATE TEMP TABLE {} ({}) ON COMMIT DELETE ROWS", self.stage, columns.join(", "))
    }

    fn copy_rows(&self, place: &str) -> String {
        let noted = match self.mode {
            Mode::History => format!(", {}", version_names()),
            _ => String::new(),
        };
        format!("COPY {place} ({}{noted}) FROM STDIN (FORMAT binary)", self.names())
    }

    fn copy_ends(&self) -> String {
        let noted = match self.mode {
            Mode::Append | Mode::Upsert => String::new(),
            Mode::SoftDelete => format!(", {}", self.deleted_at),
            Mode::History => format!(", {}", version_names()),
        };
        format!("COPY {} ({}{noted}) FROM STDIN (FORMAT binary)", self.stage, self.key_names())
    }

    fn insert(&self) -> String {
        let Self { place, stage, deleted_at, .. } = self;
        let (names, values, keys) = (self.names(), self.values(), self.key_names());
        let rest = self.columns.iter().filter(|column| !column.is_key);
        let mut updates: Vec<_> = rest.map(|column| format!("{0} = excluded.{0}", column.name)).collect();
        match self.mode {
            Mode::Append => format!("INSERT INTO {place} ({names}) SELECT {values} FROM {stage} s"),
            Mode::Upsert => {
                let action = match updates.is_empty() {
                    true => "NOTHING".to_owned(),
                    false => format!("UPDATE SET {}", updates.join(", ")),
                };
                format!(
                    "INSERT INTO {place} ({names}) SELECT {values} FROM {stage} s ON CONFLICT ({keys}) DO {action}"
                )
            }
            Mode::SoftDelete => {
                updates.push(format!("{deleted_at} = NULL"));
                format!(
                    "INSERT INTO {place} ({names}, {deleted_at}) SELECT {values}, NULL FROM {stage} s \
                     ON CONFLICT ({keys}) DO UPDATE SET {}",
                    updates.join(", ")
                )
            }
            Mode::History => self.insert_versions(),
        }
    }

    /// Adds the stage's versions. Each is valid from its own time, or from that of a change before it which is
    /// later, to the time of the next change of its key. What was current in the table has been ended before, by
    /// the first change of its key; a delete that found nothing to end has no say in what follows.
    fn insert_versions(&self) -> String {
        let (place, stage, matches, keys) = (&self.place, &self.stage, self.matches(), self.key_names());
        let [from, op, seq] = VERSION_COLUMNS.map(quoted);
        let (to, delete) = (quoted(VALID_TO_COLUMN), Op::Delete.as_str());
        let in_order = format!("OVER (PARTITION BY {keys} ORDER BY {seq})");
        let last_end = format!(
            "SELECT t.{to} FROM {place} t WHERE {matches} ORDER BY t.{from} DESC, t.{seq} DESC LIMIT 1"
        );
        let ends_something = format!("s.{op} <> '{delete}' OR s._towpath_before <> '{delete}'");
        let begins = format!("max(s.{from}) FILTER (WHERE {ends_something}) {in_order}");
        let with_before =
            format!("SELECT s.*, lag(s.{op}, 1, '{delete}') {in_order} AS _towpath_before FROM {stage} s");
        let with_from =
            format!("SELECT s.*, greatest({begins}, ({last_end})) AS _towpath_from FROM ({with_before}) s");
        let with_to =
            format!("SELECT s.*, lead(s._towpath_from) {in_order} AS _towpath_to FROM ({with_from}) s");
        let (names, values) = (self.names(), self.values());
        format!(
            "INSERT INTO {place} ({names}, {from}, {to}, {op}, {seq}) \
             SELECT {values}, s._towpath_from, s._towpath_to, s.{op}, s.{seq} FROM ({with_to}) s \
             WHERE s.{op} <> '{delete}'"
        )
    }

    fn end(&self) -> String {
        let Self { place, stage, deleted_at, .. } = self;
        let (matches, keys) = (self.matches(), self.key_names());
        match self.mode {
            Mode::Append | Mode::Upsert => format!("DELETE FROM {place} t USING {stage} s WHERE {matches}"),
            Mode::SoftDelete => format!(
                "UPDATE {place} t SET {deleted_at} = s.{deleted_at} FROM {stage} s \
                 WHERE {matches} AND t.{deleted_at} IS NULL"
            ),
            Mode::History => {
                let (from, to, seq) =
                    (quoted(VALID_FROM_COLUMN), quoted(VALID_TO_COLUMN), quoted(SEQUENCE_COLUMN));
                format!(
                    "UPDATE {place} t SET {to} = greatest(s.{from}, t.{from}) FROM \
                     (SELECT DISTINCT ON ({keys}) * FROM {stage} ORDER BY {keys}, {seq}) s \
                     WHERE {matches} AND t.{to} IS NULL"
                )
            }
        }
    }

    fn end_all(&self) -> String {
        let Self { place, deleted_at, .. } = self;
        match self.mode {
            Mode::Append | Mode::Upsert => format!("DELETE FROM {place}"),
            Mode::SoftDelete => format!("UPDATE {place} SET {deleted_at} = $1 WHERE {deleted_at} IS NULL"),
            Mode::History => {
                let (from, to, seq) =
                    (quoted(VALID_FROM_COLUMN), quoted(VALID_TO_COLUMN), quoted(SEQUENCE_COLUMN));
                format!(
                    "UPDATE {place} SET {to} = greatest($1, {from}) \
                     WHERE {to} IS NULL AND NOT ({from} >= $1 AND {seq} > $2)"
                )
            }
        }
    }

    fn drop_repeats(&self) -> String {
        let (place, stage, matches) = (&self.place, &self.stage, self.matches());
        let (from, seq) = (quoted(VALID_FROM_COLUMN), quoted(SEQUENCE_COLUMN));
        format!(
            "DELETE FROM {stage} s USING {place} t WHERE {matches} AND t.{from} >= s.{from} AND t.{seq} >= s.{seq}"
        )
    }
}

fn version_names() -> String {
    VERSION_COLUMNS.map(quoted).join(", ")
}

#[cfg(test)]
mod tests {
    use towpath_record::{Column, ColumnType};

    use super::*;

    #[test]
    fn a_key_that_is_all_of_a_row_is_written_once() {
        let columns = vec![Column::required("id", ColumnType::Int64)];
        let schema = StreamSchema::new(columns, vec!["id".to_owned()]).unwrap();
        let config = Config::read(&serde_json::json!({ "url": "postgres://u@h/d" })).unwrap();
        let insert = |mode| {
            Way::new(mode, "t".to_owned(), "s".to_owned(), &config, &schema, &BTreeMap::new()).insert()
        };
        assert!(insert(Mode::Upsert).ends_with(r#" ON CONFLICT ("id") DO NOTHING"#));
        assert!(insert(Mode::SoftDelete).ends_with(r#"DO UPDATE SET "_deleted_at" = NULL"#));
    }
}
