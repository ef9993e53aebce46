//! Reading tables as another program would.

use anyhow::Context;
use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Row as SqlRow};
use towpath_adapter_conformance::cell::{Cell, Row, cell_of_json};
use towpath_record::{Column, ColumnType, StreamSchema};

/// The rows of a table in the order in which the server gives them; none when there is no such table.
pub(crate) async fn rows(
    connection: &mut Conn,
    table: &str,
    schema: &StreamSchema,
) -> anyhow::Result<Vec<Row>> {
    let found: Option<String> = connection.query_first(format!("SHOW TABLES LIKE '{table}'")).await?;
    if found.is_none() {
        return Ok(Vec::new());
    }
    let column = |column: &Column| {
        let name = format!("`{}`", column.name.replace('`', "``"));
        match column.column_type {
            // A single is shown with fewer digits than it has.
            ColumnType::Float32 => format!("{name} + 0e0"),
            ColumnType::Binary => format!("lower(hex({name}))"),
            _ => name,
        }
    };
    let columns: Vec<_> = schema.columns().iter().map(column).collect();
    let found: Vec<SqlRow> =
        connection.query(format!("SELECT {} FROM `{table}`", columns.join(", "))).await?;
    let cells = |row: SqlRow| {
        let columns = schema.columns().iter().enumerate();
        let cells = columns.map(|(i, column)| cell(column, row.get::<Option<String>, _>(i).flatten()));
        cells.collect::<Result<Row, _>>()
    };
    found.into_iter().map(cells).collect()
}

fn cell(column: &Column, text: Option<String>) -> anyhow::Result<Cell> {
    use ColumnType as T;
    let Some(text) = text else { return Ok(None) };
    Ok(Some(match column.column_type {
        T::Boolean => (text == "1").to_string(),
        T::Float32 => format!("{:?}", text.parse::<f32>().context("a single is a number")?),
        T::Float64 => format!("{:?}", text.parse::<f64>().context("a double is a number")?),
        T::Timestamp => text.replace(' ', "T") + "Z",
        T::List(_) | T::Struct(_) => return cell_of_json(column, &text),
        _ => text,
    }))
}
