//! Scheduled queries at a MySQL or MariaDB server, as a source of its own: `mysql-query`.
//!
//! Rows come one after another by the binary protocol, in which numbers and times are what they are and not how they
//! look, and each is decoded as those of the copy are. A statement that nobody waits for any more is ended at the server.

use std::time::Duration;

use async_trait::async_trait;
use mysql_async::consts::{ColumnFlags, ColumnType as Code};
use mysql_async::prelude::Queryable;
use mysql_async::{Column, Conn};
use schemars::JsonSchema;
use serde::Deserialize;
use tokio::time::timeout;
use towpath_adapter_api::{Adapter, AdapterError, ErrorKind, Secret, ServerAddress, Tls};
use towpath_adapter_query::{
    Dialect, End, PageOutput, Pager, QueryDatabase, Shape, Statement, Value, Values, factory,
};
use towpath_record::ColumnType;

use super::catalog;
use super::cell::Cell;
use super::charset::Charset;
use super::config::{TimeMode, ZeroDates};
use super::key::hex;
use super::kind::{Kind, Reading};
use super::table::selected;
use super::time::MomentKind;
use crate::client;
use crate::error::MysqlError;
use crate::server::Server;

const OF: &str = "mysql-query source configuration";
/// What the server's configuration may say for clients that forget a `LIMIT` does not apply, and nothing is written.
const SETTINGS: [&str; 2] = ["SET sql_select_limit = DEFAULT", "START TRANSACTION READ ONLY"];
/// The character set of bytes that are no text.
const BINARY: u16 = 63;

/// MySQL and MariaDB queries as a source.
pub(crate) fn adapter() -> Adapter {
    Adapter { kind: "mysql-query", source: Some(factory::<MysqlQueries>()), sink: None }
}

/// How a server is reached. It is named by `url`, or by `host` and its companions.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Connection {
    /// Address of the database, `mysql://user:password@host:port/database`. Give the password as a reference, such as
    /// `${env:ERP_PASSWORD}`.
    #[serde(default)]
    url: Option<Secret>,
    /// Name or address of the server, in place of `url`.
    #[serde(default)]
    host: Option<String>,
    /// Port of the server. Default: 3306.
    #[serde(default)]
    port: Option<u16>,
    /// Name of the database. Default: none; the queries then name it with each table.
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
    /// How dates that no calendar has are read, such as 0000-00-00. Default: null.
    #[serde(default)]
    zero_dates: ZeroDates,
    /// How columns of the type `time` are read. Default: clock.
    #[serde(default)]
    time: TimeMode,
}

/// A server that is queried.
pub(crate) struct MysqlQueries {
    server: Server,
    reading: Reading,
    timeout: Duration,
}

#[async_trait]
impl QueryDatabase for MysqlQueries {
    type Connection = Connection;

    fn new(connection: Connection, timeout: Duration) -> Result<Self, AdapterError> {
        let Connection { url, host, port, database, user, password, tls, zero_dates, time } = connection;
        let server = Server(ServerAddress { of: OF, url, host, port, database, user, password, tls });
        server.check()?;
        Ok(Self { server, reading: Reading { zero_dates, time }, timeout })
    }

    fn address(&self) -> String {
        self.server.address()
    }

    fn dialect(&self) -> Dialect {
        // As parameters, decimal numbers would be texts and compared as floats.
        Dialect { quotes: ('`', '`'), values: Values::Literals(literal) }
    }

    async fn read(&self, statement: Statement, output: PageOutput) -> Result<End, AdapterError> {
        self.run(&statement, &output).await.map_err(|error| error.at(&self.address()))
    }
}

/// A value as SQL has it, of a type that is compared exactly and does not depend on the session.
fn literal(value: &Value) -> String {
    let text = value.to_text().unwrap_or_default();
    match value {
        Value::Boolean(value) => u8::from(*value).to_string(),
        // With an exponent it is no decimal number.
        Value::Float(number) => format!("{number:e}"),
        Value::Bytes(bytes) => format!("X'{}'", hex(bytes)),
        Value::Date(_) => format!("DATE'{text}'"),
        Value::Time(_) => format!("TIME'{text}'"),
        Value::LocalTimestamp(_) => format!("TIMESTAMP'{text}'"),
        // The session's zone is UTC, and a literal with a zone is known to MySQL alone.
        Value::Timestamp(_) => format!("TIMESTAMP'{}'", text.trim_end_matches("+00")),
        Value::Text(text) => catalog::literal(text),
        _ => text,
    }
}

