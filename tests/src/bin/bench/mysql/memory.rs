//! The agent's memory while MariaDB asks much of it: as much as PostgreSQL is asked for.

use anyhow::{Context, Result};
use mysql_async::Conn;
use mysql_async::prelude::Queryable;
use serde_json::json;
use towpath_adapter_conformance::servers::MariaDbServer;

use super::{COLUMNS, DATABASE, SETTINGS, row, source};
use crate::database::{DatabaseOptions, LONG_ROWS, LONG_VALUES, MOST_MIB, peak_mib};
use crate::measure::Figures;
use crate::ours::Ours;

const ROWS: u64 = 5_000_000;
/// Room for values of 100 MB, twice in one row, and for the transactions that write them.
const ROOMY: &[&str] = &["max-allowed-packet=1G", "innodb-log-file-size=2G"];

pub(crate) async fn run(options: &DatabaseOptions) -> Result<Figures> {
    let count = options.rows.unwrap_or(ROWS);
    let arguments = options.arguments(count);
    let mut figures = Figures::of("mysql-memory", "Memory of the agent that reads MariaDB", &arguments);
    let server = Server::start().await?;
    let mut ours = Ours::start().await?;
    let (row, seed) = (row(options.seed), options.seed);
    server.run(&format!("CREATE TABLE large ({COLUMNS})")).await?;
    let fill = format!("INSERT INTO large SELECT {row} FROM (SELECT seq AS i FROM seq_1_to_{count}) numbers");
    let peak = server.peak_mib(&mut ours, "large", (0, count), &fill).await?;
    figures.at_most(format!("one transaction of {count} rows"), peak, MOST_MIB, "MiB");
    let update = "UPDATE large SET quantity = quantity + 1";
    let peak = server.peak_mib(&mut ours, "large", (count, count), update).await?;
    let what = format!("a table of {count} rows, and one transaction that updates each");
    figures.at_most(what, peak, MOST_MIB, "MiB");
    for (number, (what, pieces)) in LONG_VALUES.into_iter().enumerate() {
        let table = format!("long_{number}");
        server
            .run(&format!("CREATE TABLE {table} (id int PRIMARY KEY, word longtext, body longblob)"))
            .await?;
        let value = format!("repeat(md5(seq + {seed}), {pieces})");
        server.run(&format!("INSERT INTO {table} SELECT seq, {value}, '' FROM seq_1_to_{LONG_ROWS}")).await?;
        let change = format!("UPDATE {table} SET body = word, word = ''");
        let peak = server.peak_mib(&mut ours, &table, (LONG_ROWS, LONG_ROWS), &change).await?;
        figures.at_most(format!("{what}, as text and as bytes"), peak, MOST_MIB, "MiB");
    }
    figures.notes.push(
        "Resident memory of the whole agent at its highest. An update of a long row is one event of the row before and the \
         row after, and the client library keeps room for the longest it has read."
            .to_owned(),
    );
    Ok(figures)
}

struct Server(MariaDbServer);

impl Server {
    async fn start() -> Result<Self> {
        Ok(Self(MariaDbServer::start_with(&[SETTINGS, ROOMY].concat(), &[])?))
    }

    async fn run(&self, statement: &str) -> Result<()> {
        let mut session = Conn::from_url(self.0.url(DATABASE)).await?;
        session.query_drop("SET time_zone = '+00:00'").await?;
        session.query_drop(statement).await.with_context(|| format!("the server refuses: {statement}"))?;
        Ok(session.disconnect().await?)
    }

    /// The agent's peak while a new source copies so many rows of a table and follows a statement that changes so many.
    async fn peak_mib(
        &self,
        ours: &mut Ours,
        table: &str,
        (copied, changed): (u64, u64),
        change: &str,
    ) -> Result<f64> {
        let name = format!("{}-{copied}", table.replace('_', "-"));
        let config = source(&self.0, &name, table, &json!({}));
        peak_mib(ours, (&name, "mysql", config), (copied, changed), async || self.run(change).await).await
    }
}
