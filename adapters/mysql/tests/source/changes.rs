//! What changes look like: other keys, other columns, emptied, renamed and new tables, large transactions, failovers.

use anyhow::{Context, Result, ensure};
use serde_json::json;
use towpath_record::Position;

use crate::harness::{Account, Database, end, read, server, shown};

#[tokio::test]
async fn a_row_is_told_with_its_transaction_and_a_new_key_is_a_new_row() -> Result<()> {
    let server = server()?;
    let database = Database::new(
        &server,
        "keyed",
        "CREATE TABLE t (id int PRIMARY KEY, n int);\nINSERT INTO t VALUES (1, 1);\n",
    )
    .await?;
    let config = database.config(&json!({}));
    let copied = read(&config, &Position::default()).await?;
    database
        .run("BEGIN;\nUPDATE t SET n = 2;\nUPDATE t SET id = 5;\nINSERT INTO t VALUES (6, 6);\nCOMMIT;\nDELETE FROM t WHERE id = 5;\n")
        .await?;
    let gtid = database.texts("SELECT @@gtid_binlog_pos").await?;
    let changed = read(&config, &end(&copied)?).await?;
    let lines = shown(&changed)?;
    ensure!(
        lines == ["update: 1 | 2", "delete: 1 | 2", "create: 5 | 2", "create: 6 | 6", "delete: 5 | 2"],
        "{lines:?}"
    );
    let towpath_adapter_api::Rows::Records { batch, .. } = &changed.last().context("rows")?.rows else {
        anyhow::bail!("there are rows")
    };
    let transactions = arrow_array::cast::AsArray::as_string::<i32>(batch.column(2));
    ensure!(transactions.value(batch.num_rows() - 1) == gtid[0], "{transactions:?} {gtid:?}");
    ensure!(!changed.last().context("rows")?.transaction_continues);
    Ok(())
}

#[tokio::test]
async fn other_columns_make_another_schema_and_an_emptied_table_is_told() -> Result<()> {
    let server = server()?;
    let database = Database::new(&server, "ddl", "CREATE TABLE t (id int PRIMARY KEY, a text);\n").await?;
    let config = database.config(&json!({}));
    let copied = read(&config, &Position::default()).await?;
    let sql = "INSERT INTO t VALUES (1, 'x');\nALTER TABLE t ADD b int;\nINSERT INTO t VALUES (2, 'y', 5);\n\
        ALTER TABLE t RENAME COLUMN a TO c;\nALTER TABLE t MODIFY b bigint unsigned;\nINSERT INTO t VALUES (3, 'z', 6);\n\
        ALTER TABLE t DROP c;\nTRUNCATE t;\nINSERT INTO t VALUES (4, 7);\n\
        CREATE TABLE later (id int PRIMARY KEY);\nINSERT INTO later VALUES (1);\n\
        CREATE TABLE made (PRIMARY KEY (id)) SELECT 1 AS id, 'x' AS v;\nDROP TABLE made;\n\
        CREATE TABLE made (id int PRIMARY KEY);\nINSERT INTO made VALUES (2);\n";
    database.run(sql).await?;
    let changed = read(&config, &end(&copied)?).await?;
    let lines = shown(&changed)?;
    let expected = [
        "create: 1 | x",
        "create: 2 | y | 5",
        "create: 3 | z | 6",
        "truncate: - | -",
        "create: 4 | 7",
        "create: 1",
        "create: 1 | x",
        "truncate: - | -",
        "create: 2",
    ];
    ensure!(lines == expected, "{lines:?}");
    let schemas: Vec<_> = changed
        .iter()
        .filter_map(|emission| match &emission.rows {
            towpath_adapter_api::Rows::Records { schema, .. } => Some(schema.columns().len()),
            _ => None,
        })
        .collect();
    ensure!(schemas.len() >= 6, "{schemas:?}");
    let names = String::from_utf8(match &changed[2].rows {
        towpath_adapter_api::Rows::Records { schema, .. } => schema.canonical().to_vec(),
        _ => Vec::new(),
    })?;
    ensure!(names.contains("\"c\"") && names.contains("uint64"), "{names}");
    Ok(())
}

#[tokio::test]
async fn a_table_that_comes_by_another_name_or_loses_a_partition_is_copied() -> Result<()> {
    let server = server()?;
    let sql = "CREATE TABLE hidden_a (id int PRIMARY KEY, v text);\nINSERT INTO hidden_a VALUES (1, 'x'), (2, 'y');\n\
        CREATE TABLE p (id int PRIMARY KEY) PARTITION BY RANGE (id) (PARTITION a VALUES LESS THAN (10), \
        PARTITION b VALUES LESS THAN (20));\nINSERT INTO p VALUES (1), (11);\n";
    let database = Database::new(&server, "renames", sql).await?;
    let config = database.config(&json!({ "exclude": ["renames.hidden_*"] }));
    let copied = read(&config, &Position::default()).await?;
    let mut account = Account::default();
    copied.iter().try_for_each(|emission| account.apply(emission))?;
    database
        .run("RENAME TABLE hidden_a TO shown;\nINSERT INTO shown VALUES (3, 'z');\nALTER TABLE p DROP PARTITION a;\nINSERT INTO p VALUES (12);\n")
        .await?;
    let changed = read(&config, &end(&copied)?).await?;
    changed.iter().try_for_each(|emission| account.apply(emission))?;
    let keys = |stream: &str| -> Vec<String> {
        account.0[stream].keys().flat_map(|key| key.iter().flatten().cloned()).collect()
    };
    ensure!(keys("renames.shown") == ["1", "2", "3"], "{:?}", shown(&changed)?);
    ensure!(keys("renames.p") == ["11", "12"], "{:?}", shown(&changed)?);
    // What is copied again is told once.
    let again = read(&config, &end(&changed)?).await?;
    ensure!(shown(&again)?.is_empty(), "{:?}", shown(&again)?);
    Ok(())
}

