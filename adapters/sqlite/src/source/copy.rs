//! Reads a table piece by piece, in the order of its row ids or its primary key.

use rusqlite::Connection;
use rusqlite::types::ToSql;
use towpath_adapter_api::Rows;
use towpath_record::Op;
use towpath_record::dead_letter::DeadLetter;

use crate::error::SqliteError;
use crate::source::changes::{bytes_of, parameters_from};
use crate::source::config::SourceConfig;
use crate::source::position::Value;
use crate::source::records::{Found, Records};
use crate::source::table::{TableDef, Walk};
use crate::table::quoted;
use std::sync::Arc;

/// What a piece is read with.
pub(super) struct Copier<'a> {
    pub(super) config: &'a SourceConfig,
    pub(super) table: &'a Arc<TableDef>,
    /// How the table is named in dead letters.
    pub(super) resource: String,
    pub(super) now_us: i64,
    pub(super) fault: &'a dyn Fn(&str, rusqlite::Error) -> SqliteError,
}

/// A piece of a table.
pub(super) struct Piece {
    /// Rows in the order of the walk, each part with the key of its last row. A part is records or dead letters.
    pub(super) parts: Vec<(Rows, Vec<Value>)>,
    /// Whether the table has no rows beyond it.
    pub(super) is_last: bool,
}

/// A part under construction.
enum Part {
    Records(Records),
    Letters(Vec<DeadLetter>),
}

impl Copier<'_> {
    /// Reads the piece that follows `after`, or the first one if that is empty.
    pub(super) fn read(&self, connection: &Connection, after: &[Value]) -> Result<Piece, SqliteError> {
        let terms = self.table.walk.terms(self.table);
        let condition = match after.len() {
            0 => "true".to_owned(),
            width => format!("({}) > ({})", terms.join(", "), parameters_from(1, width)),
        };
        let parameters: Vec<_> = after.iter().map(|value| value as &dyn ToSql).collect();
        self.read_where(connection, &condition, &parameters)
    }

    /// Reads the first piece of the rows that meet a condition, in the order of the walk.
    pub(super) fn read_where(
        &self,
        connection: &Connection,
        condition: &str,
        parameters: &[&dyn ToSql],
    ) -> Result<Piece, SqliteError> {
        let failed = |e| (self.fault)(&format!("copy table {:?}", self.table.name), e);
        let width = self.table.walk.width();
        let mut statement = connection.prepare_cached(&self.statement(condition)).map_err(failed)?;
        let mut rows = statement.query(parameters).map_err(failed)?;
        let mut parts = Parts { copier: self, done: Vec::new(), open: None, key: Vec::new() };
        let (mut count, mut bytes) = (0, 0);
        while bytes < self.config.batch.bytes.0
            && let Some(row) = rows.next().map_err(failed)?
        {
            let found = Found {
                op: Op::Read,
                at_us: self.now_us,
                rowid: match &self.table.walk {
                    Walk::Rowid { .. } => row.get(0).map_err(failed)?,
                    Walk::Key(_) => 0,
                },
                bytes: u64::try_from(row.get::<_, i64>(width).map_err(failed)?).unwrap_or_default(),
                row,
                values: width + 1,
                before: None,
            };
            bytes += found.weight();
            count += 1;
            let key = (0..width).map(|i| row.get_ref(i).map(Value::of)).collect::<Result<_, _>>();
            parts.push(&found, key.map_err(failed)?)?;
        }
        let is_last = count < self.config.batch.rows && bytes < self.config.batch.bytes.0;
        Ok(Piece { parts: parts.finish(), is_last })
    }

    /// The statement whose rows have the key of the walk, their size and the values.
    fn statement(&self, condition: &str) -> String {
        let terms = self.table.walk.terms(self.table);
        let columns = self.table.columns.iter().map(|column| quoted(&column.name));
        let values: String = columns.clone().map(|name| format!(", {name}")).collect();
        format!(
            "SELECT {}, {}{values} FROM {} WHERE {condition} ORDER BY {} LIMIT {}",
            terms.join(", "),
            bytes_of(columns),
            quoted(&self.table.name),
            terms.join(", "),
            self.config.batch.rows,
        )
    }
}

struct Parts<'a> {
    copier: &'a Copier<'a>,
    done: Vec<(Rows, Vec<Value>)>,
    open: Option<Part>,
    /// The key of the last row.
    key: Vec<Value>,
}

impl Parts<'_> {
    fn push(&mut self, found: &Found<'_, '_>, key: Vec<Value>) -> Result<(), SqliteError> {
        let table = self.copier.table;
        let fresh =
            || Records::new(table.clone()).map_err(|it| SqliteError::unfit(&self.copier.config.path, it));
        let mut records = match self.open.take() {
            Some(Part::Records(records)) => records,
            Some(Part::Letters(mut letters)) => {
                let mut records = fresh()?;
                match records.push(found) {
                    Err(misfit) => {
                        letters.push(found.letter(self.copier.resource.clone(), table, misfit));
                        self.open = Some(Part::Letters(letters));
                    }
                    Ok(()) => {
                        self.close(Part::Letters(letters));
                        self.open = Some(Part::Records(records));
                    }
                }
                self.key = key;
                return Ok(());
            }
            None => fresh()?,
        };
        match records.push(found) {
            Ok(()) => self.open = Some(Part::Records(records)),
            Err(misfit) => {
                let letter = found.letter(self.copier.resource.clone(), table, misfit);
                if !records.is_empty() {
                    self.close(Part::Records(records));
                }
                self.open = Some(Part::Letters(vec![letter]));
            }
        }
        self.key = key;
        Ok(())
    }

    fn close(&mut self, part: Part) {
        let rows = match part {
            Part::Records(records) => records.finish(),
            Part::Letters(letters) => Rows::DeadLetters(letters),
        };
        self.done.push((rows, std::mem::take(&mut self.key)));
    }

    fn finish(mut self) -> Vec<(Rows, Vec<Value>)> {
        if let Some(part) = self.open.take() {
            self.close(part);
        }
        self.done
    }
}
