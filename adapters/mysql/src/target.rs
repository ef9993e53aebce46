//! The statements that write a stream's table.
//!
//! Rows are added straight to the table where nothing is replaced. Otherwise they come first into a temporary
//! table, a *stage*, whose columns are those of the table: the server converts values on their way into it, and
//! from there they go on in statements that compare like with like and find rows by the table's own index.
//!
//! A stage is made anew for each use. Emptied within a long transaction, it would keep every row that was ever in
//! it until the end, and be read past them each time.

use towpath_adapter_api::Mode;
use towpath_adapter_api::mode::{SEQUENCE_COLUMN, VALID_FROM_COLUMN, VALID_TO_COLUMN, VERSION_COLUMNS};
use towpath_record::{Op, StreamSchema};

use crate::error::MysqlError;
use crate::load::{Assigned, Form, Loader};
use crate::table::{Shape, Table, Uniqueness, form, quoted};

/// How the rows of one stream in one schema are written.
#[derive(Debug)]
pub(crate) struct Target {
    pub(crate) table: String,
    pub(crate) mode: Mode,
    /// Brings rows into the stage, or into the table where there is none.
    pub(crate) rows: Loader,
    /// In every mode but `append`.
    pub(crate) keyed: Option<Keyed>,
}

/// How rows are told apart, replaced and ended: deleted, marked as deleted, or left as history. In all statements
/// `t` is the table and `s` the stage.
#[derive(Debug)]
pub(crate) struct Keyed {
    mode: Mode,
    uniqueness: Uniqueness,
    /// The key columns in key order, as indices into the schema's columns.
    pub(crate) key: Vec<usize>,
    /// Brings keys into the stage, with what the mode notes of an end.
    pub(crate) ends: Loader,
    /// Makes an empty stage.
    pub(crate) create_stage: String,
    /// The table and the stage as SQL names them.
    place: String,
    stage: String,
    /// The schema's columns, quoted.
    columns: Vec<String>,
    /// The column with the time of a deletion, quoted.
    deleted_at: String,
}

impl Target {
    /// What writes rows of this shape into a table that has everything the shape needs. `number` tells this
    /// session's stages apart.
    ///
    /// # Errors
    /// The table does not tell rows apart by the key.
    pub(crate) fn new(shape: &Shape<'_>, table: &Table, number: usize) -> Result<Self, MysqlError> {
        let Shape { mode, schema, .. } = *shape;
        let place = quoted(shape.table);
        let loader =
            |place: &str, columns| Loader { table: shape.table.to_owned(), place: place.to_owned(), columns };
        let assigned = |name: &String| {
            let column = schema.columns().iter().find(|column| &column.name == name);
            let form = column.map_or(Form::Text, |c| form(&c.column_type, table.column(name)));
            Assigned { name: quoted(name), form }
        };
        let names: Vec<_> = schema.columns().iter().map(|column| column.name.clone()).collect();
        let target = |rows, keyed| Self { table: shape.table.to_owned(), mode, rows, keyed };
        if mode == Mode::Append {
            return Ok(target(loader(&place, names.iter().map(assigned).collect()), None));
        }
        let primary = mode.primary_key(schema.key());
        let uniqueness = table.uniqueness(&primary);
        if uniqueness == Uniqueness::None {
            return Err(shape.unfit(format!(
                "it has no primary key and no unique index on exactly the columns {}; add one",
                primary.iter().map(|name| quoted(name)).collect::<Vec<_>>().join(", ")
            )));
        }
        let stage = format!("towpath_stage_{number}");
        let noted = noted(mode, shape.config.deleted_at());
        let with_version = if mode == Mode::History { &noted[..] } else { &[] };
        let rows = loader(&stage, names.iter().chain(with_version).map(assigned).collect());
        let keyed = Keyed {
            mode,
            uniqueness,
            key: key_indices(schema),
            ends: loader(&stage, schema.key().iter().chain(&noted).map(assigned).collect()),
            create_stage: create_stage(&stage, shape, table, &names, &noted),
            place,
            stage,
            columns: names.iter().map(|name| quoted(name)).collect(),
            deleted_at: quoted(shape.config.deleted_at()),
        };
        Ok(target(rows, Some(keyed)))
    }
}

