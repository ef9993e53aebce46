//! Keys: as SQL has them, and in the order of the server's indexes.
//!
//! Numbers, times and bytes are ordered alike everywhere and compared here. How text is ordered is known to the server
//! alone, which is asked.

use std::cmp::Ordering;

use mysql_async::prelude::Queryable;

use super::catalog::{Catalog, literal};
use super::cell::Cell;
use super::decimal;
use super::kind::Kind;
use super::table::{Table, TableColumn, quoted};
use super::time::{Moment, MomentKind, span_text};
use crate::error::MysqlError;

/// A value as SQL has it, to be compared with its column; none for what is no part of a key.
pub(crate) fn sql(column: &TableColumn, cell: &Cell) -> Option<String> {
    Some(match (&column.kind, cell) {
        (_, Cell::Int(number)) => number.to_string(),
        (_, Cell::Uint(number)) => number.to_string(),
        (Kind::Decimal { scale, .. }, Cell::Decimal(number)) => decimal::show(*number, *scale),
        (Kind::Decimal { .. }, Cell::Text(digits)) => digits.clone(),
        (_, Cell::Bytes(bytes)) => format!("X'{}'", hex(bytes)),
        (Kind::Moment(MomentKind::Date), Cell::Text(text)) => format!("CAST({} AS DATE)", literal(text)),
        (Kind::Moment(_) | Kind::Instant(_), Cell::Text(text)) => {
            format!("CAST({} AS DATETIME(6))", literal(text))
        }
        (_, Cell::Date(days)) => {
            format!("DATE'{}'", Moment::at_days(i64::from(*days)).text(MomentKind::Date))
        }
        (Kind::Time, Cell::Micros(micros)) => format!("TIME'{}'", span_text(*micros)),
        (Kind::Time, Cell::Interval(nanos)) => format!("TIME'{}'", span_text(nanos / 1_000)),
        (_, Cell::Micros(micros)) => {
            format!("TIMESTAMP'{}'", Moment::at_micros(*micros).text(MomentKind::DateTime(6)))
        }
        (_, Cell::Text(text)) => literal(text),
        _ => return None,
    })
}

/// The same, to be compared with another value as the column would be.
fn sql_alone(column: &TableColumn, cell: &Cell) -> Option<String> {
    let value = sql(column, cell)?;
    let kind = &column.kind;
    Some(match (&column.collation, kind, cell) {
        (_, Kind::Uuid, Cell::Text(_)) => format!("CAST({value} AS UUID)"),
        (_, Kind::Inet4, Cell::Text(_)) => format!("CAST({value} AS INET4)"),
        (_, Kind::Inet6, Cell::Text(_)) => format!("CAST({value} AS INET6)"),
        (Some(collation), Kind::Text(_), Cell::Text(_)) => {
            let charset = collation.split('_').next().unwrap_or("utf8mb4");
            format!("(CONVERT({value} USING {charset}) COLLATE {collation})")
        }
        _ => value,
    })
}

/// The condition that finds the rows behind a key.
pub(crate) fn behind(table: &Table, key: &[Cell]) -> Option<String> {
    let mut alternatives = Vec::new();
    let mut equal = Vec::new();
    for (index, cell) in table.key.iter().zip(key) {
        let column = &table.columns[*index];
        let (name, value) = (quoted(&column.name), sql(column, cell)?);
        let greater = format!("{name} > {value}");
        alternatives.push([&*equal, &[greater]].concat().join(" AND "));
        equal.push(format!("{name} = {value}"));
    }
    let first = table.columns.get(*table.key.first()?)?;
    // Servers find the range of an index by the first column alone.
    let range = format!("{} >= {}", quoted(&first.name), sql(first, key.first()?)?);
    Some(format!("{range} AND (({}))", alternatives.join(") OR (")))
}

