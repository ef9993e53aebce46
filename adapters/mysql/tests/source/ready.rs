//! What must be ready at the server, and what happens when it is not.

use std::sync::Arc;

use anyhow::{Result, ensure};
use serde_json::json;
use towpath_adapter_api::{AdapterError, BatchOutput, ErrorKind, Reading, Rows, Verdict, WhichRows};
use towpath_adapter_conformance::cell;
use towpath_adapter_conformance::servers::MariaDbServer;
use towpath_record::{Position, ResourceName};

use crate::harness::{Account, Database, end, read, server, shown};

fn failure(error: &anyhow::Error) -> Option<(ErrorKind, &str)> {
    error.downcast_ref::<AdapterError>().map(|error| (error.kind, &*error.message))
}

#[tokio::test]
async fn a_binlog_that_was_removed_is_told_and_answered_as_the_admin_says() -> Result<()> {
    let server = server()?;
    let sql = "CREATE TABLE t (id int PRIMARY KEY);\nINSERT INTO t VALUES (1), (2);\n";
    let database = Database::new(&server, "purged", sql).await?;
    let config = database.config(&json!({}));
    let copied = read(&config, &Position::default()).await?;
    database
        .run("DELETE FROM t WHERE id = 1;\nFLUSH BINARY LOGS;\nFLUSH BINARY LOGS;\nINSERT INTO t VALUES (3);\n")
        .await?;
    // The server keeps what a reader has open, until it notices that the reader is gone.
    while database.texts("SHOW BINARY LOGS").await?.len() > 1 {
        database.run("PURGE BINARY LOGS TO 'binlog.000003';\n").await?;
        tokio::time::sleep(std::time::Duration::from_millis(200)).await;
    }
    let error = read(&config, &end(&copied)?).await.unwrap_err();
    let Some((ErrorKind::PositionLost, message)) = failure(&error) else { anyhow::bail!("{error:?}") };
    ensure!(message.contains("resync"), "{message}");
    let mut account = Account::default();
    copied.iter().try_for_each(|emission| account.apply(emission))?;
    let resync = database.config(&json!({ "on_lost": "resync" }));
    let again = read(&resync, &end(&copied)?).await?;
    again.iter().try_for_each(|emission| account.apply(emission))?;
    let lines = shown(&again)?;
    ensure!(lines == ["truncate: -", "read: 2", "read: 3"], "{lines:?}");
    ensure!(account.0["purged.t"].len() == 2);
    Ok(())
}

#[tokio::test]
async fn a_binlog_that_began_anew_is_not_taken_for_the_old_one() -> Result<()> {
    let server = server()?;
    let sql = "CREATE TABLE t (id int PRIMARY KEY);\nINSERT INTO t VALUES (1);\n";
    let database = Database::new(&server, "reset", sql).await?;
    let config = database.config(&json!({}));
    let copied = read(&config, &Position::default()).await?;
    tokio::time::sleep(std::time::Duration::from_millis(1100)).await;
    database.run("RESET MASTER;\nINSERT INTO t SELECT seq FROM seq_10_to_2000;\n").await?;
    let error = read(&config, &end(&copied)?).await.unwrap_err();
    ensure!(matches!(failure(&error), Some((ErrorKind::PositionLost, _))), "{error:?}");
    Ok(())
}

#[tokio::test]
async fn a_statement_that_hides_its_rows_is_not_passed_over() -> Result<()> {
    let server = server()?;
    let database = Database::new(&server, "hidden", "CREATE TABLE t (id int PRIMARY KEY);\n").await?;
    let config = database.config(&json!({}));
    let copied = read(&config, &Position::default()).await?;
    database.run("SET SESSION binlog_format = 'STATEMENT';\nINSERT INTO t VALUES (1);\n").await?;
    let error = read(&config, &end(&copied)?).await.unwrap_err();
    let Some((ErrorKind::PositionLost, message)) = failure(&error) else { anyhow::bail!("{error:?}") };
    ensure!(message.contains("binlog_format = 'ROW'"), "{message}");
    Ok(())
}

#[tokio::test]
async fn a_server_without_binlog_is_named_with_its_remedy() -> Result<()> {
    let server = Arc::new(MariaDbServer::start_with(&["skip-log-bin"], &[])?);
    let database = Database::new(&server, "silent", "CREATE TABLE t (id int PRIMARY KEY);\n").await?;
    let error = read(&database.config(&json!({})), &Position::default()).await.unwrap_err();
    let Some((ErrorKind::Config, message)) = failure(&error) else { anyhow::bail!("{error:?}") };
    ensure!(message.contains("log_bin"), "{message}");
    Ok(())
}

