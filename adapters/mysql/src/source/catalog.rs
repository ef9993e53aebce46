//! What the server knows: its tables, their columns and keys, its character sets, and where its binlog is.

use std::collections::HashMap;
use std::sync::Arc;

use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Row, Value};
use towpath_adapter_api::ErrorKind;

use super::cell::Cell;
use super::charset::{self, Charset};
use super::config::{SourceConfig, Wanted};
use super::describe::{self, Described};
use super::gtid::Gtids;
use super::map::TableMap;
use super::position::Place;
use super::table::Table;
use crate::client::{self, Flavor};
use crate::error::MysqlError;

/// A session that waits between two changes is not idle too long, and one that reads is not cut off while the agent's
/// disk is full. `LIMIT`s and modes of the server's configuration do not apply to it.
const SETTINGS: &str = "SET wait_timeout = 2147483, net_write_timeout = 3600, sql_select_limit = DEFAULT, \
     sql_mode = '', lock_wait_timeout = 60, innodb_lock_wait_timeout = 30";
/// From this version on, MySQL has another word for it.
const BINARY_LOG_STATUS: (u16, u16) = (8, 2);
/// The oldest versions that are read.
const OLDEST_MYSQL: (u16, u16) = (8, 0);
const OLDEST_MARIADB: (u16, u16) = (10, 6);

/// A session at the server, and what it has told.
pub(crate) struct Catalog {
    pub(crate) connection: Conn,
    pub(crate) flavor: Flavor,
    pub(crate) version: (u16, u16),
    /// The server as it names itself.
    pub(crate) server: String,
    charsets: HashMap<String, Charset>,
}

/// The end of the binlog.
pub(crate) struct End {
    pub(crate) place: Place,
    /// What was executed, where the server says so.
    pub(crate) gtids: String,
}

impl Catalog {
    /// Opens a session.
    ///
    /// # Errors
    /// The server cannot be reached, refuses the login or is too old.
    pub(crate) async fn open(config: &SourceConfig) -> Result<Self, MysqlError> {
        let mut connection = client::connect(&config.server()).await?;
        let set = connection.query_drop(SETTINGS).await;
        set.map_err(MysqlError::server("set up the session"))?;
        let flavor = client::flavor(&mut connection).await?;
        let asked = connection.query_first("SELECT VERSION(), @@server_id").await;
        let asked: Option<(String, u64)> =
            asked.map_err(MysqlError::server("ask for the server's version"))?;
        let (version, id) = asked.ok_or(MysqlError::Damaged("the server does not tell its version"))?;
        let uuid: Option<(String, String)> =
            connection.query_first("SHOW GLOBAL VARIABLES LIKE 'server_uuid'").await.unwrap_or_default();
        let server = uuid.map_or_else(|| id.to_string(), |(_, uuid)| uuid);
        let mut parts = version.split('.').map(|part| part.parse().unwrap_or(0));
        let version = (parts.next().unwrap_or(0), parts.next().unwrap_or(0));
        let oldest = if flavor == Flavor::MariaDb { OLDEST_MARIADB } else { OLDEST_MYSQL };
        if version < oldest {
            let message = format!(
                "the server has version {}.{}; MySQL 8.0 or MariaDB 10.6 or later is needed",
                version.0, version.1
            );
            return Err(MysqlError::unready(ErrorKind::Config, message));
        }
        Ok(Self { connection, flavor, version, server, charsets: HashMap::new() })
    }

    /// Where the binlog ends now.
    ///
    /// # Errors
    /// The server writes no binlog, or the user may not know.
    pub(crate) async fn end(&mut self) -> Result<End, MysqlError> {
        let ask = match self.flavor == Flavor::MySql && self.version >= BINARY_LOG_STATUS {
            true => "SHOW BINARY LOG STATUS",
            false => "SHOW MASTER STATUS",
        };
        let row: Option<Row> = self.connection.query_first(ask).await.map_err(|error| {
            let needs = match self.flavor {
                Flavor::MariaDb => "BINLOG MONITOR",
                Flavor::MySql => "REPLICATION CLIENT",
            };
            MysqlError::server(format!(
                "ask where the binlog ends; it needs GRANT {needs} ON *.* TO the user"
            ))(error)
        })?;
        let Some(row) = row else {
            let message =
                "the server writes no binlog; set log_bin in its configuration file and start it again";
            return Err(MysqlError::unready(ErrorKind::Config, message));
        };
        let text = |column: usize| row.get_opt::<String, _>(column).and_then(Result::ok).unwrap_or_default();
        let offset = row.get_opt::<u64, _>(1).and_then(Result::ok);
        let offset = offset.ok_or(MysqlError::Damaged("the end of the binlog cannot be read"))?;
        let place = Place::new(&text(0), offset);
        let gtids = match self.flavor {
            Flavor::MySql => text(4).replace(['\n', ' '], ""),
            Flavor::MariaDb => self.gtids_at(&place).await?,
        };
        Ok(End { place, gtids })
    }