/// A column of an answer.
struct Answered {
    name: String,
    kind: Kind,
    column_type: ColumnType,
}

impl MysqlQueries {
    async fn run(&self, statement: &Statement, output: &PageOutput) -> Result<End, MysqlError> {
        let mut connection = client::connect(&self.server).await?;
        let session = connection.id();
        let read = tokio::select! {
            () = output.abandoned() => Ok(End::MayHaveMore),
            read = self.fetch(&mut connection, statement, output) => read,
        };
        if matches!(read, Ok(End::MayHaveMore) | Err(MysqlError::Slow { .. })) {
            self.end(session).await;
        }
        read
    }

    /// Ends a session whose statement would otherwise run on until its first row is ready.
    async fn end(&self, session: u32) {
        let ended = match client::connect(&self.server).await {
            Ok(mut side) => {
                side.query_drop(format!("KILL {session}")).await.map_err(MysqlError::server("end it"))
            }
            Err(error) => Err(error),
        };
        if let Err(error) = ended {
            tracing::debug!(session, %error, "a statement runs on that nobody waits for");
        }
    }

    async fn fetch(
        &self,
        connection: &mut Conn,
        statement: &Statement,
        output: &PageOutput,
    ) -> Result<End, MysqlError> {
        for setting in SETTINGS {
            connection.query_drop(setting).await.map_err(MysqlError::server("set up the session"))?;
        }
        let slow = |_| MysqlError::Slow { seconds: self.timeout.as_secs() };
        let asked = timeout(self.timeout, connection.exec_iter(&*statement.sql, ())).await.map_err(slow)?;
        let mut rows = asked.map_err(MysqlError::server("run the query"))?;
        let columns: Vec<Answered> = rows
            .columns_ref()
            .iter()
            .map(|column| self.answered(column, statement))
            .collect::<Result<_, _>>()?;
        let shape = |it: &Answered| Shape { name: it.name.clone(), column_type: it.column_type.clone() };
        let mut pager = Pager::new(columns.iter().map(shape).collect(), statement.page);
        loop {
            let next = timeout(self.timeout, rows.next()).await.map_err(slow)?;
            let Some(row) = next.map_err(MysqlError::server("read the rows"))? else { break };
            let values = row.unwrap();
            let values = columns.iter().zip(&values).map(|(column, value)| self.value(column, value));
            if let Some(page) = pager.push(values.collect())
                && output.send(page).await.is_err()
            {
                return Ok(End::MayHaveMore);
            }
        }
        Ok(if output.send(pager.take()).await.is_ok() { End::Complete } else { End::MayHaveMore })
    }

    fn answered(&self, column: &Column, statement: &Statement) -> Result<Answered, MysqlError> {
        let name = column.name_str().into_owned();
        let unfit = |reason: &str| {
            MysqlError::unready(ErrorKind::Config, format!("column `{name}` of the query {reason}"))
        };
        let is_words = column.flags().intersects(ColumnFlags::ENUM_FLAG | ColumnFlags::SET_FLAG);
        if is_words && statement.compared.contains(&name) {
            return Err(unfit(
                "is an enum or a set, which the server sorts in one order and compares in another; it can be mark or \
                 key as CAST(… AS CHAR)",
            ));
        }
        let kind = kind(column).ok_or_else(|| {
            unfit("has a type that cannot be read; leave the column out, or CAST it to another type")
        })?;
        let column_type = kind.column_type(self.reading);
        Ok(Answered { name, kind, column_type })
    }

