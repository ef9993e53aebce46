//! The copy of what is there at the start.
//!
//! The slot is made first; it keeps every change from then on. The copy sees a later snapshot, and the changes
//! that this snapshot shows are left out when they come (see [`super::snapshot`]). Nothing is locked, and no
//! transaction is held open but the one that copies.
//!
//! A table with a key is copied in the order of its key, so that after a stop the next run goes on behind the
//! last key, under a snapshot of its own. A table without a key, or one that was truncated meanwhile, begins
//! again behind a record that truncates it.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::TryStreamExt;
use towpath_adapter_api::ErrorKind;
use towpath_record::Op;

use super::catalog::{Catalog, Copied, KeyOrder, literal};
use super::config::{SourceConfig, Wanted};
use super::lsn::Lsn;
use super::message::Tuple;
use super::outbox::{Outbox, Row};
use super::position::{Part, Run};
use super::table::Table;
use super::wire::{Line, Purpose, Wire, fields};
use crate::error::PostgresError;
use crate::table::quoted;

const BEGIN: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";
/// How often one looks whether older transactions have ended, and how often one says so.
const LOOKS_EVERY: Duration = Duration::from_millis(50);
const SAYS_EVERY: u32 = 200;
/// How many running transactions a position has room for.
const MOST_RUNNING: usize = 1_000;

/// Copies the tables of a publication that the position asks for and that are not copied yet, and returns the names of
/// all of them. That they are copied is still to be told.
///
/// # Errors
/// The server fails, or the source is to stop.
pub(crate) async fn run(
    catalog: &mut Catalog,
    config: &SourceConfig,
    wanted: &Wanted,
    publication: &str,
    outbox: &mut Outbox,
) -> Result<Vec<String>, PostgresError> {
    await_older_transactions(catalog).await?;
    let mut tables = catalog.published(publication).await?;
    let only = &outbox.position.only;
    tables.retain(|table| wanted.has(table) && (only.is_empty() || only.contains(table)));
    tables.sort_unstable();
    if !outbox.position.has_room() {
        take_back(catalog, config, publication, &tables, outbox).await?;
    }
    catalog.client.batch_execute(BEGIN).await.map_err(PostgresError::server("begin the copy"))?;
    let mut wire = see_the_same(catalog, config).await?;
    let at_us = begin_run(catalog, outbox).await?;
    for name in &tables {
        let done = outbox.position.runs.last().and_then(|run| run.done.clone());
        if done.is_some_and(|done| *name <= done) {
            continue;
        }
        if let Some(copied) = catalog.copied(publication, name).await? {
            let table = Arc::new(catalog.table(&copied.relation, config).await?);
            copy_table(&mut wire, &copied, &table, at_us, outbox).await?;
        }
        outbox.flush().await.map_err(stopped)?;
        if let Some(run) = outbox.position.runs.last_mut() {
            (run.done, run.part) = (Some(name.clone()), None);
        }
    }
    catalog.client.batch_execute("COMMIT").await.map_err(PostgresError::server("end the copy"))?;
    Ok(tables)
}

/// Opens the connection that rows come by, and lets it see what the session of the catalog sees.
async fn see_the_same(catalog: &Catalog, config: &SourceConfig) -> Result<Wire, PostgresError> {
    const DOING: &str = "begin the copy";
    let snapshot = catalog.client.query_one("SELECT pg_export_snapshot()", &[]).await;
    let snapshot: String = snapshot.map_err(PostgresError::server("export the snapshot"))?.get(0);
    let mut wire = Wire::connect(&config.server(), Purpose::Rows).await?;
    wire.execute(BEGIN, DOING).await?;
    wire.execute(&format!("SET TRANSACTION SNAPSHOT {}", literal(&snapshot)), DOING).await?;
    Ok(wire)
}

/// Waits until the transactions that run now have ended, as the making of a slot does. One that is in the log
/// before the slot's beginning may still look as if it ran; then neither copy nor slot would have its changes.
async fn await_older_transactions(catalog: &Catalog) -> Result<(), PostgresError> {
    let first = catalog.snapshot().await?;
    let mut looks = 0_u32;
    while catalog.snapshot().await?.still_runs_what(&first) {
        looks += 1;
        if looks.is_multiple_of(SAYS_EVERY) {
            tracing::info!("the copy begins when the transactions that run at the server have ended");
        }
        tokio::time::sleep(LOOKS_EVERY).await;
    }
    Ok(())
}

/// Notes the snapshot under which everything that no earlier run has is copied, and returns its time.
async fn begin_run(catalog: &Catalog, outbox: &mut Outbox) -> Result<i64, PostgresError> {
    let snapshot = catalog.snapshot().await?;
    if snapshot.running.len() > MOST_RUNNING {
        let message =
            format!("more than {MOST_RUNNING} transactions are running; the copy begins when fewer are");
        return Err(PostgresError::unready(ErrorKind::Unavailable, message));
    }
    let sql = "SELECT pg_current_wal_insert_lsn()::text, (extract(epoch FROM now()) * 1000000)::bigint";
    let row = catalog.client.query_one(sql, &[]).await;
    let row = row.map_err(PostgresError::server("ask for the end of the log"))?;
    let until = Lsn::parse(row.get(0)).ok_or(PostgresError::Damaged("the end of the log cannot be read"))?.0;
    let runs = &mut outbox.position.runs;
    // A run that copied nothing leaves no trace.
    let end = |run: Option<&Run>| run.map(|run| (run.done.clone(), run.part.clone())).unwrap_or_default();
    if end(runs.last()) == end(runs.len().checked_sub(2).and_then(|before| runs.get(before))) {
        runs.pop();
    }
    let (done, part) = end(runs.last());
    runs.push(Run { snapshot, until, done, part });
    Ok(row.get(1))
}