    /// What MariaDB had executed at a place of its binlog; empty if it does not know.
    pub(crate) async fn gtids_at(&mut self, place: &Place) -> Result<String, MysqlError> {
        let sql = format!("SELECT BINLOG_GTID_POS({}, {})", literal(&place.file), place.offset);
        let gtids: Option<Option<String>> = self
            .connection
            .query_first(sql)
            .await
            .map_err(MysqlError::server("ask for the GTIDs of a place"))?;
        Ok(gtids.flatten().unwrap_or_default())
    }

    /// The files of the binlog with their sizes, from the oldest on.
    ///
    /// # Errors
    /// The user may not know.
    pub(crate) async fn files(&mut self) -> Result<Vec<(String, u64)>, MysqlError> {
        let rows: Vec<Row> = self
            .connection
            .query("SHOW BINARY LOGS")
            .await
            .map_err(MysqlError::server("list the files of the binlog"))?;
        let file = |row: Row| Some((row.get::<String, _>(0)?, row.get::<u64, _>(1)?));
        rows.into_iter()
            .map(file)
            .collect::<Option<_>>()
            .ok_or(MysqlError::Damaged("the list of binlog files"))
    }

    /// Reads a set of executed transactions as this server writes it.
    pub(crate) fn read_gtids(&self, text: &str) -> Option<Gtids> {
        match self.flavor {
            Flavor::MariaDb => Gtids::read_mariadb(text),
            Flavor::MySql => Gtids::read_mysql(text),
        }
    }

    /// The tables that are wanted, by name.
    ///
    /// # Errors
    /// The server cannot be asked.
    pub(crate) async fn tables(&mut self, wanted: &Wanted) -> Result<Vec<(String, String)>, MysqlError> {
        let sql = "SELECT TABLE_SCHEMA, TABLE_NAME FROM information_schema.TABLES \
             WHERE TABLE_TYPE IN ('BASE TABLE', 'SYSTEM VERSIONED')";
        let rows = self.connection.query(sql).await;
        let mut tables: Vec<(String, String)> = rows.map_err(MysqlError::server("list the tables"))?;
        tables.retain(|(schema, table)| wanted.has(schema, table));
        tables.sort_by_key(|(schema, table)| format!("{schema}.{table}"));
        Ok(tables)
    }

    /// A table as it is now; none if there is no such table.
    ///
    /// # Errors
    /// The server cannot be asked, or the table cannot be a stream.
    pub(crate) async fn table(
        &mut self,
        schema: &str,
        table: &str,
        config: &SourceConfig,
    ) -> Result<Option<Table>, MysqlError> {
        let Some(described) = self.described(schema, table).await? else { return Ok(None) };
        let mut charsets = Vec::new();
        for column in &described.columns {
            charsets.push(match &column.charset {
                Some(name) => self.charset(name).await?,
                None => Charset::Utf8,
            });
        }
        described.table(charsets, config).map(Some)
    }