    fn value(&self, column: &Answered, value: &mysql_async::Value) -> Value {
        let cell = match selected(&column.kind, value, self.reading) {
            Ok(cell) => cell,
            Err(reason) => return Value::Misfit { reason, raw: value.as_sql(true) },
        };
        match (cell, &column.column_type) {
            (Cell::Null, _) => Value::Null,
            (Cell::Boolean(value), _) => Value::Boolean(value),
            (Cell::Int(value), _) => Value::Int(value),
            (Cell::Uint(value), _) => Value::Uint(value),
            (Cell::Float32(value), _) => Value::Float(value.into()),
            (Cell::Float64(value), _) => Value::Float(value),
            (Cell::Decimal(units), ColumnType::Decimal { scale, .. }) => {
                Value::Decimal { units, scale: *scale }
            }
            (Cell::Decimal(units), _) => Value::Decimal { units, scale: 0 },
            (Cell::Text(text), _) => Value::Text(text),
            (Cell::Bytes(bytes) | Cell::Foreign(_, bytes), _) => Value::Bytes(bytes),
            (Cell::Date(days), _) => Value::Date(days),
            (Cell::Micros(micros), ColumnType::Time) => Value::Time(micros),
            (Cell::Micros(micros), ColumnType::Timestamp) => Value::Timestamp(micros),
            (Cell::Micros(micros), _) => Value::LocalTimestamp(micros),
            (Cell::Interval(nanos), _) => Value::Interval { months: 0, days: 0, nanos },
        }
    }
}

/// What the values of an answer's column are (MySQL client/server protocol, column definition); none for a type that
/// is unknown.
fn kind(column: &Column) -> Option<Kind> {
    let unsigned = column.flags().contains(ColumnFlags::UNSIGNED_FLAG);
    let digits = column.decimals();
    let int = |bytes| Kind::Int { bytes, unsigned };
    Some(match column.column_type() {
        Code::MYSQL_TYPE_TINY => int(1),
        Code::MYSQL_TYPE_SHORT => int(2),
        Code::MYSQL_TYPE_INT24 => int(3),
        Code::MYSQL_TYPE_LONG => int(4),
        Code::MYSQL_TYPE_LONGLONG => int(8),
        Code::MYSQL_TYPE_FLOAT => Kind::Float32,
        Code::MYSQL_TYPE_DOUBLE => Kind::Float64,
        Code::MYSQL_TYPE_DECIMAL | Code::MYSQL_TYPE_NEWDECIMAL => {
            // The length has room for a sign and a point.
            let signs = u32::from(!unsigned) + u32::from(digits > 0);
            let precision = column.column_length().saturating_sub(signs);
            Kind::Decimal { precision: u8::try_from(precision).unwrap_or(u8::MAX), scale: digits }
        }
        Code::MYSQL_TYPE_BIT => Kind::Bits(u8::try_from(column.column_length()).unwrap_or(u8::MAX)),
        Code::MYSQL_TYPE_YEAR => Kind::Year,
        Code::MYSQL_TYPE_DATE | Code::MYSQL_TYPE_NEWDATE => Kind::Moment(MomentKind::Date),
        Code::MYSQL_TYPE_DATETIME | Code::MYSQL_TYPE_DATETIME2 => Kind::Moment(MomentKind::DateTime(digits)),
        Code::MYSQL_TYPE_TIMESTAMP | Code::MYSQL_TYPE_TIMESTAMP2 => Kind::Instant(digits),
        Code::MYSQL_TYPE_TIME | Code::MYSQL_TYPE_TIME2 => Kind::Time,
        Code::MYSQL_TYPE_GEOMETRY => Kind::Geometry,
        Code::MYSQL_TYPE_JSON => Kind::Json,
        Code::MYSQL_TYPE_VECTOR | Code::MYSQL_TYPE_UNKNOWN | Code::MYSQL_TYPE_TYPED_ARRAY => return None,
        // Text is sent in the session's character set.
        _ if column.character_set() == BINARY && column.column_type() != Code::MYSQL_TYPE_NULL => {
            Kind::Binary { fixed: None }
        }
        _ => Kind::Text(Charset::Utf8),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_told_to_the_server_with_its_type() {
        let text = |text: &str| Value::Text(text.to_owned());
        assert_eq!(literal(&Value::Int(-7)), "-7");
        assert_eq!(literal(&Value::Float(-0.1)), "-1e-1");
        assert_eq!(literal(&Value::Decimal { units: -1_125, scale: 3 }), "-1.125");
        assert_eq!(literal(&text("it's \\")), "_utf8mb4 X'69742773205C'");
        assert_eq!(literal(&Value::Bytes(vec![0, 255])), "X'00FF'");
        assert_eq!(literal(&Value::Timestamp(1_500_000)), "TIMESTAMP'1970-01-01 00:00:01.500000'");
        assert_eq!(literal(&Value::Time(3_600_000_000)), "TIME'01:00:00'");
        assert_eq!(literal(&Value::Boolean(true)), "1");
    }
}
