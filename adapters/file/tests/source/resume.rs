//! Cut off anywhere, the source goes on with the next record.

use serde_json::{Value, json};

use crate::harness::{Agent, gzip, zstd};

/// A file of 60 records, some of them bad, in each format.
fn samples() -> Vec<(Value, String)> {
    let csv = |row: u32| match row % 10 {
        3 => format!("{row},too,many,fields\n"),
        7 => format!("{row},\"two\nlines\",x1.5\n"),
        _ => format!("{row},\"name, \"\"{row}\"\"\",{row}.5\n"),
    };
    let json_line = |row: u32| match row % 10 {
        3 => format!("{{\"id\": {row}, \"name\": \n"),
        7 => "{\"id\": \"x\", \"name\": \"\\u0041\"}\n".to_string(),
        _ if row > 40 => format!("{{\"id\": {row}, \"name\": \"n{row}\", \"late\": {row}.5}}\n"),
        _ => format!("{{\"id\": {row}, \"name\": \"n{row}\"}}\n"),
    };
    let declared = json!([
        {"name": "id", "type": "int32"}, {"name": "name", "type": "string"}, {"name": "price", "type": "float64"}
    ]);
    let lines = |row: u32| if row % 10 == 3 { "nul \0\n".into() } else { format!("line {row}\r\n") };
    let text =
        |head: &str, line: &dyn Fn(u32) -> String| head.to_owned() + &(0..60).map(line).collect::<String>();
    vec![
        (json!({"csv": {"columns": declared}}), text("id,name,price\n", &csv)),
        (json!({"csv": {"infer_rows": 3}}), text("id,name,price\n", &csv)),
        (json!({"csv": {"infer_rows": 3, "encoding": "utf-16le"}}), text("id,name,price\n", &csv)),
        (json!({"json_lines": {"infer_rows": 3}}), text("", &json_line)),
        (json!("lines"), text("", &lines)),
    ]
}

fn encoded(format: &Value, text: &str) -> Vec<u8> {
    if format["csv"]["encoding"].is_null() {
        return text.as_bytes().to_vec();
    }
    text.encode_utf16().flat_map(u16::to_le_bytes).collect()
}

#[tokio::test]
async fn a_source_that_is_cut_off_after_any_emission_goes_on_without_gap_or_repeat() {
    for (format, text) in samples() {
        for compress in [<[u8]>::to_vec, gzip, zstd] {
            let content = compress(&encoded(&format, &text));
            let new = || {
                let agent = Agent::new(
                    json!({"format": format, "key": []}),
                    json!({"batch": {"rows": 7}, "provenance": true}),
                );
                agent.drop_file("a.data", &content);
                agent.drop_file("b.data", [&*content, &content].concat());
                agent
            };
            let mut whole = new();
            whole.run_until(|agent| agent.files_done() == 2).await;
            assert!(whole.durable.len() > 20, "{format}: there are places to cut at");
            assert!(whole.rows().len() > 100, "{format}: there are rows");
            assert!(whole.letters().len() >= 18, "{format}: there are bad rows");
            for cut in 1..whole.durable.len() {
                let mut agent = new();
                agent.run_until(|agent| agent.durable.len() == cut).await;
                agent.config["batch"]["rows"] = json!(5);
                agent.run_until(|agent| agent.files_done() == 2).await;
                assert_eq!(agent.rows(), whole.rows(), "{format}, cut after emission {cut}");
                let places = |agent: &Agent| -> Vec<(String, u64)> {
                    agent.letters().into_iter().map(|letter| (letter.reason, letter.line)).collect()
                };
                assert_eq!(places(&agent), places(&whole), "{format}, cut after emission {cut}");
            }
        }
    }
}

#[tokio::test]
async fn a_source_that_is_cut_off_again_and_again_reads_each_row_once() {
    for (format, text) in samples() {
        let new = || {
            let agent = Agent::new(json!({"format": format}), json!({"batch": {"rows": 4}}));
            agent.drop_file("a.data", gzip(&encoded(&format, &text)));
            agent
        };
        let mut whole = new();
        whole.run_until(|agent| agent.files_done() == 1).await;
        let mut agent = new();
        while agent.files_done() == 0 {
            let before = agent.durable.len();
            agent.run_until(|agent| agent.durable.len() == before + 1).await;
        }
        assert_eq!(agent.rows(), whole.rows(), "{format}");
        assert_eq!(agent.letters().len(), whole.letters().len(), "{format}");
    }
}

#[tokio::test]
async fn a_file_that_was_renamed_while_the_agent_was_away_is_found_by_its_content() {
    let (format, text) = samples().swap_remove(0);
    let mut agent = Agent::new(json!({"format": format}), json!({"batch": {"rows": 7}}));
    agent.drop_file("a.data", &text);
    agent.run_until(|agent| agent.durable.len() == 3).await;
    std::fs::rename(agent.path("a.data"), agent.path("z.data")).unwrap();
    agent.run_until(|agent| agent.files_done() == 1).await;
    assert_eq!(agent.rows().len(), 48);
    let lost_a_file =
        agent.letters().iter().any(|letter| letter.reason.contains("before it was read to its end"));
    assert!(!lost_a_file);
}

#[tokio::test]
async fn a_file_that_vanished_while_the_agent_was_away_is_reported_and_others_go_on() {
    let (format, text) = samples().swap_remove(0);
    let mut agent = Agent::new(json!({"format": format}), json!({"batch": {"rows": 7}}));
    agent.drop_file("a.data", &text);
    agent.run_until(|agent| agent.durable.len() == 3).await;
    std::fs::remove_file(agent.path("a.data")).unwrap();
    agent.drop_file("b.data", "id,name,price\n100,b,1\n");
    agent.run_until(|agent| agent.files_done() == 1).await;
    assert_eq!(agent.rows().last().unwrap()["id"], 100);
    let lost =
        agent.letters().into_iter().find(|letter| letter.reason.contains("before it was read to its end"));
    assert!(lost.unwrap().resource.ends_with("a.data"));
}
