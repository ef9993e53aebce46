//! A table as a stream: its columns, its key, and its rows as cells.

use mysql_async::Value;
use towpath_adapter_api::{AdapterError, ErrorKind};
use towpath_record::limits::MAX_ROW_BYTES;
use towpath_record::{Column, StreamName, StreamSchema};

use super::bytes::{Reader, high_first};
use super::cell::Cell;
use super::config::SourceConfig;
use super::decimal;
use super::kind::{Kind, Reading};
use super::map::Field;
use super::raw;
use super::time::{Moment, span};
use crate::error::MysqlError;

/// A table whose rows are emitted.
#[derive(Debug)]
pub(crate) struct Table {
    /// `database.table`, by which tables are ordered and told apart.
    pub(crate) name: String,
    /// The same as SQL names it.
    pub(crate) place: String,
    pub(crate) stream: StreamName,
    pub(crate) schema: StreamSchema,
    pub(crate) columns: Vec<TableColumn>,
    /// The columns that tell rows apart, in the order of the key.
    pub(crate) key: Vec<usize>,
    /// Whether rows can be found in the order of the key, range by range.
    pub(crate) ordered: bool,
    /// Whether the storage engine has snapshots.
    pub(crate) transactional: bool,
    pub(crate) reading: Reading,
}

/// A column of a table.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct TableColumn {
    pub(crate) name: String,
    pub(crate) kind: Kind,
    /// The collation that orders it.
    pub(crate) collation: Option<String>,
    /// Whether a value may be longer than a row may be.
    pub(crate) large: bool,
}

/// Why a row has no place in its stream.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Misfit {
    pub(crate) column: Option<String>,
    pub(crate) reason: String,
}

impl Misfit {
    /// A row of more bytes than a record holds.
    pub(crate) fn too_long(bytes: u64) -> Self {
        let reason = format!("the row has {bytes} bytes; a record holds at most {MAX_ROW_BYTES}");
        Self { column: None, reason }
    }
}

/// What a table is made of.
pub(crate) struct Parts {
    pub(crate) schema: String,
    pub(crate) table: String,
    pub(crate) columns: Vec<TableColumn>,
    pub(crate) key: Vec<usize>,
    pub(crate) transactional: bool,
}

impl Table {
    /// A table of these parts.
    ///
    /// # Errors
    /// The names or the columns are not those of a stream.
    pub(crate) fn new(parts: Parts, config: &SourceConfig) -> Result<Self, MysqlError> {
        let Parts { schema: database, table, columns, key, transactional } = parts;
        let name = format!("{database}.{table}");
        let stream = config.stream_of(&database, &table)?;
        let reading = config.reading();
        let of_stream = columns.iter().map(|c| Column::nullable(&c.name, c.kind.column_type(reading)));
        let names = key.iter().map(|i| columns[*i].name.clone()).collect();
        let schema = StreamSchema::new(of_stream.collect(), names).map_err(|error| {
            let message =
                format!("table {name} cannot be a stream: {error}; rename the column or exclude the table");
            AdapterError::new(ErrorKind::Config, "mysql source", message)
        })?;
        let place = format!("{}.{}", quoted(&database), quoted(&table));
        let ordered = !key.is_empty() && key.iter().all(|i| columns[*i].kind.orders_rows(reading));
        Ok(Self { name, place, stream, schema, columns, key, ordered, transactional, reading })
    }

