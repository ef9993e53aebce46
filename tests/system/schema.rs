//! A column changes its type under routes that take it, stop before it, or cast it.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use rusqlite::Connection;
use rusqlite::types::Value;
use serde_json::json;
use towpath_tests::data::Feed;
use towpath_tests::fleet::{Fleet, PATIENCE, Plan};
use towpath_tests::resources::{Documents, file_source};
use towpath_tests::scene::{CLOUD, PLANT};
use towpath_tests::wait::wait_until;

/// The policies, each with a route to a database of its own.
const POLICIES: [&str; 3] = ["new_version", "pause", "coerce"];

/// A row as the database has it: the number of the order and how many were ordered.
type Row = (i64, Value);

fn rows(database: &Path) -> Result<Vec<Row>> {
    let database = Connection::open(database)?;
    let tables = "SELECT count(*) FROM sqlite_master WHERE name = 'erp_orders'";
    if database.query_row(tables, [], |row| row.get::<_, i64>(0))? == 0 {
        return Ok(Vec::new());
    }
    let mut statement = database.prepare("SELECT seq, quantity FROM erp_orders ORDER BY seq")?;
    let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

async fn start(fleet: &Fleet) -> Result<()> {
    let drop = fleet.join("drop");
    std::fs::create_dir_all(&drop)?;
    let mut documents = Documents::new().with("Source", "erp", &file_source(PLANT, &drop, &[Feed::Orders]));
    for policy in POLICIES {
        let name = policy.replace('_', "-");
        documents = documents.with_sqlite_sink(&name, CLOUD, &fleet.join(format!("{policy}.db"))).with(
            "Route",
            &name,
            &json!({ "streams": ["erp.*"], "sink": name, "schema": { "on_breaking": policy } }),
        );
    }
    fleet.apply(&documents).await
}

fn drop_orders(fleet: &Fleet, n: u32, rows: &str) -> Result<()> {
    Ok(std::fs::write(fleet.join(format!("drop/orders-{n}.csv")), format!("seq,quantity\n{rows}"))?)
}

async fn landed(fleet: &Fleet, policy: &str, expected: &[Row]) -> Result<()> {
    let database = fleet.join(format!("{policy}.db"));
    wait_until(&format!("the rows of route {policy} have landed"), PATIENCE, async || {
        let found = rows(&database)?;
        ensure!(found.len() <= expected.len(), "{policy}: {found:?} where {expected:?} was expected");
        Ok((found == expected).then_some(()))
    })
    .await
    .with_context(|| format!("{:?}\n{}", rows(&database), fleet.post_mortem()))
}

async fn stopped(fleet: &Fleet) -> Result<()> {
    wait_until("the route has stopped", PATIENCE, async || {
        let status = fleet.api().get("/v1/routes/pause/describe").await?;
        Ok((status["status"]["held"]["version"] == 2).then_some(()))
    })
    .await
    .with_context(|| fleet.post_mortem())
}

fn number(seq: i64, quantity: i64) -> Row {
    (seq, Value::Integer(quantity))
}

fn text(seq: i64, quantity: &str) -> Row {
    (seq, Value::Text(quantity.to_owned()))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_breaking_version_is_taken_stopped_before_or_cast_as_each_route_says() -> Result<()> {
    let mut fleet = Fleet::start(Plan::default()).await?;
    start(&fleet).await?;
    drop_orders(&fleet, 1, "1,5\n2,7\n")?;
    for policy in POLICIES {
        landed(&fleet, policy, &[number(1, 5), number(2, 7)]).await?;
    }

    // The column is text from now on: one route follows, one stops, one casts what fits and names what does not.
    drop_orders(&fleet, 2, "3,many\n4,9\n")?;
    landed(&fleet, "new_version", &[number(1, 5), number(2, 7), text(3, "many"), number(4, 9)]).await?;
    landed(&fleet, "coerce", &[number(1, 5), number(2, 7), number(4, 9)]).await?;
    stopped(&fleet).await?;
    let refused = fleet.api().dead_letters("erp.orders").await?;
    assert_eq!(refused.len(), 1, "{refused:?}");
    assert_eq!(refused[0]["reason"], "column `quantity`: `many` is no int64");
    assert_eq!(refused[0]["record"]["seq"], 3);

    // Neither a crash nor what comes later moves the route that stopped.
    fleet.control.kill()?;
    fleet.control.restart()?;
    drop_orders(&fleet, 3, "5,11\n")?;
    landed(&fleet, "coerce", &[number(1, 5), number(2, 7), number(4, 9), number(5, 11)]).await?;
    stopped(&fleet).await?;
    assert_eq!(rows(&fleet.join("pause.db"))?.len(), 2);
    told(&fleet)?;

    // Once the version is accepted, everything arrives, and the version passes from then on.
    let said = fleet.run_cli(&["schema", "accept", "pause"])?;
    assert!(said.contains("goes on with version 2 of stream erp.orders"), "{said}");
    let mut all = vec![number(1, 5), number(2, 7), text(3, "many"), number(4, 9), number(5, 11)];
    landed(&fleet, "pause", &all).await?;
    fleet.control.kill()?;
    fleet.control.restart()?;
    drop_orders(&fleet, 4, "6,few\n")?;
    all.push(text(6, "few"));
    landed(&fleet, "pause", &all).await?;
    landed(&fleet, "coerce", &[number(1, 5), number(2, 7), number(4, 9), number(5, 11)]).await?;

    // A row that did not fit is cast again when it is replayed, until its version is accepted.
    let id = open_letter_of(&fleet, 3).await?;
    fleet.run_cli(&["deadletters", "replay", &id])?;
    let again = open_letter_of(&fleet, 3).await?;
    assert_ne!(again, id, "it does not fit a second time");
    fleet.run_cli(&["schema", "accept", "coerce", "--stream", "erp.orders", "--version", "2"])?;
    fleet.run_cli(&["deadletters", "replay", &again])?;
    let late = [number(1, 5), number(2, 7), text(3, "many"), number(4, 9), number(5, 11)];
    landed(&fleet, "coerce", &late).await
}

/// The dead letter with this order that waits for an admin.
async fn open_letter_of(fleet: &Fleet, seq: i64) -> Result<String> {
    wait_until("the row is a dead letter", PATIENCE, async || {
        let letters = fleet.api().dead_letters("erp.orders").await?;
        let open = letters.iter().find(|letter| letter["state"] == "open" && letter["record"]["seq"] == seq);
        Ok(open.and_then(|letter| letter["id"].as_str()).map(str::to_owned))
    })
    .await
}

/// What the command line tells of it.
fn told(fleet: &Fleet) -> Result<()> {
    let list = fleet.run_cli(&["schema", "list"])?;
    assert!(list.contains("column `quantity` was retyped from int64 to string"), "{list}");
    let diff = fleet.run_cli(&["schema", "diff", "erp.orders", "1", "2"])?;
    assert!(diff.contains("compatibility from version 1 to 2: none"), "{diff}");
    let old = fleet.run_cli(&["schema", "show", "erp.orders", "--version", "1", "-o", "json"])?;
    let old: serde_json::Value = serde_json::from_str(&old)?;
    assert_eq!(old["columns"][1]["type"], "int64");
    assert_eq!(old["history"].as_array().map(Vec::len), Some(2), "the third file is of version 1 again");
    for command in [&["status"][..], &["describe", "route", "pause"]] {
        let said = fleet.run_cli(command)?;
        assert!(said.contains("towpath schema accept pause"), "{said}");
    }
    let listed = fleet.run_cli(&["schema", "list", "-o", "json"])?;
    let listed: serde_json::Value = serde_json::from_str(&listed)?;
    assert_eq!(listed[0]["held_routes"], json!(["pause"]));
    Ok(())
}