#[tokio::test]
async fn the_rights_that_are_documented_are_enough() -> Result<()> {
    let server = server()?;
    let sql = "CREATE TABLE t (id int PRIMARY KEY);\nINSERT INTO t VALUES (1);\n\
        CREATE USER reader@'127.0.0.1' IDENTIFIED BY 'secret';\n\
        GRANT SELECT ON rights.* TO reader@'127.0.0.1';\n\
        GRANT BINLOG MONITOR, REPLICATION SLAVE ON *.* TO reader@'127.0.0.1';\n";
    let database = Database::new(&server, "rights", sql).await?;
    let url = format!("mysql://reader:secret@127.0.0.1:{}/rights", server.port());
    let config = json!({ "url": url, "tls": { "mode": "disable" } });
    let copied = read(&config, &Position::default()).await?;
    database.run("INSERT INTO t VALUES (2);\n").await?;
    let lines = [shown(&copied)?, shown(&read(&config, &end(&copied)?).await?)?].concat();
    ensure!(lines == ["read: 1", "create: 2"], "{lines:?}");
    Ok(())
}

#[tokio::test]
async fn a_check_names_what_is_missing_and_the_sql_that_mends_it() -> Result<()> {
    let settings = ["binlog-format=MIXED", "binlog-row-image=MINIMAL", "binlog-row-metadata=NO_LOG"];
    let server = Arc::new(MariaDbServer::start_with(&settings, &[])?);
    let sql = "CREATE TABLE t (a int);\nCREATE USER poor@'127.0.0.1' IDENTIFIED BY 'x';\n\
        GRANT SELECT ON checked.* TO poor@'127.0.0.1';\n";
    let database = Database::new(&server, "checked", sql).await?;
    let check = towpath_adapter_mysql::adapter().source.unwrap().check.unwrap();
    let name = ResourceName::new("erp")?;
    let found = check(&name, &database.config(&json!({}))).await?;
    let remedies: Vec<_> = found.iter().filter_map(|finding| finding.remedy.as_deref()).collect();
    for wanted in [
        "SET GLOBAL binlog_format = 'ROW';",
        "SET GLOBAL binlog_row_image = 'FULL';",
        "SET GLOBAL binlog_row_metadata = 'FULL';",
        "ALTER TABLE `checked`.`t` ADD PRIMARY KEY (…);",
    ] {
        ensure!(remedies.contains(&wanted), "{wanted}: {remedies:?}");
    }
    let url = format!("mysql://poor:x@127.0.0.1:{}/checked", server.port());
    let found = check(&name, &json!({ "url": url, "tls": { "mode": "disable" } })).await?;
    let failed: Vec<_> =
        found.iter().filter(|f| f.verdict == Verdict::Failed).filter_map(|f| f.remedy.as_deref()).collect();
    ensure!(failed.contains(&"GRANT BINLOG MONITOR ON *.* TO 'poor'@'127.0.0.1';"), "{failed:?}");
    ensure!(failed.contains(&"GRANT REPLICATION SLAVE ON *.* TO 'poor'@'127.0.0.1';"), "{failed:?}");
    Ok(())
}

#[tokio::test]
async fn a_table_is_read_back_as_the_source_emits_it() -> Result<()> {
    let server = server()?;
    let sql = "CREATE TABLE t (a int, b varchar(9), c datetime(6), d varbinary(9), PRIMARY KEY (a, b, d));\n\
        INSERT INTO t VALUES (1, 'x', '2026-01-31 10:00:00.5', x'00ff'), (2, 'ä', NULL, x''), (3, 'z', NULL, x'01');\n";
    let database = Database::new(&server, "back", sql).await?;
    let config = database.config(&json!({}));
    let copied = read(&config, &Position::default()).await?;
    let Rows::Records { schema, batch } = &copied[0].rows else { anyhow::bail!("there are rows") };
    let make = towpath_adapter_mysql::adapter().source.unwrap().reader.unwrap();
    let places: Vec<_> =
        schema.key().iter().map(|name| batch.schema().index_of(name)).collect::<Result<_, _>>()?;
    let keys = batch.project(&places)?.slice(0, 2);
    for (rows, count) in [(WhichRows::All, 3), (WhichRows::Keys(keys), 2)] {
        let owner = ResourceName::new("erp")?;
        let reading = Reading { owner, stream: copied[0].stream.clone(), schema: schema.clone(), rows };
        let (output, mut batches) = BatchOutput::channel(9);
        make(&config)?.read(&reading, output).await?;
        let found = batches.recv().await.unwrap();
        ensure!(batches.recv().await.is_none() && found.num_rows() == count);
        // A batch that is read has no reserved columns; a batch of as many others stands in their place.
        let plain = |batch: &arrow_array::RecordBatch, skip: usize| -> Result<Vec<_>> {
            batch.columns().iter().skip(skip).map(|column| cell::cells(column)).collect()
        };
        ensure!(plain(&found, 0)? == plain(&batch.slice(0, count), 3)?, "{found:?}");
    }
    Ok(())
}