    /// The cells of a row as the binlog holds it, behind which the rest is left; none where the row is not in it
    /// as a whole. `before` gives what the row does not repeat.
    ///
    /// # Errors
    /// The event is damaged.
    pub(crate) fn row(
        &self,
        fields: &[Field],
        present: &[u8],
        row: &mut Reader<'_>,
        before: Option<&[Cell]>,
    ) -> Result<Result<Vec<Cell>, Misfit>, MysqlError> {
        let damaged = || MysqlError::Damaged("a row is cut off");
        let is_set =
            |bits: &[u8], bit: usize| bits.get(bit / 8).is_some_and(|byte| byte >> (bit % 8) & 1 > 0);
        let held = (0..fields.len()).filter(|column| is_set(present, *column)).count();
        let nulls = row.take(held.div_ceil(8)).ok_or_else(damaged)?;
        let (mut cells, mut misfit, mut at) = (Vec::with_capacity(fields.len()), None, 0);
        for (index, field) in fields.iter().enumerate() {
            if !is_set(present, index) {
                match before.and_then(|before| before.get(index)) {
                    Some(cell) => cells.push(cell.clone()),
                    None => return Err(self.incomplete()),
                }
                continue;
            }
            let null = is_set(nulls, at);
            at += 1;
            if null {
                cells.push(Cell::Null);
                continue;
            }
            let raw = raw::take(*field, row).ok_or_else(damaged)?;
            let column = &self.columns[index];
            cells.push(match raw::cell(&column.kind, *field, raw, self.reading) {
                Ok(cell) => cell,
                Err(reason) => {
                    misfit.get_or_insert(Misfit { column: Some(column.name.clone()), reason });
                    Cell::Null
                }
            });
        }
        Ok(misfit.map_or(Ok(cells), Err))
    }

    fn incomplete(&self) -> MysqlError {
        let message = format!(
            "table {}: the binlog does not have whole rows; run SET GLOBAL binlog_row_image = 'FULL'; and let the \
             writers connect again",
            self.name
        );
        MysqlError::unready(ErrorKind::PositionLost, message)
    }

    /// The cells of a row that was selected, one for each column.
    ///
    /// # Errors
    /// A value has no place in its column.
    pub(crate) fn selected(&self, values: &[Value]) -> Result<Vec<Cell>, Misfit> {
        let cell = |(column, value): (&TableColumn, &Value)| {
            selected(&column.kind, value, self.reading)
                .map_err(|reason| Misfit { column: Some(column.name.clone()), reason })
        };
        self.columns.iter().zip(values).map(cell).collect()
    }

    /// The key of a row that was selected, as far as its values have a place in their columns.
    pub(crate) fn selected_key(&self, values: &[Value]) -> Vec<Cell> {
        let cell = |index: &usize| {
            let value = values.get(*index).unwrap_or(&Value::NULL);
            selected(&self.columns[*index].kind, value, self.reading).unwrap_or(Cell::Null)
        };
        self.key.iter().map(cell).collect()
    }

    /// A row's key.
    pub(crate) fn key_of(&self, row: &[Cell]) -> Vec<Cell> {
        self.key.iter().map(|index| row.get(*index).cloned().unwrap_or(Cell::Null)).collect()
    }
}

/// The cell of a value that the server sent for a column of a kind.
pub(crate) fn selected(kind: &Kind, value: &Value, reading: Reading) -> Result<Cell, String> {
    let unexpected = || format!("the server sent a value that is not of the column's type {kind:?}");
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).map_err(|_| unexpected());
    Ok(match (kind, value) {
        (_, Value::NULL) => Cell::Null,
        (Kind::Int { unsigned: true, .. } | Kind::Year, value) => {
            Cell::Uint(unsigned(value).ok_or_else(unexpected)?)
        }
        (Kind::Int { .. }, Value::Int(number)) => Cell::Int(*number),
        (Kind::Float32, Value::Float(number)) => Cell::Float32(*number),
        (Kind::Float64, Value::Double(number)) => Cell::Float64(*number),
        (Kind::Decimal { scale, .. }, Value::Bytes(digits)) => {
            let text = text(digits)?;
            let number = decimal::parse(&text, *scale);
            match kind.column_type(reading) {
                towpath_record::ColumnType::String => Cell::Text(text),
                _ => Cell::Decimal(number.ok_or_else(unexpected)?),
            }
        }
        (Kind::Bits(1), Value::Bytes(bits)) => Cell::Boolean(bits.iter().any(|byte| byte & 1 > 0)),
        (Kind::Bits(_), Value::Bytes(bits)) => Cell::Uint(high_first(bits)),
        (Kind::Moment(of), Value::Date(..)) => return moment(value).cell(*of, reading.zero_dates),
        (Kind::Instant(digits), Value::Date(..)) => {
            let of = super::time::MomentKind::DateTime(*digits);
            return moment(value).cell(of, reading.zero_dates);
        }
        (Kind::Time, Value::Time(negative, days, hours, minutes, seconds, micros)) => {
            let hours = i64::from(*days) * 24 + i64::from(*hours);
            let seconds = hours * 3600 + i64::from(*minutes) * 60 + i64::from(*seconds);
            let micros = seconds * 1_000_000 + i64::from(*micros);
            return span(if *negative { -micros } else { micros }, reading.time);
        }
        (Kind::Binary { .. }, Value::Bytes(bytes)) => Cell::Bytes(bytes.clone()),
        (Kind::Geometry, Value::Bytes(bytes)) => raw::geometry(bytes),
        (
            Kind::Text(_)
            | Kind::Enum(_)
            | Kind::Set(_)
            | Kind::Json
            | Kind::Uuid
            | Kind::Inet4
            | Kind::Inet6,
            Value::Bytes(bytes),
        ) => Cell::Text(text(bytes)?),
        _ => return Err(unexpected()),
    })
}

