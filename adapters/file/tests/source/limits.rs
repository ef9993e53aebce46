//! Positions stay within their limit, whatever has to be said in them.

use serde_json::json;

use crate::harness::Agent;

#[tokio::test]
async fn a_position_has_room_for_everything_at_once() {
    // Sixty-four files that wait, a path of four thousand bytes, and as many inferred columns as are kept.
    let mut agent = Agent::new(
        json!({"format": {"json_lines": {"infer_rows": 1}}}),
        json!({"recursive": true, "batch": {"rows": 1}, "ignore": []}),
    );
    for number in 0..63 {
        agent.drop_file(&format!("{number:02}"), format!("{{\"id\":{number}}}"));
    }
    let fields: Vec<_> = (0..2_000).map(|number| format!("\"a field of some length {number}\":1")).collect();
    let mut path = "z".to_owned();
    let room = 4_000 - agent.path("").as_os_str().len();
    while path.len() + 202 < room {
        path.push('/');
        path.push_str(&"ü".repeat(100));
    }
    agent.drop_file(&path, format!("{{{}}}\n{{}}\n{{}}\n", fields.join(",")));
    agent.run_until(|agent| agent.files_done() == 64).await;
    let largest = agent.durable.iter().map(|emission| emission.position.0.len()).max().unwrap();
    assert!(largest > 14 << 10, "{largest} bytes: the case is as large as it was meant to be");
    assert!(largest <= towpath_record::limits::MAX_POSITION_BYTES);
}

#[tokio::test]
async fn columns_that_do_not_fit_into_a_position_are_inferred_again_as_they_were() {
    let names: Vec<_> = (0..900).map(|number| format!("column with a long name {number}")).collect();
    let row = |value: &str| vec![value; 900].join(",");
    // The second row makes all columns text; later rows alone would make them numbers.
    let content = format!("{}\n{}\n{}\n{}\n{}\n", names.join(","), row("1"), row("x"), row("2"), row("3"));
    let mut agent = Agent::new(json!({"format": "csv"}), json!({"batch": {"rows": 1}}));
    agent.drop_file("a.csv", content);
    agent.run_until(|agent| agent.durable.len() == 3).await;
    agent.run_until(|agent| agent.files_done() == 1).await;
    let rows = agent.rows();
    let values: Vec<_> = rows.iter().map(|row| row[&names[899]].as_str().unwrap()).collect();
    assert_eq!(values, ["1", "x", "2", "3"]);
}

#[tokio::test]
async fn a_change_is_heard_of_without_waiting_for_the_next_listing() {
    let mut agent = Agent::new(json!({"format": "csv"}), json!({"rescan": "1h"}));
    let mut run = agent.start();
    assert!(agent.is_quiet(&mut run).await);
    agent.drop_file("a.csv", "id\n1\n");
    agent.receive(&mut run).await;
    run.stop().await.unwrap();
    assert_eq!(agent.files_done(), 1);
}