    /// The table that a description in the binlog is of: as the server has it now if that still fits, else as the
    /// description itself tells it.
    ///
    /// # Errors
    /// The server cannot be asked, or what the table was then is known to nobody.
    pub(crate) async fn table_of(
        &mut self,
        map: &TableMap,
        config: &SourceConfig,
    ) -> Result<Table, MysqlError> {
        let described = self.described(&map.schema, &map.table).await?;
        if let Some(described) = &described
            && described.fits(map)
            && let Some(table) = self.table(&map.schema, &map.table, config).await?
            && table.columns.len() == map.fields.len()
        {
            return Ok(table);
        }
        let Some(full) = &map.full else {
            let message = format!(
                "table {} was changed after a row that is yet to be read, and the server does not log what its columns \
                 were then; run SET GLOBAL binlog_row_metadata = 'FULL'; and start the source anew, or set \
                 `on_lost: resync`",
                map.name()
            );
            return Err(MysqlError::unready(ErrorKind::PositionLost, message));
        };
        let mut charsets = Vec::new();
        for collation in &full.collations {
            charsets.push(match collation {
                Some(number) => self.charset_of_collation(*number).await?,
                None => None,
            });
        }
        let transactional = described.is_none_or(|described| described.transactional);
        describe::of_map(map, full, charsets, transactional, config)
    }

    async fn described(&mut self, schema: &str, table: &str) -> Result<Option<Described>, MysqlError> {
        let named = format!("TABLE_SCHEMA = {} AND TABLE_NAME = {}", literal(schema), literal(table));
        Described::ask(&mut self.connection, schema, table, &named).await
    }

    async fn charset(&mut self, name: &str) -> Result<Charset, MysqlError> {
        if let Some(known) = Charset::unicode(name).or_else(|| self.charsets.get(name).cloned()) {
            return Ok(known);
        }
        let asking = || MysqlError::server(format!("ask for the character set {name}"));
        let sql = format!(
            "SELECT MAXLEN FROM information_schema.CHARACTER_SETS WHERE CHARACTER_SET_NAME = {}",
            literal(name)
        );
        let longest: Option<u64> = self.connection.query_first(sql).await.map_err(asking())?;
        let charset = match longest {
            Some(1) => {
                let answer: Option<String> =
                    self.connection.query_first(charset::table_query(name)).await.map_err(asking())?;
                let table = answer.as_deref().and_then(charset::read_table);
                let table =
                    table.ok_or(MysqlError::Damaged("the table of a character set cannot be read"))?;
                Charset::Single(name.into(), Arc::new(table))
            }
            _ => Charset::Foreign(name.into()),
        };
        self.charsets.insert(name.to_owned(), charset.clone());
        Ok(charset)
    }

    /// The character set of a collation; none for bytes.
    async fn charset_of_collation(&mut self, number: u16) -> Result<Option<Charset>, MysqlError> {
        let table = match self.flavor {
            Flavor::MySql => "COLLATIONS",
            Flavor::MariaDb => "COLLATION_CHARACTER_SET_APPLICABILITY",
        };
        let has_ids = self.flavor == Flavor::MySql || self.version >= (10, 10);
        let table = if has_ids { table } else { "COLLATIONS" };
        let sql = format!("SELECT CHARACTER_SET_NAME FROM information_schema.{table} WHERE ID = {number}");
        let name: Option<String> = self
            .connection
            .query_first(sql)
            .await
            .map_err(MysqlError::server("ask for the character set of a collation"))?;
        match name.as_deref() {
            Some("binary") | None => Ok(None),
            Some(name) => self.charset(name).await.map(Some),
        }
    }

    /// Has the server read the texts of a row that only it can.
    ///
    /// # Errors
    /// The server cannot be asked.
    pub(crate) async fn translate(&mut self, row: &mut [Cell]) -> Result<(), MysqlError> {
        for cell in row {
            let Cell::Foreign(charset, bytes) = cell else { continue };
            let hex: String = bytes.iter().map(|byte| format!("{byte:02X}")).collect();
            let sql = format!("SELECT CONVERT(_{charset} X'{hex}' USING utf8mb4)");
            let text: Option<Value> =
                self.connection.query_first(sql).await.map_err(MysqlError::server(format!(
                    "have a text of the character set {charset} read"
                )))?;
            *cell = match text {
                Some(Value::Bytes(text)) => Cell::Text(String::from_utf8_lossy(&text).into_owned()),
                _ => Cell::Null,
            };
        }
        Ok(())
    }
}

/// A text as SQL has it, whatever it holds.
pub(crate) fn literal(text: &str) -> String {
    let hex: String = text.bytes().map(|byte| format!("{byte:02X}")).collect();
    format!("_utf8mb4 X'{hex}'")
}
