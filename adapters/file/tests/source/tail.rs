//! Files that grow and are rotated.

use std::fs::{File, OpenOptions};
use std::io::Write;

use serde_json::{Value, json};

use crate::harness::{Agent, eventually};

fn lines(settings: Value) -> Agent {
    let mut all = json!({"mode": "tail", "batch": {"rows": 3}});
    crate::harness::merge(&mut all, settings);
    Agent::new(json!({"include": ["*.log"], "format": "lines"}), all)
}

fn append(agent: &Agent, name: &str, text: &str) {
    OpenOptions::new()
        .create(true)
        .append(true)
        .open(agent.path(name))
        .unwrap()
        .write_all(text.as_bytes())
        .unwrap();
}

fn seen(agent: &Agent) -> Vec<String> {
    agent.rows().iter().map(|row| row["line"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn lines_are_read_as_they_are_written_and_a_part_of_one_is_waited_for() {
    let mut agent = lines(json!({}));
    append(&agent, "a.log", "one\ntw");
    let mut run = agent.start();
    agent.receive(&mut run).await;
    assert_eq!(seen(&agent), ["one"]);
    assert!(agent.is_quiet(&mut run).await);
    append(&agent, "a.log", "o\nthree\n");
    agent.receive(&mut run).await;
    run.stop().await.unwrap();
    assert_eq!(seen(&agent), ["one", "two", "three"]);
    assert_eq!(agent.rows()[2]["line_number"], 3);
}

#[tokio::test]
async fn following_goes_on_after_a_cut_without_gap_or_repeat() {
    for cut in 1..8 {
        let mut agent = lines(json!({}));
        let text =
            |begin: u32| (begin..begin + 10).map(|n| format!("{n}{}\n", if n % 4 == 0 { "\0" } else { "" }));
        append(&agent, "a.log", &text(0).collect::<String>());
        append(&agent, "b.log", &text(100).collect::<String>());
        agent.run_until(|agent| agent.durable.len() == cut).await;
        append(&agent, "a.log", "last a\n");
        append(&agent, "b.log", "last b\n");
        agent.run_until(|agent| agent.rows().len() + agent.letters().len() == 22).await;
        let of = |prefix: &str, agent: &Agent| -> Vec<String> {
            seen(agent)
                .into_iter()
                .filter(|line| (line.len() == 3 || line.ends_with('b')) == (prefix == "b"))
                .collect()
        };
        assert_eq!(of("a", &agent), ["1", "2", "3", "5", "6", "7", "9", "last a"], "cut {cut}");
        assert_eq!(of("b", &agent), ["101", "102", "103", "105", "106", "107", "109", "last b"], "cut {cut}");
        let mut bad: Vec<_> =
            agent.letters().iter().map(|letter| letter.raw[0..letter.raw.len() - 2].to_vec()).collect();
        bad.sort();
        assert_eq!(bad, [&b"0"[..], b"100", b"104", b"108", b"4", b"8"], "cut {cut}");
    }
}

#[tokio::test]
async fn a_file_that_is_rotated_by_rename_is_read_to_its_end_and_the_new_one_from_its_beginning() {
    let mut agent = lines(json!({}));
    append(&agent, "a.log", "1\n");
    let mut run = agent.start();
    agent.receive(&mut run).await;
    append(&agent, "a.log", "2\n");
    std::fs::rename(agent.path("a.log"), agent.path("a.log.1")).unwrap();
    append(&agent, "a.log.1", "3\nunfinished");
    append(&agent, "a.log", "4\n");
    while seen(&agent).len() < 5 {
        agent.receive(&mut run).await;
    }
    run.stop().await.unwrap();
    let mut all = seen(&agent);
    assert_eq!(all.iter().filter(|line| *line != "4").collect::<Vec<_>>(), ["1", "2", "3", "unfinished"]);
    all.sort();
    assert_eq!(all, ["1", "2", "3", "4", "unfinished"]);
}

#[tokio::test]
async fn a_file_that_was_rotated_while_the_agent_was_away_is_found_by_its_inode() {
    let mut agent = lines(json!({}));
    append(&agent, "a.log", "1\n");
    agent.run_until(|agent| agent.rows().len() == 1).await;
    append(&agent, "a.log", "2\n");
    std::fs::rename(agent.path("a.log"), agent.path("a.log.1")).unwrap();
    append(&agent, "a.log", "3\n");
    agent.run_until(|agent| agent.rows().len() == 3).await;
    let mut all = seen(&agent);
    all.sort();
    assert_eq!(all, ["1", "2", "3"]);
}

#[tokio::test]
async fn a_file_that_was_copied_and_truncated_is_read_from_its_beginning() {
    let mut agent = lines(json!({}));
    append(&agent, "a.log", "one\ntwo\n");
    let mut run = agent.start();
    agent.receive(&mut run).await;
    File::create(agent.path("a.log")).unwrap().write_all(b"new\n").unwrap();
    agent.receive(&mut run).await;
    assert_eq!(seen(&agent), ["one", "two", "new"]);
    // As long as before, with other content: the fingerprint tells.
    File::create(agent.path("a.log")).unwrap().write_all(b"NEW\nlonger\n").unwrap();
    agent.receive(&mut run).await;
    run.stop().await.unwrap();
    assert_eq!(seen(&agent), ["one", "two", "new", "NEW", "longer"]);
}

#[tokio::test]
async fn a_csv_that_is_followed_waits_for_its_header() {
    let format =
        json!({"csv": {"columns": [{"name": "b", "type": "int64"}, {"name": "a", "type": "int64"}]}});
    let mut agent = Agent::new(json!({"format": format}), json!({"mode": "tail"}));
    append(&agent, "a.csv", "a,");
    let mut run = agent.start();
    assert!(agent.is_quiet(&mut run).await);
    append(&agent, "a.csv", "b\n1,2\n");
    agent.receive(&mut run).await;
    append(&agent, "a.csv", "x,4\n5,6\n");
    agent.receive(&mut run).await;
    agent.receive(&mut run).await;
    run.stop().await.unwrap();
    assert_eq!(agent.rows(), [json!({"b": 2, "a": 1}), json!({"b": 6, "a": 5})]);
    assert_eq!(agent.letters()[0].line, 3);
}

#[tokio::test]
async fn a_header_that_does_not_fit_is_reported_once_even_after_a_restart() {
    let format = json!({"csv": {"columns": [{"name": "a", "type": "int64"}]}});
    let mut agent = Agent::new(json!({"format": format}), json!({"mode": "tail"}));
    append(&agent, "a.csv", "z\n1\n");
    agent.run_until(|agent| agent.letters().len() == 1).await;
    let mut run = agent.start();
    assert!(agent.is_quiet(&mut run).await);
    run.stop().await.unwrap();
    assert!(agent.letters()[0].reason.contains("\"z\""));
}

#[tokio::test]
async fn a_line_that_is_too_long_is_passed_over_while_it_grows() {
    let mut agent = lines(json!({}));
    agent.config["files"][0]["max_record_bytes"] = json!("1KiB");
    append(&agent, "a.log", &"x".repeat(600 << 10));
    let mut run = agent.start();
    assert!(agent.is_quiet(&mut run).await);
    append(&agent, "a.log", &"x".repeat(600 << 10));
    assert!(agent.is_quiet(&mut run).await);
    append(&agent, "a.log", "\nnext\n");
    while agent.rows().is_empty() {
        agent.receive(&mut run).await;
    }
    run.stop().await.unwrap();
    assert_eq!(seen(&agent), ["next"]);
    let letters = agent.letters();
    assert_eq!((letters.len(), letters[0].raw.len(), letters[0].raw_truncated), (1, 64 << 10, true));
}

#[tokio::test]
async fn too_many_files_are_refused_with_a_remedy() {
    let mut agent = lines(json!({}));
    for number in 0..201 {
        append(&agent, &format!("{number}.log"), "");
    }
    let error = agent.start().end().await.unwrap().1.unwrap_err();
    assert!(error.message.contains("exclude rotated ones"), "{error}");
    let first = agent.path("0.log");
    std::fs::remove_file(&first).unwrap();
    append(&agent, "1.log", "x\n");
    agent.run_until(|agent| agent.rows().len() == 1).await;
    eventually("the position is small", || agent.position().0.len() < 16 << 10).await;
}