#[tokio::test]
async fn a_large_transaction_is_told_in_pieces_that_belong_together() -> Result<()> {
    let server = server()?;
    let database = Database::new(&server, "large", "CREATE TABLE t (id int PRIMARY KEY, v text);\n").await?;
    let config = database.config(&json!({ "batch_rows": 100 }));
    let copied = read(&config, &Position::default()).await?;
    database.run("INSERT INTO t SELECT seq, repeat('x', 50) FROM seq_1_to_950;\n").await?;
    let changed = read(&config, &end(&copied)?).await?;
    let pieces: Vec<_> = changed.iter().filter(|e| e.stream.as_str() == "large.t").collect();
    ensure!(pieces.len() == 10, "{} pieces", pieces.len());
    let goes_on: Vec<_> = pieces.iter().map(|piece| piece.transaction_continues).collect();
    ensure!(goes_on[..9].iter().all(|goes_on| *goes_on) && !goes_on[9], "{goes_on:?}");
    // In the middle of it, the rest comes.
    let rest = read(&config, &pieces[3].position).await?;
    ensure!(shown(&rest)?.len() == 550, "{}", shown(&rest)?.len());
    Ok(())
}

#[tokio::test]
async fn a_compressed_binlog_is_read_as_well() -> Result<()> {
    let server = server()?;
    let database = Database::new(
        &server,
        "packed",
        "SET GLOBAL log_bin_compress = 1;\nCREATE TABLE t (id int PRIMARY KEY, v text);\n",
    )
    .await?;
    let config = database.config(&json!({}));
    let copied = read(&config, &Position::default()).await?;
    database
        .run("INSERT INTO t VALUES (1, repeat('x', 900));\nUPDATE t SET v = repeat('y', 900);\nDELETE FROM t;\nTRUNCATE TABLE t /* a comment that is long enough to be compressed, which takes two hundred and fifty-six bytes of statement before the server thinks it worth the while, so that here is quite a lot of text which says nothing else at all than that it is long enough to be so */;\n")
        .await?;
    let lines = shown(&read(&config, &end(&copied)?).await?)?;
    let begins: Vec<_> = lines.iter().map(|line| &line[..line.len().min(12)]).collect();
    ensure!(begins == ["create: 1 | ", "update: 1 | ", "delete: 1 | ", "truncate: - "], "{begins:?}");
    Ok(())
}

#[tokio::test]
async fn a_table_without_key_is_copied_as_a_whole_and_followed() -> Result<()> {
    let server = server()?;
    let sql = "CREATE TABLE t (a int, b text);\nINSERT INTO t VALUES (1, 'x'), (1, 'x'), (2, NULL);\n";
    let database = Database::new(&server, "keyless", sql).await?;
    let config = database.config(&json!({ "batch_rows": 1 }));
    let copied = read(&config, &Position::default()).await?;
    ensure!(shown(&copied)? == ["read: 1 | x", "read: 1 | x", "read: 2 | -"], "{:?}", shown(&copied)?);
    // Cut off in its middle, it begins again.
    let again = read(&config, &copied[0].position).await?;
    let lines = shown(&again)?;
    ensure!(lines == ["truncate: - | -", "read: 1 | x", "read: 1 | x", "read: 2 | -"], "{lines:?}");
    database.run("INSERT INTO t VALUES (3, 'z');\nDELETE FROM t WHERE a = 1;\n").await?;
    let lines = shown(&read(&config, &end(&copied)?).await?)?;
    ensure!(lines == ["create: 3 | z", "delete: 1 | x", "delete: 1 | x"], "{lines:?}");
    let locking = database.config(&json!({ "copy_reads": "locking" }));
    let refused = read(&locking, &Position::default()).await.unwrap_err().to_string();
    ensure!(refused.contains("ADD PRIMARY KEY"), "{refused}");
    Ok(())
}

#[tokio::test]
async fn what_is_undone_in_tables_that_are_not_followed_does_not_matter() -> Result<()> {
    let server = server()?;
    let tables = "CREATE TABLE t (id int PRIMARY KEY);\nCREATE TABLE beside (id int PRIMARY KEY);\n";
    let database = Database::new(&server, "undone", tables).await?;
    let config = database.config(&json!({ "exclude": ["undone.beside"] }));
    let copied = read(&config, &Position::default()).await?;
    // The temporary table makes the server log the transaction although it is undone.
    let undone =
        "BEGIN;\nINSERT INTO beside VALUES (1);\nCREATE TEMPORARY TABLE aside (id int);\nROLLBACK;\n";
    database.run(&format!("{undone}INSERT INTO t VALUES (1);\n")).await?;
    let changed = read(&config, &end(&copied)?).await?;
    ensure!(shown(&changed)? == ["create: 1"], "{:?}", shown(&changed)?);
    Ok(())
}
