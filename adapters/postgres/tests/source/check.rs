//! A check names everything that is missing, and its remedies mend it.

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use towpath_adapter_api::{Finding, Verdict};
use towpath_adapter_conformance::servers::PostgresServer;

use crate::harness::{Database, read, server};

async fn findings(config: &Value) -> Result<Vec<Finding>> {
    let check = towpath_adapter_postgres::adapter().source.unwrap().check;
    Ok(check.context("the source has a check")?(&"erp".parse()?, config).await?)
}

fn of<'f>(findings: &'f [Finding], subject: &str) -> Result<&'f Finding> {
    findings
        .iter()
        .find(|found| found.subject == subject)
        .with_context(|| format!("{subject}: {findings:#?}"))
}

fn worst(findings: &[Finding]) -> Option<Verdict> {
    findings.iter().map(|found| found.verdict).max()
}

const TABLES: &str = "CREATE SCHEMA sales; CREATE TABLE sales.orders (id int PRIMARY KEY, note text);
    CREATE TABLE sales.lines (id int PRIMARY KEY); CREATE TABLE sales.log (line text);
    CREATE UNLOGGED TABLE sales.scratch (id int PRIMARY KEY);
    CREATE TABLE sales.private (id int PRIMARY KEY); ALTER TABLE sales.private ENABLE ROW LEVEL SECURITY;
    INSERT INTO sales.orders SELECT 1, string_agg(md5(i::text), '') FROM generate_series(1, 200) i;
    CREATE ROLE reader LOGIN PASSWORD 'reader'";

#[tokio::test]
async fn each_thing_that_is_missing_is_named_and_its_remedy_mends_it() -> Result<()> {
    let server = server()?;
    let database = Database::new(&server, "checked", TABLES).await?;
    let url = server.url("checked").replace("towpath:towpath", "reader:reader");
    let config = database.config(&json!({ "url": url, "tables": ["sales.*"], "exclude": ["sales.scratch"] }));
    let before = findings(&config).await?;
    for subject in [
        "right to replicate",
        "right to use schema sales",
        "right to read sales.orders",
        "row security of sales.private",
        "publication checked",
    ] {
        ensure!(of(&before, subject)?.verdict == Verdict::Failed, "{subject}: {before:#?}");
    }
    ensure!(of(&before, "replica identity of sales.log")?.verdict == Verdict::Warning);
    ensure!(of(&before, "wal_level")?.verdict == Verdict::Good);
    // An admin runs what is said, in its order; a setting of the server is not needed here.
    for found in &before {
        if let Some(sql) = found.remedy.as_ref().filter(|sql| !sql.starts_with("ALTER SYSTEM")) {
            database.client.batch_execute(sql).await.with_context(|| format!("{found:?}"))?;
        }
    }
    let left_out = of(&findings(&config).await?, "publication checked")?.clone();
    ensure!(left_out.verdict == Verdict::Warning && left_out.found.contains("sales.log"), "{left_out:?}");
    database.client.batch_execute(&left_out.remedy.context("it has a remedy")?).await?;
    let after = findings(&config).await?;
    let bad: Vec<_> = after.iter().filter(|found| found.verdict != Verdict::Good).collect();
    ensure!(bad.len() == 1 && bad[0].subject == "max_slot_wal_keep_size", "{bad:#?}");
    // What the check calls good does work.
    let emitted = read(&config, &towpath_record::Position::default()).await?;
    ensure!(!emitted.is_empty());
    let slot = of(&findings(&config).await?, "replication slot checked")?.clone();
    ensure!(slot.verdict == Verdict::Good && slot.found.contains("of log"), "{slot:?}");
    Ok(())
}

#[tokio::test]
async fn a_check_changes_nothing_and_tells_what_costs_something() -> Result<()> {
    let server = server()?;
    let database = Database::new(&server, "price", TABLES).await?;
    let config = database.config(&json!({ "tables": ["sales.*"], "exclude": ["sales.private"] }));
    database.client.batch_execute("CREATE PUBLICATION price FOR TABLE sales.log").await?;
    let found = findings(&config).await?;
    ensure!(worst(&found) == Some(Verdict::Failed), "{found:#?}");
    ensure!(of(&found, "replica identity of sales.log")?.found.contains("refuses every"), "{found:#?}");
    ensure!(of(&found, "log of sales.scratch")?.verdict == Verdict::Warning);
    ensure!(of(&found, "long values")?.found.contains("sales.orders"));
    let publication = of(&found, "publication price")?;
    let remedy = publication.remedy.as_deref().unwrap_or_default();
    ensure!(remedy.contains("\"sales\".\"orders\"") && !remedy.contains("scratch"), "{publication:?}");
    let state =
        "SELECT (SELECT count(*) FROM pg_replication_slots) || ' ' || (SELECT count(*) FROM pg_publication)";
    ensure!(database.texts(state).await? == ["0 1"]);
    Ok(())
}

#[tokio::test]
async fn a_slot_without_a_configured_name_is_found_by_the_name_of_the_source() -> Result<()> {
    let server = server()?;
    let database = Database::new(&server, "named", "CREATE TABLE t (id int PRIMARY KEY)").await?;
    let mut config = database.config(&json!({}));
    config.as_object_mut().context("it is an object")?.remove("slot");
    ensure!(worst(&findings(&config).await?) == Some(Verdict::Warning));
    read(&config, &towpath_record::Position::default()).await?;
    let found = findings(&config).await?;
    ensure!(of(&found, "replication slot towpath_erp")?.verdict == Verdict::Good, "{found:#?}");
    ensure!(of(&found, "publication towpath_erp")?.verdict == Verdict::Good, "{found:#?}");
    Ok(())
}

#[tokio::test]
async fn a_server_without_logical_log_or_room_for_a_slot_fails_the_check() -> Result<()> {
    let settings = ["wal_level=replica", "max_replication_slots=1"];
    let server = std::sync::Arc::new(PostgresServer::start_with(&settings, &[])?);
    let database = Database::new(&server, "crowded", "CREATE TABLE t (id int PRIMARY KEY)").await?;
    database.client.batch_execute("SELECT pg_create_physical_replication_slot('other')").await?;
    let found = findings(&database.config(&json!({}))).await?;
    ensure!(of(&found, "wal_level")?.remedy.as_deref().is_some_and(|sql| sql.contains("'logical'")));
    let slots = of(&found, "max_replication_slots")?;
    ensure!(slots.verdict == Verdict::Failed && slots.found.contains("1 of 1"), "{slots:?}");
    Ok(())
}
