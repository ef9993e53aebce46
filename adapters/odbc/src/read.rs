//! A statement on its thread: connect, execute, and send what comes.

use std::time::Duration;

use odbc_api::handles::Record;
use odbc_api::parameter::{InputParameter, WithDataType};
use odbc_api::sys::{Date, Timestamp};
use odbc_api::{ConnectionOptions, Cursor, CursorRow, DataType, Error, IntoParameter, Nullable};
use towpath_adapter_api::{AdapterError, ErrorKind};
use towpath_adapter_query::{End, PageOutput, Pager, Shape, Statement, Value};
use towpath_record::ColumnType;

use crate::types::{column_type, date, days, decimal_value, micros, timestamp};

const CONNECTS_WITHIN_SECONDS: u32 = 15;

/// Why a statement came to nothing.
pub(crate) enum Failure {
    /// The driver manager or the driver failed.
    Odbc(Error),
    /// What the driver says cannot be right.
    Odd(&'static str),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Odbc(error)
    }
}

/// The failure as the agent sees it.
pub(crate) fn at(address: &str, failure: Failure) -> AdapterError {
    match failure {
        Failure::Odbc(Error::Diagnostics { record, function }) => {
            let message = format!("{function}: {}", in_words(&record));
            AdapterError::new(kind_of(record.state.as_str()), address, message)
        }
        Failure::Odbc(error) => AdapterError::new(ErrorKind::Unavailable, address, error.to_string()),
        Failure::Odd(message) => AdapterError::new(ErrorKind::Unavailable, address, message),
    }
}

fn in_words(record: &Record) -> String {
    format!("{record}")
}

/// What an SQLSTATE means to the agent (ODBC, appendix A).
fn kind_of(state: &str) -> ErrorKind {
    match state.get(..2) {
        Some("28") => ErrorKind::Permission,
        Some("21" | "22" | "3D" | "3F" | "42" | "S0" | "07") => ErrorKind::Config,
        // The driver or the data source is not installed.
        Some("IM") => ErrorKind::Config,
        _ => ErrorKind::Unavailable,
    }
}

/// Runs a statement and sends its rows.
pub(crate) fn run(
    string: &str,
    timeout: Duration,
    statement: &Statement,
    output: &PageOutput,
) -> Result<End, Failure> {
    let environment = odbc_api::environment()?;
    let options = ConnectionOptions { login_timeout_sec: Some(CONNECTS_WITHIN_SECONDS), packet_size: None };
    let connection = environment.connect_with_connection_string(string, options)?;
    let mut prepared = connection.preallocate()?;
    // Not every driver can end a statement in time; those that cannot read on.
    if let Err(error) =
        prepared.set_query_timeout_sec(usize::try_from(timeout.as_secs()).unwrap_or(usize::MAX))
    {
        tracing::debug!(%error, "the driver takes no timeout");
    }
    let parameters: Vec<Box<dyn InputParameter>> = statement.parameters.iter().map(parameter).collect();
    let cursor = prepared.execute(&statement.sql, &parameters[..])?;
    let mut cursor = cursor.ok_or(Failure::Odd("the query gives no rows; it must be a SELECT"))?;
    let shapes = shapes(&mut cursor)?;
    let mut pager = Pager::new(shapes.clone(), statement.page);
    while let Some(mut row) = cursor.next_row()? {
        let values = (1_u16..).zip(&shapes).map(|(place, shape)| value(&mut row, place, &shape.column_type));
        let full = pager.push(values.collect::<Result<_, Error>>()?);
        if let Some(page) = full
            && output.send_blocking(page).is_err()
        {
            return Ok(End::MayHaveMore);
        }
    }
    Ok(if output.send_blocking(pager.take()).is_ok() { End::Complete } else { End::MayHaveMore })
}

fn shapes(cursor: &mut impl Cursor) -> Result<Vec<Shape>, Failure> {
    let count =
        u16::try_from(cursor.num_result_cols()?).map_err(|_| Failure::Odd("a negative number of columns"))?;
    let shape = |place| {
        let (name, data_type) = (cursor.col_name(place)?, cursor.col_data_type(place)?);
        Ok(Shape { name, column_type: column_type(data_type) })
    };
    (1..=count).map(shape).collect()
}

