//! The connection that the binlog comes by.

use std::time::Duration;

use futures_util::{FutureExt, StreamExt};
use mysql_async::prelude::Queryable;
use mysql_async::{BinlogStream, BinlogStreamRequest, Conn};
use towpath_adapter_api::ErrorKind;
use towpath_record::ResourceName;

use super::catalog::Catalog;
use super::config::SourceConfig;
use super::event::{self, Happened};
use super::large::MAX_EVENT_BYTES;
use super::position::{Place, SourcePosition};
use crate::client::{self, Flavor};
use crate::error::{MysqlError, is_too_large};

/// How many heartbeats may be missing before the server is given up.
const PATIENCE: u32 = 3;
/// A connection is given this long at least.
const LEAST_PATIENCE: Duration = Duration::from_secs(15);
/// The protocol asks for places of at most this offset.
const MAX_OFFSET: u64 = u32::MAX as u64;
/// The longest transaction of MySQL that is taken compressed.
const MAX_PAYLOAD_BYTES: usize = 64 << 20;
/// Where the first event of a file is.
const FIRST_OFFSET: u64 = 4;

/// Events, one after another, and where the binlog is behind each.
pub(crate) struct Stream {
    events: BinlogStream,
    server_id: u32,
    /// The longest event that is taken.
    most_bytes: usize,
    flavor: Flavor,
    patience: Duration,
    /// The end of the last event.
    pub(crate) place: Place,
    /// Where a compressed transaction ends, while its events come.
    payload_end: Option<u64>,
    /// The names of the files, until the server has described its events.
    files: Vec<String>,
}

/// An event.
#[derive(Debug)]
pub(crate) struct Logged {
    pub(crate) happened: Happened,
    /// In microseconds since 1970-01-01 UTC, as exactly as the server tells.
    pub(crate) at_us: i64,
    /// Where it begins, in its file.
    pub(crate) start: u64,
}

impl Stream {
    /// Connects where a position is. One of another server is found by its GTIDs, as after a failover.
    ///
    /// # Errors
    /// The server does not have that place any more, or cannot be reached.
    pub(crate) async fn open(
        config: &SourceConfig,
        name: &ResourceName,
        catalog: &mut Catalog,
        position: &SourcePosition,
    ) -> Result<Self, MysqlError> {
        let moved = !position.server.is_empty() && position.server != catalog.server;
        let server_id = config.server_id_of(name);
        let most_bytes = most_bytes(catalog).await?;
        let mut connection = connect(config, most_bytes).await?;
        let files = catalog.files().await?;
        let place = match moved {
            false => found(&files, &position.place)?,
            true if catalog.flavor == Flavor::MariaDb && !position.gtids.is_empty() => {
                let gtids = super::catalog::literal(&position.gtids);
                let state = format!("SET @slave_connect_state = {gtids}, @slave_gtid_strict_mode = 1");
                connection
                    .query_drop(state)
                    .await
                    .map_err(MysqlError::server("ask for a place by its GTIDs"))?;
                Place::new("", FIRST_OFFSET)
            }
            true => {
                let message = format!(
                    "the position is of server {} and this is server {}; it has no GTIDs by which the place could be \
                     found here",
                    position.server, catalog.server
                );
                return Err(MysqlError::unready(ErrorKind::PositionLost, message));
            }
        };
        let events = read_from(connection, server_id, &place).await?;
        let patience = (config.heartbeat.0 * PATIENCE).max(LEAST_PATIENCE);
        let files = files.into_iter().map(|(file, _)| file).collect();
        let flavor = catalog.flavor;
        Ok(Self { events, server_id, most_bytes, flavor, patience, place, payload_end: None, files })
    }

    /// Connects again behind an event that was not taken, of whose end these are the lower 32 bits.
    ///
    /// # Errors
    /// The server cannot be reached, or has no such place that can be asked for.
    pub(crate) async fn go_on_behind(&mut self, config: &SourceConfig, end: u64) -> Result<(), MysqlError> {
        self.advance(end);
        if self.place.offset > MAX_OFFSET {
            return Err(super::follow::lost(
                "the binlog file is of more than 4 GiB and has a row there that is too large to be taken",
            ));
        }
        let connection = connect(config, self.most_bytes).await?;
        self.files = vec![self.place.file.clone()];
        self.events = read_from(connection, self.server_id, &self.place).await?;
        Ok(())
    }

    /// The next event.
    ///
    /// # Errors
    /// The connection broke or is silent, or the binlog is damaged.
    pub(crate) async fn next(&mut self) -> Result<Logged, MysqlError> {
        let event = tokio::time::timeout(self.patience, self.events.next()).await;
        self.read(event.map_err(|_| MysqlError::Silent { seconds: self.patience.as_secs() })?)
    }

    /// The next event, if it is here.
    ///
    /// # Errors
    /// The connection broke, or the binlog is damaged.
    pub(crate) fn try_next(&mut self) -> Result<Option<Logged>, MysqlError> {
        self.events.next().now_or_never().map(|event| self.read(event)).transpose()
    }