/// What is noted of an end beside the key.
fn noted(mode: Mode, deleted_at: &str) -> Vec<String> {
    match mode {
        Mode::Append | Mode::Upsert => Vec::new(),
        Mode::SoftDelete => vec![deleted_at.to_owned()],
        Mode::History => VERSION_COLUMNS.map(str::to_owned).to_vec(),
    }
}

fn key_indices(schema: &StreamSchema) -> Vec<usize> {
    let index = |name| schema.columns().iter().position(|column| &column.name == name);
    schema.key().iter().filter_map(index).collect()
}

fn create_stage(stage: &str, shape: &Shape<'_>, table: &Table, names: &[String], noted: &[String]) -> String {
    let mut primary = shape.schema.key().to_vec();
    if shape.mode == Mode::History {
        primary.push(SEQUENCE_COLUMN.to_owned());
    }
    let column = |name: &String| {
        let full = table.column(name).map_or("LONGTEXT", |existing| &existing.full);
        let null = if primary.contains(name) { "NOT NULL" } else { "NULL DEFAULT NULL" };
        format!("{} {full} {null}", quoted(name))
    };
    let columns: Vec<_> = names.iter().chain(noted).map(column).collect();
    let primary: Vec<_> = primary.iter().map(|name| quoted(name)).collect();
    format!(
        "DROP TEMPORARY TABLE IF EXISTS {stage}; \
         CREATE TEMPORARY TABLE {stage} ({}, PRIMARY KEY ({})) ENGINE = InnoDB",
        columns.join(", "),
        primary.join(", ")
    )
}

impl Keyed {
    fn key(&self) -> impl Iterator<Item = &String> {
        self.key.iter().map(|&index| &self.columns[index])
    }

    fn key_names(&self) -> String {
        self.key().map(String::as_str).collect::<Vec<_>>().join(", ")
    }

    /// Whether a row of the table has the key of one in the stage.
    fn matches(&self) -> String {
        self.key().map(|name| format!("t.{name} = s.{name}")).collect::<Vec<_>>().join(" AND ")
    }

    fn staged(&self) -> String {
        self.columns.iter().map(|name| format!("s.{name}")).collect::<Vec<_>>().join(", ")
    }

    /// Writes the rows in the stage, each in place of the one with its key, or as a version.
    ///
    /// `ON DUPLICATE KEY` means any unique index: where the table has another one beside the key, it would replace a
    /// row with another key. There the rows that are known are updated, and the others added.
    pub(crate) fn write(&self) -> Vec<String> {
        let Self { place, stage, deleted_at, .. } = self;
        let (names, staged) = (self.columns.join(", "), self.staged());
        let (names, staged, mark) = match self.mode {
            Mode::History => return vec![self.insert_versions()],
            Mode::SoftDelete => (format!("{names}, {deleted_at}"), format!("{staged}, NULL"), true),
            Mode::Append | Mode::Upsert => (names, staged, false),
        };
        let mut set = self.assignments(&[], "");
        if mark {
            set.push(format!("{deleted_at} = NULL"));
        }
        let insert = format!("INSERT INTO {place} ({names}) SELECT {staged} FROM {stage} s");
        if self.uniqueness == Uniqueness::ByKeyAlone {
            if set.is_empty() {
                set.extend(self.key().take(1).map(|name| format!("{name} = s.{name}")));
            }
            return vec![format!("{insert} ON DUPLICATE KEY UPDATE {}", set.join(", "))];
        }
        let mut update = self.assignments(&[], "t.");
        if mark {
            update.push(format!("t.{deleted_at} = NULL"));
        }
        let matches = self.matches();
        let update = (!update.is_empty())
            .then(|| format!("UPDATE {place} t JOIN {stage} s ON {matches} SET {}", update.join(", ")));
        let is_new = self.key().take(1).map(|name| format!("t.{name} IS NULL")).collect::<String>();
        let insert = format!("{insert} LEFT JOIN {place} t ON {matches} WHERE {is_new}");
        update.into_iter().chain([insert]).collect()
    }