fn unsigned(value: &Value) -> Option<u64> {
    match value {
        Value::UInt(number) => Some(*number),
        Value::Int(number) => u64::try_from(*number).ok(),
        _ => None,
    }
}

fn moment(value: &Value) -> Moment {
    match *value {
        Value::Date(year, month, day, hour, minute, second, micros) => {
            Moment { year, month, day, hour, minute, second, micros }
        }
        _ => Moment::default(),
    }
}

/// A name as SQL has it.
pub(crate) fn quoted(name: &str) -> String {
    format!("`{}`", name.replace('`', "``"))
}

#[cfg(test)]
pub(crate) mod tests {
    use serde_json::json;

    use super::super::charset::Charset;
    use super::super::map::code;
    use super::*;

    /// A table `d.t` with the columns `id int primary key, note text`.
    pub(crate) fn table() -> Table {
        let column =
            |name: &str, kind| TableColumn { name: name.to_owned(), kind, collation: None, large: false };
        let columns = vec![
            column("id", Kind::Int { bytes: 4, unsigned: false }),
            column("note", Kind::Text(Charset::Utf8)),
        ];
        let parts = Parts {
            schema: "d".to_owned(),
            table: "t".to_owned(),
            columns,
            key: vec![0],
            transactional: true,
        };
        Table::new(parts, &SourceConfig::read(&json!({ "url": "mysql://u@h/d" })).unwrap()).unwrap()
    }

    const FIELDS: [Field; 2] = [Field { code: code::LONG, meta: 0 }, Field { code: code::BLOB, meta: 2 }];

    #[test]
    fn a_row_of_the_binlog_is_taken_apart_by_its_columns() {
        let mut row = Reader(&[0, 7, 0, 0, 0, 2, 0, b'h', b'i', 2, 0xff, 0xff, 0xff, 0xff]);
        let table = table();
        let mut next = || table.row(&FIELDS, &[3], &mut row, None);
        assert_eq!(next().unwrap(), Ok(vec![Cell::Int(7), Cell::Text("hi".to_owned())]));
        assert_eq!(next().unwrap(), Ok(vec![Cell::Int(-1), Cell::Null]));
        assert!(next().is_err());
    }

    #[test]
    fn what_an_update_does_not_repeat_is_taken_from_the_row_before() {
        let before = [Cell::Int(7), Cell::Text("hi".to_owned())];
        let table = table();
        let row = |before| table.row(&FIELDS, &[1], &mut Reader(&[0, 8, 0, 0, 0]), before);
        assert_eq!(row(Some(&before)).unwrap(), Ok(vec![Cell::Int(8), before[1].clone()]));
        assert!(row(None).unwrap_err().to_string().contains("binlog_row_image"));
    }

    #[test]
    fn a_value_that_does_not_fit_names_its_column_and_leaves_the_next_row_whole() {
        let mut rows = Reader(&[0, 1, 0, 0, 0, 1, 0, 0xff, 2, 2, 0, 0, 0]);
        let table = table();
        let misfit = table.row(&FIELDS, &[3], &mut rows, None).unwrap().unwrap_err();
        assert_eq!(misfit.column.as_deref(), Some("note"));
        assert_eq!(table.row(&FIELDS, &[3], &mut rows, None).unwrap(), Ok(vec![Cell::Int(2), Cell::Null]));
    }
}
