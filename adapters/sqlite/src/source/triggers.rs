//! The triggers that write changes down, as SQL.
//!
//! Their first law: whatever happens to the table, they never stop a write of the application. So they name no
//! column of the table that could be dropped. Key columns cannot; every other value is taken from
//!
//! ```sql
//!   SELECT "a", "b" FROM "t" NATURAL LEFT JOIN (SELECT NULL AS "a", NULL AS "b") WHERE …
//! ```
//!
//! where `"a"` means the table's column as long as there is one, and the joined NULL from then on. SQLite lets such a
//! column be dropped, and renames it inside the trigger when it is renamed. The same form sees what other triggers of
//! the application have made of the row meanwhile, where `NEW` would not. (`OLD` has no such form: see `before`.)
//!
//! `REPLACE` removes the rows that stand in its way without firing delete triggers, unless recursive triggers are on. A
//! trigger before the write therefore notes the rows that share a unique value with it, and the source looks
//! later which of them are gone.

use crate::source::table::{Collated, TableDef, Walk, collated, quoted_rowid};
use crate::table::quoted;

/// What a change says of its row. The codes are stored.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Change {
    Insert = 1,
    Update = 2,
    Delete = 3,
    /// It may have been removed to make place for another; it was if it is not there any more.
    InTheWay = 4,
}

impl Change {
    pub(super) fn from_code(code: i64) -> Option<Self> {
        [Self::Insert, Self::Update, Self::Delete, Self::InTheWay].into_iter().find(|it| *it as i64 == code)
    }
}

/// Milliseconds since 1970-01-01 UTC, in words that every version of SQLite knows.
const NOW_MS: &str = "CAST(round((julianday('now') - 2440587.5) * 86400000) AS INTEGER)";

/// The triggers of one table version.
pub(super) struct Triggers<'a> {
    /// How the names of everything that the source installs begin.
    pub(super) prefix: &'a str,
    pub(super) version: i64,
    pub(super) table: &'a TableDef,
}