/// The order of keys by what is known here; none where text differs.
pub(crate) fn order_here(a: &[Cell], b: &[Cell]) -> Option<Ordering> {
    for (a, b) in a.iter().zip(b) {
        let order = match (a, b) {
            (Cell::Int(a), Cell::Int(b)) => a.cmp(b),
            (Cell::Uint(a), Cell::Uint(b)) => a.cmp(b),
            (Cell::Int(a), Cell::Uint(b)) => i128::from(*a).cmp(&i128::from(*b)),
            (Cell::Uint(a), Cell::Int(b)) => i128::from(*a).cmp(&i128::from(*b)),
            (Cell::Decimal(a), Cell::Decimal(b)) => a.cmp(b),
            (Cell::Bytes(a), Cell::Bytes(b)) => a.cmp(b),
            (Cell::Date(a), Cell::Date(b)) => a.cmp(b),
            (Cell::Micros(a), Cell::Micros(b)) | (Cell::Interval(a), Cell::Interval(b)) => a.cmp(b),
            (a, b) if a == b => Ordering::Equal,
            _ => return None,
        };
        if order != Ordering::Equal {
            return Some(order);
        }
    }
    Some(Ordering::Equal)
}

impl Catalog {
    /// The order of two keys of a table.
    ///
    /// # Errors
    /// The server cannot be asked.
    pub(crate) async fn order(
        &mut self,
        table: &Table,
        a: &[Cell],
        b: &[Cell],
    ) -> Result<Ordering, MysqlError> {
        if let Some(order) = order_here(a, b) {
            return Ok(order);
        }
        for (at, index) in table.key.iter().enumerate() {
            let column = &table.columns[*index];
            let (Some(a), Some(b)) = (a.get(at), b.get(at)) else { break };
            let order = match order_here(std::slice::from_ref(a), std::slice::from_ref(b)) {
                Some(order) => order,
                None => self.order_there(column, a, b).await?,
            };
            if order != Ordering::Equal {
                return Ok(order);
            }
        }
        Ok(Ordering::Equal)
    }

    async fn order_there(
        &mut self,
        column: &TableColumn,
        a: &Cell,
        b: &Cell,
    ) -> Result<Ordering, MysqlError> {
        let values = sql_alone(column, a).zip(sql_alone(column, b));
        let (a, b) = values.ok_or(MysqlError::Damaged("a key has a value that no key has"))?;
        let sql = format!("SELECT CASE WHEN {a} = {b} THEN 0 WHEN {a} < {b} THEN -1 ELSE 1 END");
        let order: Option<i64> =
            self.connection.query_first(sql).await.map_err(MysqlError::server("compare two keys"))?;
        Ok(order.unwrap_or(0).cmp(&0))
    }
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02X}")).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::charset::Charset;
    use super::super::config::SourceConfig;
    use super::super::table::Parts;
    use super::*;

    fn pair() -> Table {
        let column =
            |name: &str, kind| TableColumn { name: name.to_owned(), kind, collation: None, large: false };
        let columns = vec![
            column("a", Kind::Int { bytes: 4, unsigned: false }),
            column("b`", Kind::Text(Charset::Utf8)),
        ];
        let (schema, table) = ("d".to_owned(), "t".to_owned());
        let parts = Parts { schema, table, columns, key: vec![0, 1], transactional: true };
        Table::new(parts, &SourceConfig::read(&json!({ "url": "mysql://u@h/d" })).unwrap()).unwrap()
    }

    #[test]
    fn the_rows_behind_a_key_are_found_by_its_first_column_and_then_exactly() {
        let key = [Cell::Int(7), Cell::Text("x".to_owned())];
        assert_eq!(
            behind(&pair(), &key).unwrap(),
            "`a` >= 7 AND ((`a` > 7) OR (`a` = 7 AND `b``` > _utf8mb4 X'78'))"
        );
        assert_eq!(behind(&pair(), &[Cell::Null, Cell::Null]), None);
    }

    #[test]
    fn keys_are_ordered_here_unless_text_decides() {
        let order = |a: &[Cell], b: &[Cell]| order_here(a, b);
        let text = |text: &str| Cell::Text(text.to_owned());
        assert_eq!(order(&[Cell::Int(-1)], &[Cell::Uint(0)]), Some(Ordering::Less));
        assert_eq!(order(&[Cell::Int(1), text("b")], &[Cell::Int(2), text("a")]), Some(Ordering::Less));
        assert_eq!(order(&[text("a")], &[text("a")]), Some(Ordering::Equal));
        assert_eq!(order(&[text("a")], &[text("A")]), None);
    }
}