    fn assignments(&self, kept: &[usize], of: &str) -> Vec<String> {
        let written = |(index, _): &(usize, &String)| !self.key.contains(index) && !kept.contains(index);
        let columns = self.columns.iter().enumerate().filter(written);
        columns.map(|(_, name)| format!("{of}{name} = s.{name}")).collect()
    }

    /// In a mode without history: updates the rows in the stage but for the columns `kept`; `None` if nothing is
    /// left to be written.
    pub(crate) fn update_but_for(&self, kept: &[usize]) -> Option<String> {
        let Self { place, stage, deleted_at, .. } = self;
        let (set, matches) = (self.assignments(kept, "t."), self.matches());
        // A row that is marked as deleted counts as gone.
        let there = match self.mode {
            Mode::SoftDelete => format!(" AND t.{deleted_at} IS NULL"),
            _ => String::new(),
        };
        (!set.is_empty())
            .then(|| format!("UPDATE {place} t JOIN {stage} s ON {matches}{there} SET {}", set.join(", ")))
    }

    /// Ends the rows whose keys are in the stage.
    pub(crate) fn end(&self) -> String {
        let Self { place, stage, deleted_at, .. } = self;
        let matches = self.matches();
        match self.mode {
            Mode::Append | Mode::Upsert => format!("DELETE t FROM {place} t JOIN {stage} s ON {matches}"),
            Mode::SoftDelete => format!(
                "UPDATE {place} t JOIN {stage} s ON {matches} SET t.{deleted_at} = s.{deleted_at} \
                 WHERE t.{deleted_at} IS NULL"
            ),
            Mode::History => {
                let (from, to, seq) =
                    (quoted(VALID_FROM_COLUMN), quoted(VALID_TO_COLUMN), quoted(SEQUENCE_COLUMN));
                let keys = self.key_names();
                format!(
                    "UPDATE {place} t JOIN (SELECT * FROM (SELECT {keys}, {from}, \
                     row_number() OVER (PARTITION BY {keys} ORDER BY {seq}) AS _towpath_place FROM {stage}) f \
                     WHERE _towpath_place = 1) s ON {matches} \
                     SET t.{to} = greatest(s.{from}, t.{from}) WHERE t.{to} IS NULL"
                )
            }
        }
    }

    /// Ends all rows at a time, which in a history is that of the change with this sequence. `TRUNCATE` would commit
    /// what was written before it.
    pub(crate) fn end_all(&self, time: &str, sequence: i64) -> String {
        let Self { place, deleted_at, .. } = self;
        let time = format!("CAST('{time}' AS DATETIME(6))");
        match self.mode {
            Mode::Append | Mode::Upsert => format!("DELETE FROM {place}"),
            Mode::SoftDelete => {
                format!("UPDATE {place} SET {deleted_at} = {time} WHERE {deleted_at} IS NULL")
            }
            Mode::History => {
                let (from, to, seq) =
                    (quoted(VALID_FROM_COLUMN), quoted(VALID_TO_COLUMN), quoted(SEQUENCE_COLUMN));
                format!(
                    "UPDATE {place} SET {to} = greatest({time}, {from}) \
                     WHERE {to} IS NULL AND NOT ({from} >= {time} AND {seq} > {sequence})"
                )
            }
        }
    }

    /// In a history: removes from the stage what the table has already.
    pub(crate) fn drop_repeats(&self) -> String {
        let (place, stage, matches) = (&self.place, &self.stage, self.matches());
        let (from, seq) = (quoted(VALID_FROM_COLUMN), quoted(SEQUENCE_COLUMN));
        format!(
            "DELETE s FROM {stage} s JOIN {place} t ON {matches} AND t.{from} >= s.{from} AND t.{seq} >= s.{seq}"
        )
    }