    fn read(
        &mut self,
        event: Option<mysql_async::Result<mysql_async::binlog::events::Event>>,
    ) -> Result<Logged, MysqlError> {
        let event = event.ok_or_else(|| {
            MysqlError::unready(ErrorKind::Unavailable, "the server ended the connection; it may be stopping")
        })?;
        let event = match event {
            Err(error) if is_too_large(&error) => {
                return Ok(Logged { happened: Happened::Cut, at_us: 0, start: self.place.offset });
            }
            event => event.map_err(MysqlError::server("read the binlog"))?,
        };
        let header = event.header();
        let happened = event::read(&event, self.flavor)?;
        let end = u64::from(header.log_pos());
        match &happened {
            Happened::Rotate { file, offset } => self.place = Place::new(&self.named(file)?, *offset),
            Happened::File { .. } => {
                self.files.clear();
                self.advance(end);
            }
            Happened::Alive { file } if *file == self.place.file => self.advance(end),
            Happened::Alive { .. } => {}
            Happened::Payload => {
                self.advance(end);
                self.payload_end = Some(self.place.offset);
            }
            // Inside, events count from the beginning of the transaction.
            _ if self.payload_end.is_some() => {}
            _ => self.advance(end),
        }
        if matches!(happened, Happened::Commit) {
            self.payload_end = None;
        }
        let start = self.place.offset.saturating_sub(u64::from(header.event_size()));
        Ok(Logged { happened, at_us: i64::from(header.timestamp()) * 1_000_000, start })
    }

    /// The file that an event names. Until the server has described its events, nobody knows whether a checksum stands
    /// behind the name, but the first file is one that the server had when it was asked.
    fn named(&self, file: &[u8]) -> Result<String, MysqlError> {
        let known = self.files.iter().filter(|known| file.starts_with(known.as_bytes()));
        match known.max_by_key(|known| known.len()) {
            Some(known) => Ok(known.clone()),
            None => str::from_utf8(file)
                .map(str::to_owned)
                .map_err(|_| MysqlError::Damaged("the name of a binlog file cannot be read")),
        }
    }

    /// Events tell the lower 32 bits of where they end; what the server made up for this connection tells none.
    fn advance(&mut self, end: u64) {
        if end > 0 {
            let ahead = (end as u32).wrapping_sub(self.place.offset as u32);
            if ahead < u32::MAX / 2 {
                self.place.offset += u64::from(ahead);
            }
        }
    }
}

/// The longest event that is taken. MySQL may have a whole transaction in one.
async fn most_bytes(catalog: &mut Catalog) -> Result<usize, MysqlError> {
    let asked =
        catalog.connection.query_first("SHOW GLOBAL VARIABLES LIKE 'binlog_row_event_max_size'").await;
    let asked: Option<(String, usize)> =
        asked.map_err(MysqlError::server("ask how long events of several rows are"))?;
    let several = asked.map_or(0, |(_, bytes)| bytes);
    Ok(several.saturating_add(match catalog.flavor {
        Flavor::MariaDb => MAX_EVENT_BYTES,
        Flavor::MySql => MAX_EVENT_BYTES.max(MAX_PAYLOAD_BYTES),
    }))
}

async fn connect(config: &SourceConfig, most_bytes: usize) -> Result<Conn, MysqlError> {
    let server = config.server();
    let options = server.options()?.max_allowed_packet(Some(most_bytes));
    let mut connection = client::connect_with(&server, options).await?;
    let period = config.heartbeat.0.as_nanos();
    let settings = format!(
        "SET @mariadb_slave_capability = 4, @master_heartbeat_period = {period}, \
         @source_heartbeat_period = {period}, net_write_timeout = 3600"
    );
    let set = connection.query_drop(settings).await;
    set.map_err(MysqlError::server("set up the reading of the binlog"))?;
    Ok(connection)
}

async fn read_from(connection: Conn, server_id: u32, place: &Place) -> Result<BinlogStream, MysqlError> {
    let request = BinlogStreamRequest::new(server_id);
    let request = request.with_filename(place.file.as_bytes()).with_pos(place.offset);
    let events = connection.get_binlog_stream(request).await;
    events.map_err(MysqlError::server("read the binlog"))
}

/// The place to ask for, if the server still has it.
fn found(files: &[(String, u64)], place: &Place) -> Result<Place, MysqlError> {
    let at = files.iter().position(|(file, _)| *file == place.file);
    let lost = |why: String| Err(MysqlError::unready(ErrorKind::PositionLost, why));
    let Some(at) = at else {
        let oldest = files.first().map_or("none", |(file, _)| file);
        return lost(format!(
            "the server removed the binlog file {}, which is needed; its oldest is {oldest}. Raise \
             binlog_expire_logs_seconds, and set `on_lost: resync` to copy the tables again",
            place.file
        ));
    };
    if files[at].1 < place.offset {
        return lost(format!(
            "the binlog file {} ends at {} and was read up to {}; the server lost its end, or began anew. Set \
             `on_lost: resync` to copy the tables again",
            place.file, files[at].1, place.offset
        ));
    }
    // Such a file ends with the transaction that made it so long.
    match files.get(at + 1) {
        Some((next, _)) if place.offset > MAX_OFFSET => Ok(Place::new(next, FIRST_OFFSET)),
        _ => Ok(place.clone()),
    }
}
