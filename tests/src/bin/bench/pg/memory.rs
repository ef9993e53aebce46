//! The agent's memory while a database asks much of it: a transaction of millions of rows, values far longer than a
//! record holds, and rows as long as one just holds; each copied and followed.

use anyhow::Result;
use serde_json::json;

use super::{COLUMNS, Server, rows};
use crate::database::{DatabaseOptions, LONG_ROWS, LONG_VALUES, MOST_MIB, POLL, peak_mib};
use crate::measure::Figures;
use crate::ours::Ours;

const ROWS: u64 = 5_000_000;

pub(crate) async fn run(options: &DatabaseOptions) -> Result<Figures> {
    let count = options.rows.unwrap_or(ROWS);
    let arguments = options.arguments(count);
    let mut figures = Figures::of("pg-memory", "Memory of the agent that reads PostgreSQL", &arguments);
    let server = Server::start().await?;
    let mut ours = Ours::start().await?;
    let fill = rows(options.seed, "1", &count.to_string());
    server.run(&format!("CREATE TABLE large ({COLUMNS})")).await?;
    let peak =
        peak_while(&mut ours, &server, "large", 0, count, &format!("INSERT INTO large {fill}")).await?;
    figures.at_most(format!("one transaction of {count} rows"), peak, MOST_MIB, "MiB");
    let update = "UPDATE large SET quantity = quantity + 1";
    let peak = peak_while(&mut ours, &server, "large", count, count, update).await?;
    figures.at_most(
        format!("a table of {count} rows, and one transaction that updates each"),
        peak,
        MOST_MIB,
        "MiB",
    );
    for (number, (what, pieces)) in LONG_VALUES.into_iter().enumerate() {
        let table = format!("long_{number}");
        let value = format!("repeat(md5((i + {})::text), {pieces})", options.seed);
        server
            .run(&format!(
                "CREATE TABLE {table} (id int PRIMARY KEY, word text, body bytea); ALTER TABLE {table} \
                 REPLICA IDENTITY FULL; INSERT INTO {table} SELECT i, {value}, '' FROM generate_series(1, {LONG_ROWS}) i"
            ))
            .await?;
        // The same bytes once more in hexadecimal, which is twice as long on its way.
        let change = format!("UPDATE {table} SET body = convert_to(word, 'UTF8'), word = ''");
        let peak = peak_while(&mut ours, &server, &table, LONG_ROWS, LONG_ROWS, &change).await?;
        figures.at_most(format!("{what}, as text and as bytea"), peak, MOST_MIB, "MiB");
    }
    figures.notes.push(
        "Resident memory of the whole agent at its highest. Rows that no record holds become dead letters of their first \
         64 KiB."
            .to_owned(),
    );
    Ok(figures)
}

/// The agent's peak while a new source copies a table and follows one statement.
async fn peak_while(
    ours: &mut Ours,
    server: &Server,
    table: &str,
    copied: u64,
    changed: u64,
    change: &str,
) -> Result<f64> {
    let name = format!("{}-{copied}", table.replace('_', "-"));
    let slot = name.replace('-', "_");
    let config = json!({ "slot": slot, "tables": [format!("public.{table}")], "stream": format!("bench.{name}.{{table}}") });
    let change = async || {
        // An empty table says nothing when it has been copied; the slot says that its changes will come.
        while server.number("SELECT count(*) FROM pg_replication_slots WHERE active").await? == 0 {
            tokio::time::sleep(POLL).await;
        }
        server.run(change).await
    };
    let source = (&*name, "postgres", server.config(&config));
    let peak = peak_mib(ours, source, (copied, changed), change).await?;
    server.drop_slot(&slot).await?;
    server.run(&format!("DROP PUBLICATION {slot}")).await?;
    Ok(peak)
}
