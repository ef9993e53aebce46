//! A PostgreSQL server as the sink.

use anyhow::{Context, Result};
use serde_json::json;
use tokio_postgres::NoTls;
use towpath_adapter_conformance::servers::PostgresServer;
use towpath_tests::data::Feed;
use towpath_tests::fleet::{Fleet, PATIENCE, Plan};
use towpath_tests::resources::{Documents, file_source};
use towpath_tests::scene::{CLOUD, PLANT};
use towpath_tests::wait::wait_until;
use walkdir::WalkDir;

const PASSWORD_VARIABLE: &str = "TOWPATH_TEST_PASSWORD";
/// The superuser's, which nothing but the environment may hold.
const PASSWORD: &str = "towpath";
const HEADER: &str = "seq,customer_no,item,quantity,price,note";

#[tokio::test(flavor = "multi_thread")]
async fn a_row_replaces_the_one_with_its_key_and_the_password_is_only_a_reference() -> Result<()> {
    let server = PostgresServer::start()?;
    let agent_environment = vec![(PASSWORD_VARIABLE.to_owned(), PASSWORD.to_owned())];
    let fleet = Fleet::start(Plan { agent_environment, ..Plan::default() }).await?;
    let drop = fleet.join("drop");
    std::fs::create_dir_all(&drop)?;
    let mut source = file_source(PLANT, &drop, &[Feed::Orders]);
    source["config"]["files"][0]["key"] = json!(["customer_no"]);
    let config = json!({
        "host": "127.0.0.1", "port": server.port(), "database": "postgres", "user": "towpath",
        "password": format!("${{env:{PASSWORD_VARIABLE}}}"), "tls": { "mode": "disable" },
    });
    let documents = Documents::new()
        .with("Source", "erp", &source)
        .with("Sink", "crm", &json!({ "agent": CLOUD, "adapter": "postgres", "config": config }))
        .with_route("to-crm", "crm");
    fleet.apply(&documents).await?;
    std::fs::write(
        drop.join("orders-1.csv"),
        format!("{HEADER}\n1,K1,a,5,1.25,x\n2,K2,b,6,1.5,y\n3,K1,c,7,2.5,\n"),
    )?;
    std::fs::write(drop.join("orders-2.csv"), format!("{HEADER}\n4,K2,d,8,3.5,z\n"))?;

    let (client, connection) = tokio_postgres::connect(&server.url("postgres"), NoTls).await?;
    let connection = tokio::spawn(connection);
    let query = "SELECT customer_no, seq, quantity, price, note FROM erp_orders ORDER BY customer_no";
    let rows = wait_until("both orders are in the table", PATIENCE, async || {
        let rows = client.query(query, &[]).await.unwrap_or_default();
        Ok((rows.len() == 2 && rows[1].get::<_, i64>(1) == 4).then_some(rows))
    })
    .await
    .with_context(|| fleet.post_mortem())?;
    let row = |index: usize| -> (String, i64, i64, f64, Option<String>) {
        let row = &rows[index];
        (row.get(0), row.get(1), row.get(2), row.get(3), row.get(4))
    };
    assert_eq!(row(0), ("K1".to_owned(), 3, 7, 2.5, None));
    assert_eq!(row(1), ("K2".to_owned(), 4, 8, 3.5, Some("z".to_owned())));
    std::mem::drop(client);
    connection.await??;
    password_is_nowhere(&fleet)
}

/// The word is also the name of the product, so what is looked for is the password where a configuration would have it.
fn password_is_nowhere(fleet: &Fleet) -> Result<()> {
    let written = [format!("\"password\":\"{PASSWORD}\""), format!("password={PASSWORD}")];
    for entry in WalkDir::new(fleet.path()).into_iter().flatten().filter(|entry| entry.file_type().is_file())
    {
        let bytes = std::fs::read(entry.path()).unwrap_or_default();
        let text = String::from_utf8_lossy(&bytes);
        let found = written.iter().any(|written| text.contains(written));
        assert!(!found, "{} holds the password", entry.path().display());
    }
    Ok(())
}
