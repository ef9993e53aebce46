//! How fast files are read. A measurement, not a promise: the machine decides.
//!
//! `cargo test --release -p towpath-adapter-file --test source speed -- --ignored --nocapture`

use std::time::Instant;

use serde_json::{Value, json};

use crate::harness::Agent;

/// About 60 MB of orders with ten columns and 226 bytes each.
fn orders(line: impl Fn(&mut fastrand::Rng, u32) -> String) -> String {
    let mut random = fastrand::Rng::with_seed(7);
    (0..265_000).map(|row| line(&mut random, row)).collect()
}

#[expect(clippy::print_stdout, reason = "what was measured is what this is for")]
async fn measure(name: &str, format: Value, content: String) {
    let mut agent = Agent::new(json!({"format": format}), json!({}));
    agent.drop_file("a", &content);
    let mut run = agent.start();
    let begin = Instant::now();
    while agent.files_done() == 0 {
        agent.receive(&mut run).await;
    }
    let seconds = begin.elapsed().as_secs_f64();
    run.stop().await.unwrap();
    let rows: usize = agent.durable.len();
    #[expect(clippy::cast_precision_loss, reason = "a measurement")]
    let megabytes = content.len() as f64 / 1e6;
    println!("{name}: {:.0} MB/s, {rows} emissions, {} bad rows", megabytes / seconds, agent.letters().len());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a measurement"]
async fn of_typed_csv_and_json_lines() {
    let columns = json!([
        {"name": "id", "type": "int64"}, {"name": "customer", "type": "int64"}, {"name": "name", "type": "string"},
        {"name": "city", "type": "string"}, {"name": "total", "type": {"decimal": {"precision": 12, "scale": 2}}},
        {"name": "weight", "type": "float64"}, {"name": "paid", "type": "boolean"}, {"name": "day", "type": "date"},
        {"name": "at", "type": "timestamp"}, {"name": "note", "type": "string"},
    ]);
    let note = "a remark of the length that people write when they are in a hurry, and some more words for the carrier";
    let csv = orders(|random, row| {
        format!(
            "{row},{},\"Customer {}\",Rotterdam,{}.{:02},{}.5,true,2026-01-{:02},2026-01-31T10:00:{:02}Z,{note}\n",
            random.u32(..),
            random.u16(..),
            random.u32(..100_000),
            random.u8(..100),
            random.u16(..),
            random.u8(1..29),
            random.u8(..60)
        )
    });
    let csv = format!("id,customer,name,city,total,weight,paid,day,at,note\n{csv}");
    let json_lines = orders(|random, row| {
        format!(
            "{{\"id\":{row},\"customer\":{},\"name\":\"Customer {}\",\"city\":\"Rotterdam\",\"total\":{}.{:02},\
             \"weight\":{}.5,\"paid\":true,\"day\":\"2026-01-{:02}\",\"at\":\"2026-01-31T10:00:{:02}Z\",\
             \"note\":\"{note}\"}}\n",
            random.u32(..),
            random.u16(..),
            random.u32(..100_000),
            random.u8(..100),
            random.u16(..),
            random.u8(1..29),
            random.u8(..60)
        )
    });
    measure("csv, declared", json!({"csv": {"columns": columns}}), csv.clone()).await;
    measure("csv, inferred", json!("csv"), csv).await;
    measure("json lines, declared", json!({"json_lines": {"columns": columns}}), json_lines.clone()).await;
    measure("json lines, inferred", json!("json_lines"), json_lines.clone()).await;
    measure("lines", json!("lines"), json_lines).await;
}
