//! What cannot become a row, and what a sink refuses: kept, listed, inspected, replayed.

use anyhow::{Context, Result};
use rusqlite::Connection;
use serde_json::{Value, json};
use towpath_tests::data::{Feed, Mix};
use towpath_tests::fleet::{Fleet, PATIENCE, Plan};
use towpath_tests::resources::{Documents, file_source};
use towpath_tests::scene::{CLOUD, PLANT, Scene, Setting};
use towpath_tests::wait::wait_until;

#[tokio::test(flavor = "multi_thread")]
async fn each_bad_line_becomes_one_dead_letter_that_names_file_line_and_reason() -> Result<()> {
    let mix = Mix { lines: 60..=60, bad: 0.2, duplicates: 0.0, compressed: false };
    let mut scene = Scene::start(Setting { mix, ..Setting::new(11) }).await?;
    let file = scene.drop_of(Feed::Movements)?;
    let faults = scene.settle().await?;
    assert!(faults.is_none(), "{faults}");
    wait_until("every bad line is a dead letter", PATIENCE, async || {
        let listed = scene.fleet.api().dead_letters(&Feed::Movements.stream()).await?;
        Ok((listed.len() >= file.bad).then_some(()))
    })
    .await?;
    scene.check_dead_letters().await?;

    let listed = scene.fleet.run_cli(&["deadletters", "list", "--stream", "erp.movements", "-o", "json"])?;
    let listed: Value = serde_json::from_str(&listed)?;
    let letters = letters(&listed)?;
    assert_eq!(letters.len(), file.bad);
    for letter in letters {
        let text = letter.to_string();
        assert!(text.contains(&file.name), "the file is not named: {text}");
        assert!(letter["line"].as_u64().is_some_and(|line| line > 0), "the line is not named: {text}");
        assert!(letter["reason"].as_str().is_some_and(|reason| !reason.is_empty()), "no reason: {text}");
    }
    let id = letters[0]["id"].as_str().context("a dead letter has an id")?;
    let shown = scene.fleet.run_cli(&["deadletters", "show", id])?;
    assert!(shown.contains(&file.name), "{shown}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_that_a_sink_refuses_is_kept_and_lands_when_it_is_replayed() -> Result<()> {
    let fleet = Fleet::start(Plan::default()).await?;
    let (database, drop) = (fleet.join("strict.db"), fleet.join("drop"));
    std::fs::create_dir_all(&drop)?;
    // The table refuses what the type of the column would allow.
    let table = Connection::open(&database)?;
    table.execute_batch(
        "CREATE TABLE erp_orders (seq INTEGER, customer_no TEXT, item TEXT, quantity INTEGER CHECK (quantity < 100),
         price REAL, note TEXT)",
    )?;
    let documents = Documents::new()
        .with("Source", "erp", &file_source(PLANT, &drop, &[Feed::Orders]))
        .with_sqlite_sink("strict", CLOUD, &database)
        .with_route("to-strict", "strict");
    fleet.apply(&documents).await?;
    let rows =
        "seq,customer_no,item,quantity,price,note\n1,K1,a,5,1.25,x\n2,K1,b,500,1.25,y\n3,K1,c,7,1.25,z\n";
    std::fs::write(drop.join("orders-1.csv"), rows)?;

    let landed = async |expected: i64| {
        wait_until("the rows are in the table", PATIENCE, async || {
            let count: i64 = table.query_row("SELECT count(*) FROM erp_orders", [], |row| row.get(0))?;
            Ok((count == expected).then_some(()))
        })
        .await
    };
    landed(2).await.with_context(|| fleet.post_mortem())?;
    let refused = wait_until("the refused row is a dead letter", PATIENCE, async || {
        let listed = fleet.api().dead_letters("erp.orders").await?;
        Ok((!listed.is_empty()).then_some(listed))
    })
    .await?;
    assert_eq!(refused.len(), 1);
    assert!(refused[0].to_string().contains("CHECK"), "the sink's reason is told: {}", refused[0]);

    // The cause is removed, the row is replayed, and its neighbours are not delivered again.
    table.execute_batch(
        "ALTER TABLE erp_orders RENAME TO old;
         CREATE TABLE erp_orders (seq INTEGER, customer_no TEXT, item TEXT, quantity INTEGER, price REAL, note TEXT);
         INSERT INTO erp_orders SELECT * FROM old; DROP TABLE old",
    )?;
    let id = refused[0]["id"].as_str().context("a dead letter has an id")?;
    fleet.run_cli(&["deadletters", "replay", id])?;
    landed(3).await.with_context(|| fleet.post_mortem())?;
    let quantity: i64 =
        table.query_row("SELECT quantity FROM erp_orders WHERE seq = 2", [], |row| row.get(0))?;
    assert_eq!(quantity, 500);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_with_more_bad_rows_than_allowed_goes_to_the_error_folder_with_the_reason() -> Result<()> {
    let fleet = Fleet::start(Plan::default()).await?;
    let drop = fleet.join("drop");
    std::fs::create_dir_all(&drop)?;
    let mut spec = file_source(PLANT, &drop, &[Feed::Movements]);
    spec["config"]["files"][0]["max_bad_rows"] = json!(1);
    spec["config"]["files"][0]["on_error"] = json!("reject_file");
    let database = fleet.join("none.db");
    let documents = Documents::new()
        .with("Source", "erp", &spec)
        .with_sqlite_sink("database", CLOUD, &database)
        .with_route("to-database", "database");
    fleet.apply(&documents).await?;
    let good = r#"{"seq":1,"sku":"S","quantity":1,"weight":1.5,"day":"2020-01-01"}"#;
    std::fs::write(drop.join("movements-1.jsonl"), format!("{good}\nbad\nworse\n"))?;
    let set_aside = drop.join("error/movements-1.jsonl");
    wait_until("the file is set aside", PATIENCE, async || Ok(set_aside.exists().then_some(())))
        .await
        .with_context(|| fleet.post_mortem())?;
    let reason = std::fs::read_to_string(drop.join("error/movements-1.jsonl.reason"))?;
    assert!(reason.contains("bad") && reason.contains('1'), "{reason}");
    assert!(!database.exists() || count(&database)? == 0, "a rejected file's good rows do not count");
    Ok(())
}

fn letters(listed: &Value) -> Result<&Vec<Value>> {
    listed.as_array().or_else(|| listed["items"].as_array()).with_context(|| format!("no list in {listed}"))
}

fn count(database: &std::path::Path) -> Result<i64> {
    let database = Connection::open(database)?;
    let tables = "SELECT count(*) FROM sqlite_master WHERE name = 'erp_movements'";
    match database.query_row(tables, [], |row| row.get::<_, i64>(0))? {
        0 => Ok(0),
        _ => Ok(database.query_row("SELECT count(*) FROM erp_movements", [], |row| row.get(0))?),
    }
}