impl Triggers<'_> {
    /// Each trigger's name and the statement that creates it.
    pub(super) fn all(&self) -> Vec<(String, String)> {
        let mut all = vec![
            self.trigger(
                "insert",
                "AFTER INSERT",
                &[self.written("NEW", &(Change::Insert as i64).to_string(), false)],
            ),
            self.trigger("update", "AFTER UPDATE", &self.updated()),
            self.trigger("delete", "AFTER DELETE", &[self.gone("")]),
        ];
        let uniques = &self.table.uniques;
        if !uniques.is_empty() {
            let before_insert: Vec<_> = uniques.iter().map(|unique| self.in_the_way(unique, "")).collect();
            // A row is not in its own way.
            let another = format!(" AND NOT ({})", self.is_row("_other", "OLD"));
            let before_update: Vec<_> =
                uniques.iter().map(|unique| self.in_the_way(unique, &another)).collect();
            all.push(self.trigger("before_insert", "BEFORE INSERT", &before_insert));
            all.push(self.trigger("before_update", "BEFORE UPDATE", &before_update));
        }
        all
    }

    fn trigger(&self, suffix: &str, event: &str, statements: &[String]) -> (String, String) {
        let name = format!("{}{}_{suffix}", self.prefix, self.version);
        let body: String = statements.iter().map(|statement| format!(" {statement};")).collect();
        let sql = format!(
            "CREATE TRIGGER {} {event} ON {} BEGIN{body} END",
            quoted(&name),
            quoted(&self.table.name)
        );
        (name, sql)
    }

    /// A change of the key is a delete and an insert, so that each change speaks of one row.
    fn updated(&self) -> Vec<String> {
        let moved = self.moved();
        let (insert, update) = (Change::Insert as i64, Change::Update as i64);
        let code = format!("CASE WHEN {moved} THEN {insert} ELSE {update} END");
        vec![self.gone(&format!(" WHERE {moved}")), self.written("NEW", &code, self.table.before)]
    }

    /// Whether an update changes by what the row is told apart or copied.
    fn moved(&self) -> String {
        let mut parts: Vec<_> = self
            .table
            .key
            .iter()
            .map(|&i| quoted(&self.table.columns[i].name))
            .map(|name| format!("OLD.{name} IS NOT NEW.{name} COLLATE BINARY"))
            .collect();
        if let Walk::Rowid { name, .. } = &self.table.walk {
            let name = quoted_rowid(name);
            parts.push(format!("OLD.{name} IS NOT NEW.{name}"));
        }
        format!("({})", parts.join(" OR "))
    }

    /// Notes the row as it stands now.
    fn written(&self, row: &str, code: &str, before: bool) -> String {
        let table = quoted(&self.table.name);
        let (mut names, mut values, mut fallback) = (Vec::new(), Vec::new(), Vec::new());
        for (i, column) in self.table.columns.iter().enumerate() {
            let name = quoted(&column.name);
            names.push(format!("v{i}"));
            match self.table.key.contains(&i) {
                true => values.push(format!("{row}.{name}")),
                false => {
                    fallback.push(format!("NULL AS {name}"));
                    values.push(name);
                }
            }
        }
        if before {
            names.extend((0..self.table.columns.len()).map(|i| format!("o{i}")));
            values.extend(self.table.columns.iter().map(|column| format!("OLD.{}", quoted(&column.name))));
        }
        let join = match fallback.is_empty() {
            true => String::new(),
            false => format!(" NATURAL LEFT JOIN (SELECT {}) AS {}", fallback.join(", "), FALLBACK),
        };
        format!(
            "{} SELECT {} FROM {table} AS _row{join} WHERE {}",
            self.insert_into(&names),
            self.selected(code, row, &values),
            self.is_row("_row", row),
        )
    }

    /// Notes that the row that was is gone.
    fn gone(&self, condition: &str) -> String {
        let columns = match self.table.before {
            true => (0..self.table.columns.len()).collect(),
            false => self.table.key.clone(),
        };
        let (names, values) = self.old_values(&columns, "OLD");
        let code = (Change::Delete as i64).to_string();
        format!("{} SELECT {}{condition}", self.insert_into(&names), self.selected(&code, "OLD", &values))
    }

    /// Notes the rows that stand in the way of the one that is about to be written.
    fn in_the_way(&self, unique: &[Collated], another: &str) -> String {
        let (names, values) = self.old_values(&self.table.key, "_other");
        let same: Vec<_> = unique
            .iter()
            .map(|it| (quoted(&self.table.columns[it.column].name), it))
            .map(|(name, it)| format!("{} = NEW.{name}", collated(&format!("_other.{name}"), it)))
            .collect();
        let code = (Change::InTheWay as i64).to_string();
        format!(
            "{} SELECT {} FROM {} AS _other WHERE {}{another}",
            self.insert_into(&names),
            self.selected(&code, "_other", &values),
            quoted(&self.table.name),
            same.join(" AND "),
        )
    }

    fn old_values(&self, columns: &[usize], row: &str) -> (Vec<String>, Vec<String>) {
        let names = columns.iter().map(|i| format!("v{i}")).collect();
        let value = |&i: &usize| format!("{row}.{}", quoted(&self.table.columns[i].name));
        (names, columns.iter().map(value).collect())
    }

    fn insert_into(&self, names: &[String]) -> String {
        let changes = quoted(&format!("{}changes", self.prefix));
        let names: String = names.iter().map(|name| format!(", {name}")).collect();
        format!("INSERT INTO {changes} (tbl, op, at, mark, row{names})")
    }

    fn selected(&self, code: &str, row: &str, values: &[String]) -> String {
        let rowid = match &self.table.walk {
            Walk::Rowid { name, .. } => format!("{row}.{}", quoted_rowid(name)),
            Walk::Key(_) => "NULL".to_owned(),
        };
        let values: String = values.iter().map(|value| format!(", {value}")).collect();
        format!("{}, {code}, {NOW_MS}, random(), {rowid}{values}", self.version)
    }

    /// Whether the table's row `alias` is the one that the trigger speaks of.
    fn is_row(&self, alias: &str, row: &str) -> String {
        match &self.table.walk {
            Walk::Rowid { name, .. } => {
                let name = quoted_rowid(name);
                format!("{alias}.{name} = {row}.{name}")
            }
            Walk::Key(columns) => {
                let same = columns.iter().map(|it| {
                    let name = quoted(&self.table.columns[it.column].name);
                    format!("{alias}.{name} = {row}.{name}")
                });
                same.collect::<Vec<_>>().join(" AND ")
            }
        }
    }
}

const FALLBACK: &str = "_towpath_none";