/// A value of the row under the cursor. Drivers want them asked for in order, each once.
fn value(row: &mut CursorRow<'_>, place: u16, column_type: &ColumnType) -> Result<Value, Error> {
    macro_rules! fixed {
        ($type:ty, $value:ident => $make:expr) => {{
            let mut field = Nullable::<$type>::null();
            row.get_data(place, &mut field)?;
            field.into_opt().map_or(Value::Null, |$value| $make)
        }};
    }
    let misfit = |reason: &str, raw: String| Value::Misfit { reason: reason.to_owned(), raw };
    Ok(match column_type {
        ColumnType::Boolean => fixed!(u8, value => Value::Boolean(value != 0)),
        ColumnType::Int16 | ColumnType::Int32 | ColumnType::Int64 => fixed!(i64, value => Value::Int(value)),
        ColumnType::Float32 => fixed!(f32, value => Value::Float(value.into())),
        ColumnType::Float64 => fixed!(f64, value => Value::Float(value)),
        ColumnType::Date => fixed!(Date, value => days(value)
            .map_or_else(|| misfit("the date is not in the calendar", format!("{value:?}")), Value::Date)),
        ColumnType::LocalTimestamp => fixed!(Timestamp, value => micros(value).map_or_else(
            || misfit("the time is finer than a microsecond; cast the column in the query", format!("{value:?}")),
            Value::LocalTimestamp
        )),
        ColumnType::Binary => {
            let mut bytes = Vec::new();
            if row.get_binary(place, &mut bytes)? { Value::Bytes(bytes) } else { Value::Null }
        }
        ColumnType::Decimal { scale, .. } => match text(row, place)? {
            None => Value::Null,
            Some(Ok(text)) => decimal_value(&text, *scale)
                .unwrap_or_else(|| misfit("the number is no decimal of its column's scale", text)),
            Some(Err(raw)) => misfit("the text is not UTF-16", raw),
        },
        _ => match text(row, place)? {
            None => Value::Null,
            Some(Ok(text)) => Value::Text(text),
            Some(Err(raw)) => misfit("the text is not UTF-16", raw),
        },
    })
}

/// A text, or what could be made of one that is none. Wide characters are the same whatever the system's locale is.
fn text(row: &mut CursorRow<'_>, place: u16) -> Result<Option<Result<String, String>>, Error> {
    let mut wide = Vec::new();
    let there = row.get_wide_text(place, &mut wide)?;
    let text = String::from_utf16(&wide).map_err(|_| String::from_utf16_lossy(&wide));
    Ok(there.then_some(text))
}

/// A value on its way into a statement, in the type that the database compares with least ado.
fn parameter(value: &Value) -> Box<dyn InputParameter> {
    let as_text = || -> Box<dyn InputParameter> {
        Box::new(odbc_api::parameter::VarWCharBox::from_str_slice(&value.to_text().unwrap_or_default()))
    };
    match value {
        Value::Int(value) => Box::new(*value),
        Value::Boolean(value) => Box::new(i64::from(*value)),
        Value::Float(value) => Box::new(*value),
        Value::Bytes(bytes) => Box::new(bytes.clone().into_parameter()),
        Value::Date(days) => match date(*days) {
            Some(date) => Box::new(date),
            None => as_text(),
        },
        Value::LocalTimestamp(us) => match timestamp(*us) {
            Some(value) => Box::new(WithDataType { value, data_type: DataType::Timestamp { precision: 6 } }),
            None => as_text(),
        },
        Value::Decimal { scale, .. } => Box::new(WithDataType {
            value: odbc_api::parameter::VarCharBox::from_string(value.to_text().unwrap_or_default()),
            data_type: DataType::Numeric { precision: 38, scale: i16::from(*scale) },
        }),
        _ => as_text(),
    }
}
