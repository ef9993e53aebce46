//! Scheduled queries at a PostgreSQL server, as a source of its own: `postgres-query`.
//!
//! A statement is read through a cursor in a transaction that only reads, so that memory is bounded whatever it gives.
//! Rows come as the text that the server prints, and are decoded as those of the other source are.

use std::time::Duration;

use async_trait::async_trait;
use schemars::JsonSchema;
use serde::Deserialize;
use tokio_postgres::{Client, SimpleQueryMessage, SimpleQueryRow};
use towpath_adapter_api::{Adapter, AdapterError, Secret, ServerAddress, Tls};
use towpath_adapter_query::{
    Dialect, End, Page, PageOutput, PageSize, Pager, QueryDatabase, Shape, Statement, Value, Values, factory,
};

use super::cell::Cell;
use super::config::NumericMode;
use super::kind::Kind;
use crate::client;
use crate::error::PostgresError;
use crate::server::Server;

const OF: &str = "postgres-query source configuration";
/// What the first fetch asks for; later ones as many as fill a page.
const FIRST_ROWS: usize = 64;

/// PostgreSQL queries as a source.
pub(crate) fn adapter() -> Adapter {
    Adapter { kind: "postgres-query", source: Some(factory::<PostgresQueries>()), sink: None }
}

/// How a server is reached. It is named by `url`, or by `host` and its companions.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Connection {
    /// Address of the database, `postgres://user:password@host:port/database`. Give the password as a
    /// reference, such as `${env:ERP_PASSWORD}`.
    #[serde(default)]
    url: Option<Secret>,
    /// Name or address of the server, in place of `url`.
    #[serde(default)]
    host: Option<String>,
    /// Port of the server. Default: 5432.
    #[serde(default)]
    port: Option<u16>,
    /// Name of the database. Default: the user's name.
    #[serde(default)]
    database: Option<String>,
    /// The user to connect as; the right to `SELECT` is all that is needed. Required beside `host`.
    #[serde(default)]
    user: Option<String>,
    /// The user's password, given as a reference such as `${file:/etc/erp/password}`.
    #[serde(default)]
    password: Option<Secret>,
    /// How the connection is protected.
    #[serde(default)]
    tls: Tls,
    /// How `numeric(p,s)` of at most 38 digits is read. Default: decimal.
    #[serde(default)]
    numeric: NumericMode,
}

/// A server that is queried.
pub(crate) struct PostgresQueries {
    server: Server,
    numeric: NumericMode,
    timeout: Duration,
}

#[async_trait]
impl QueryDatabase for PostgresQueries {
    type Connection = Connection;

    fn new(connection: Connection, timeout: Duration) -> Result<Self, AdapterError> {
        let Connection { url, host, port, database, user, password, tls, numeric } = connection;
        let server = Server(ServerAddress { of: OF, url, host, port, database, user, password, tls });
        server.check()?;
        Ok(Self { server, numeric, timeout })
    }

    fn address(&self) -> String {
        self.server.address()
    }

    fn dialect(&self) -> Dialect {
        // With `standard_conforming_strings`, which the session sets, a quote is all that ends a literal. A literal
        // has the type of what it is compared with, which a parameter would have to be told.
        Dialect { quotes: ('"', '"'), values: Values::Literals(literal) }
    }

    async fn read(&self, statement: Statement, output: PageOutput) -> Result<End, AdapterError> {
        self.run(statement, output).await.map_err(|error| error.at(&self.address()))
    }
}

/// A value in single quotes, which are doubled inside.
fn literal(value: &Value) -> String {
    let text = value.to_text().unwrap_or_default();
    match value {
        Value::Bytes(_) => format!("'\\x{text}'"),
        _ => format!("'{}'", text.replace('\'', "''")),
    }
}