    /// In a history: fills the columns `kept` of the stage's rows with these sequences from the current versions.
    pub(crate) fn fill(&self, kept: &[usize], sequences: &str) -> String {
        let Self { columns, place, stage, .. } = self;
        let filled: Vec<_> = kept.iter().map(|&index| format!("s.{0} = t.{0}", columns[index])).collect();
        format!(
            "UPDATE {stage} s JOIN {place} t ON {} AND t.{} IS NULL SET {} WHERE s.{} IN ({sequences})",
            self.matches(),
            quoted(VALID_TO_COLUMN),
            filled.join(", "),
            quoted(SEQUENCE_COLUMN)
        )
    }

    /// In a history: counts the stage's rows with these sequences.
    pub(crate) fn count_staged(&self, sequences: &str) -> String {
        format!("SELECT count(*) FROM {} WHERE {} IN ({sequences})", self.stage, quoted(SEQUENCE_COLUMN))
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
        let before = format!("coalesce(lag(s.{op}) {in_order}, '{delete}')");
        let with_before =
            format!("SELECT s.*, {before} AS _towpath_before, ({last_end}) AS _towpath_end FROM {stage} s");
        let ends_something = format!("s.{op} <> '{delete}' OR s._towpath_before <> '{delete}'");
        let begins = format!("max(CASE WHEN {ends_something} THEN s.{from} END) {in_order}");
        let with_begin = format!("SELECT s.*, {begins} AS _towpath_begin FROM ({with_before}) s");
        // The later of the two, or the one that is there.
        let later = "greatest(coalesce(s._towpath_begin, s._towpath_end), coalesce(s._towpath_end, s._towpath_begin))";
        let with_from = format!("SELECT s.*, {later} AS _towpath_from FROM ({with_begin}) s");
        let with_to =
            format!("SELECT s.*, lead(s._towpath_from) {in_order} AS _towpath_to FROM ({with_from}) s");
        let (names, staged) = (self.columns.join(", "), self.staged());
        format!(
            "INSERT INTO {place} ({names}, {from}, {to}, {op}, {seq}) \
             SELECT {staged}, s._towpath_from, s._towpath_to, s.{op}, s.{seq} FROM ({with_to}) s \
             WHERE s.{op} <> '{delete}'"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keyed(mode: Mode, uniqueness: Uniqueness, columns: &[&str]) -> Keyed {
        let loader = Loader { table: "t".to_owned(), place: "s".to_owned(), columns: Vec::new() };
        Keyed {
            mode,
            uniqueness,
            key: vec![0],
            ends: loader,
            create_stage: String::new(),
            place: "`p`".to_owned(),
            stage: "s".to_owned(),
            columns: columns.iter().map(|name| quoted(name)).collect(),
            deleted_at: quoted("gone"),
        }
    }

    #[test]
    fn a_key_that_is_all_of_a_row_is_written_once() {
        let write = |mode, uniqueness| keyed(mode, uniqueness, &["id"]).write();
        let alone = write(Mode::Upsert, Uniqueness::ByKeyAlone);
        assert_eq!(
            alone,
            ["INSERT INTO `p` (`id`) SELECT s.`id` FROM s s ON DUPLICATE KEY UPDATE `id` = s.`id`"]
        );
        let marked = write(Mode::SoftDelete, Uniqueness::ByKeyAlone);
        assert!(marked[0].ends_with("UPDATE `gone` = NULL"), "{marked:?}");
        assert_eq!(write(Mode::Upsert, Uniqueness::ByMore).len(), 1);
    }

    #[test]
    fn a_row_is_never_replaced_by_another_unique_index_than_its_key() {
        let statements = keyed(Mode::Upsert, Uniqueness::ByMore, &["id", "email"]).write();
        assert_eq!(
            statements,
            [
                "UPDATE `p` t JOIN s s ON t.`id` = s.`id` SET t.`email` = s.`email`",
                "INSERT INTO `p` (`id`, `email`) SELECT s.`id`, s.`email` FROM s s LEFT JOIN `p` t ON t.`id` = s.`id` \
             WHERE t.`id` IS NULL"
            ]
        );
    }
}