async fn copy_table(
    wire: &mut Wire,
    copied: &Copied,
    table: &Arc<Table>,
    at_us: i64,
    outbox: &mut Outbox,
) -> Result<(), PostgresError> {
    let part = outbox.position.runs.last().and_then(|run| run.part.clone());
    let part = part.filter(|part| part.table == table.name);
    let goes_on = |part: &Part| {
        part.key.len() == copied.key.names.len()
            && !part.key.is_empty()
            && part.file == copied.file
            && part.file != 0
    };
    let after = match part {
        Some(part) if goes_on(&part) => Some(part.key),
        Some(_) => {
            truncate(table, at_us, outbox).await?;
            for run in &mut outbox.position.runs {
                run.part = run.part.take().filter(|part| part.table != table.name);
            }
            outbox.flush().await.map_err(stopped)?;
            None
        }
        None if outbox.position.anew => {
            truncate(table, at_us, outbox).await?;
            outbox.flush().await.map_err(stopped)?;
            None
        }
        None => None,
    };
    outbox.copied_by = table.places(&copied.key.names).unwrap_or_default();
    let sql = select(copied, table, after.as_deref());
    let doing = format!("copy table {}; it needs SELECT on the table", table.name);
    let mut lines = wire.copy(&format!("COPY ({sql}) TO STDOUT"), &doing).await?;
    while let Some(line) = lines.next().await? {
        match line {
            Line::Whole(values) => {
                let row = Row { op: Op::Read, at_us, xid: None, values, before: None };
                outbox.add(table, [row]).await.map_err(stopped)?;
            }
            Line::Cut(values, kept) => outbox.add_cut(table, values, &kept).await.map_err(stopped)?,
        }
        if let Some(run) = outbox.position.runs.last_mut()
            && run.part.as_ref().is_none_or(|part| part.table != table.name)
        {
            run.part = Some(Part { table: table.name.clone(), file: copied.file, key: Vec::new() });
        }
    }
    Ok(())
}

/// Takes back what earlier runs copied of a table.
async fn truncate(table: &Arc<Table>, at_us: i64, outbox: &mut Outbox) -> Result<(), PostgresError> {
    tracing::info!(table = table.name, "the copy of the table begins again");
    let row = Row { op: Op::Truncate, at_us, xid: None, values: Vec::new(), before: None };
    outbox.add(table, [row]).await.map_err(stopped)
}

/// Takes back everything: the copy was stopped so often that a position cannot tell its runs apart any more.
async fn take_back(
    catalog: &mut Catalog,
    config: &SourceConfig,
    publication: &str,
    tables: &[String],
    outbox: &mut Outbox,
) -> Result<(), PostgresError> {
    for name in tables {
        if let Some(copied) = catalog.copied(publication, name).await? {
            let table = Arc::new(catalog.table(&copied.relation, config).await?);
            truncate(&table, 0, outbox).await?;
        }
    }
    outbox.position.runs.clear();
    outbox.flush().await.map_err(stopped)
}

fn select(copied: &Copied, table: &Table, after: Option<&[String]>) -> String {
    let list = |names: &mut dyn Iterator<Item = &String>| {
        names.map(|name| quoted(name)).collect::<Vec<_>>().join(", ")
    };
    let columns = list(&mut table.columns.iter().map(|column| &column.name));
    let key = list(&mut copied.key.names.iter());
    let behind = after.map(|after| format!("({key}) > {}", copied.key.row(after)));
    let filter = copied.filter.as_ref().map(|filter| format!("({filter})"));
    let conditions: Vec<_> = behind.into_iter().chain(filter).collect();
    let conditions = match conditions.is_empty() {
        true => String::new(),
        false => format!(" WHERE {}", conditions.join(" AND ")),
    };
    let order = if key.is_empty() { String::new() } else { format!(" ORDER BY {key}") };
    let only = if copied.partitioned { "" } else { "ONLY " };
    format!("SELECT {columns} FROM {only}{}{conditions}{order}", table.place)
}

/// The texts of some columns of the row with a key, as they are now; `None` if there is no such row.
pub(crate) async fn look_up(
    catalog: &Catalog,
    table: &Table,
    order: &KeyOrder,
    key: &[String],
) -> Result<Option<Tuple>, PostgresError> {
    let columns: Vec<_> = table.columns.iter().map(|column| quoted(&column.name)).collect();
    let names: Vec<_> = order.names.iter().map(|name| quoted(name)).collect();
    let (columns, names, key) = (columns.join(", "), names.join(", "), order.row(key));
    let sql = format!("COPY (SELECT {columns} FROM {} WHERE ({names}) = {key}) TO STDOUT", table.place);
    let found = async {
        let copy = catalog.client.copy_out(&sql).await?;
        pin!(copy).try_next().await
    };
    match found.await {
        Ok(line) => Ok(line.map(|line| fields(&line))),
        // The table is not what it was then: gone, or without one of the columns.
        Err(error)
            if error.code().is_some_and(|code| code.code().starts_with("42P") || code.code() == "42703") =>
        {
            Ok(None)
        }
        Err(error) => Err(PostgresError::server(format!("look up a row of table {}", table.name))(error)),
    }
}

pub(crate) fn stopped(stopped: towpath_adapter_api::Stopped) -> PostgresError {
    PostgresError::Config(stopped.into())
}