impl PostgresQueries {
    async fn run(&self, statement: Statement, output: PageOutput) -> Result<End, PostgresError> {
        let client = client::connect(&self.server).await?;
        let settings = format!(
            "SET standard_conforming_strings = on; SET DateStyle = 'ISO'; SET IntervalStyle = 'postgres'; \
             SET TimeZone = 'UTC'; SET extra_float_digits = 1; SET bytea_output = 'hex'; \
             SET statement_timeout = {}; BEGIN READ ONLY",
            self.timeout.as_millis()
        );
        client.batch_execute(&settings).await.map_err(PostgresError::server("set up the session"))?;
        let prepared =
            client.prepare(&statement.sql).await.map_err(PostgresError::server("prepare the query"))?;
        let kinds: Vec<Kind> = prepared
            .columns()
            .iter()
            .map(|column| Kind::of(column.type_().oid(), column.type_modifier(), self.numeric))
            .collect();
        let shape = |(column, kind): (&tokio_postgres::Column, &Kind)| Shape {
            name: column.name().to_owned(),
            column_type: kind.column_type(),
        };
        let shapes: Vec<Shape> = prepared.columns().iter().zip(&kinds).map(shape).collect();
        let declare = format!("DECLARE towpath_rows NO SCROLL CURSOR FOR {}", statement.sql);
        client.batch_execute(&declare).await.map_err(PostgresError::server("run the query"))?;
        tokio::select! {
            () = output.abandoned() => Ok(End::MayHaveMore),
            read = fetch(&client, &kinds, shapes, statement.page, &output) => read,
        }
    }
}

/// Sends what the cursor gives. How many rows are asked for at once follows from how large they are.
async fn fetch(
    client: &Client,
    kinds: &[Kind],
    shapes: Vec<Shape>,
    size: PageSize,
    output: &PageOutput,
) -> Result<End, PostgresError> {
    let mut pager = Pager::new(shapes, size);
    let mut ask = FIRST_ROWS.min(size.rows);
    loop {
        let fetch = format!("FETCH FORWARD {ask} FROM towpath_rows");
        let answer = client.simple_query(&fetch).await.map_err(PostgresError::server("read the rows"))?;
        let (mut rows, mut bytes) = (0_usize, 0_usize);
        for message in answer {
            let SimpleQueryMessage::Row(row) = message else { continue };
            rows += 1;
            bytes += (0..kinds.len()).filter_map(|column| Some(row.get(column)?.len())).sum::<usize>();
            let full = pager.push(kinds.iter().enumerate().map(|(i, kind)| value(*kind, &row, i)).collect());
            if let Some(page) = full
                && output.send(page).await.is_err()
            {
                return Ok(End::MayHaveMore);
            }
        }
        if rows < ask {
            let last: Page = pager.take();
            return Ok(if output.send(last).await.is_ok() { End::Complete } else { End::MayHaveMore });
        }
        let one = (bytes / rows.max(1)).max(1);
        ask = (size.bytes / one).clamp(1, size.rows).min(ask.saturating_mul(4));
    }
}

fn value(kind: Kind, row: &SimpleQueryRow, column: usize) -> Value {
    let Some(text) = row.get(column) else { return Value::Null };
    let cell = match Cell::read(kind, text.as_bytes()) {
        Ok(cell) => cell,
        Err(reason) => return Value::Misfit { reason, raw: text.to_owned() },
    };
    match (cell, kind) {
        (Cell::Null, _) => Value::Null,
        (Cell::Boolean(value), _) => Value::Boolean(value),
        (Cell::Int16(value), _) => Value::Int(value.into()),
        (Cell::Int32(value), Kind::Date) => Value::Date(value),
        (Cell::Int32(value), _) => Value::Int(value.into()),
        (Cell::Int64(value), Kind::Time) => Value::Time(value),
        (Cell::Int64(value), Kind::LocalTimestamp) => Value::LocalTimestamp(value),
        (Cell::Int64(value), Kind::Timestamp) => Value::Timestamp(value),
        (Cell::Int64(value), _) => Value::Int(value),
        (Cell::Float32(value), _) => Value::Float(value.into()),
        (Cell::Float64(value), _) => Value::Float(value),
        (Cell::Decimal(units), Kind::Decimal { scale, .. }) => Value::Decimal { units, scale },
        (Cell::Decimal(units), _) => Value::Decimal { units, scale: 0 },
        (Cell::Text(text), _) => Value::Text(text.to_owned()),
        (Cell::Bytes(bytes), _) => Value::Bytes(bytes),
        (Cell::Interval(interval), _) => {
            Value::Interval { months: interval.months, days: interval.days, nanos: interval.nanoseconds }
        }
    }
}
