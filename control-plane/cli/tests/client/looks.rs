//! What happened, what agents say, and what keeps us from working.

use serde_json::json;
use towpath_cli::{CliError, run};

use clap::Parser;
use towpath_cli::args::Cli;
use towpath_cli::context::Context;

use crate::desk::{Desk, run_with};
use crate::server::Server;

fn events(seqs: std::ops::RangeInclusive<u64>) -> String {
    let items: Vec<_> = seqs
        .map(|seq| json!({ "seq": seq, "at": "2026-01-31T12:00:00Z", "actor": { "type": "system" }, "event": "token_used" }))
        .collect();
    json!({ "items": items }).to_string()
}

#[tokio::test]
async fn the_newest_events_are_found_among_many() {
    let none = r#"{"items": []}"#.to_owned();
    let desk = Desk::with(&[("GET /v1/events?after=1233&limit=2", 200, &events(1234..=1235))]).await;
    for after in 0..3_100_u64 {
        let one = if after < 1_235 { events(after + 1..=after + 1) } else { none.clone() };
        desk.server.answer(&format!("GET /v1/events?after={after}&limit=1"), 200, &one);
    }
    let shown = desk.run(&["events", "--limit", "2"]).await.unwrap();
    assert_eq!(shown.lines().count(), 2, "{shown}");
    assert!(
        shown.contains("  1234  2026-01-31T12:00:00Z  system") && shown.contains("token used"),
        "{shown}"
    );
    assert!(desk.server.asked().len() < 20, "{}", desk.server.asked().len());
    let lines = desk.run(&["events", "--after", "1233", "--limit", "2", "-o", "json"]).await.unwrap();
    assert_eq!(lines.lines().count(), 2, "{lines}");
}

#[tokio::test]
async fn an_agents_log_is_shown_line_by_line_and_commands_no_terminal() {
    let log = r#"{"agent": "plant-1", "cursor": "c-2", "lines": [
        {"at": "2026-01-31T12:00:00.1234Z", "level": "info", "message": "starts"},
        {"at": "2026-01-31T12:00:01Z", "level": "error", "message": "bad \u001b[2J value"}]}"#;
    let desk = Desk::with(&[("GET /v1/agents/plant-1/logs?limit=100", 200, log)]).await;
    let shown = desk.run(&["logs", "plant-1"]).await.unwrap();
    assert_eq!(
        shown,
        "2026-01-31T12:00:00.123Z  info   starts\n2026-01-31T12:00:01.000Z  error  bad \\u{1b}[2J value\n"
    );
}

#[tokio::test]
async fn a_log_that_is_followed_goes_on_where_it_was_and_says_what_is_missing() {
    let desk = Desk::with(&[
        (
            "GET /v1/agents/a/logs?limit=10",
            200,
            r#"{"agent": "a", "cursor": "c-1", "lines": [{"at": "2026-01-31T12:00:00Z", "level": "info", "message": "one"}]}"#,
        ),
        (
            "GET /v1/agents/a/logs?after=c-1&limit=10",
            200,
            r#"{"agent": "a", "cursor": "c-9", "missed": 7, "lines": [{"at": "2026-01-31T12:00:00Z", "level": "warn", "message": "nine"}]}"#,
        ),
    ])
    .await;
    let context = desk.path("context.yaml");
    let args = ["towpath", "--context", context.to_str().unwrap(), "logs", "a", "--follow", "--tail", "10"];
    let mut out = Vec::new();
    // The agent's third answer is that it is not there any more.
    let ended = run(Cli::parse_from(args), &mut out).await.unwrap_err();
    assert!(matches!(ended, CliError::Client(_)));
    let shown = String::from_utf8(out).unwrap();
    assert!(
        shown.contains("one") && shown.contains("7 lines are missing") && shown.contains("nine"),
        "{shown}"
    );
}

const STATUS: &str = r#"{"at": "2026-01-31T12:00:00Z", "version": "0.1.0", "generation": 4, "agents": [], "sources": [],
    "sinks": [], "logs": [], "routes": []}"#;

#[tokio::test]
async fn the_doctor_finds_nothing_where_all_is_well() {
    let version = STATUS.replace("0.1.0", env!("CARGO_PKG_VERSION"));
    let desk = Desk::with(&[("GET /v1/status", 200, &version), ("GET /healthz", 200, "ok")]).await;
    let said = desk.run(&["doctor"]).await.unwrap();
    for part in [
        "good     context:",
        "mode 600",
        "DNS",
        "TCP",
        "TLS",
        "server certificate",
        "clock",
        "token",
        "version",
    ] {
        assert!(said.contains(part), "{part} is missing in\n{said}");
    }
    assert!(!said.contains("FAILED") && !said.contains("tpa1.test"), "{said}");
}

/// What the doctor says where something is wrong.
async fn examined(desk: &Desk) -> String {
    let context = desk.path("context.yaml");
    let cli = Cli::parse_from(["towpath", "--context", context.to_str().unwrap(), "doctor"]);
    let mut out = Vec::new();
    let failed = run(cli, &mut out).await.unwrap_err();
    assert_eq!((failed.exit_code(), failed.to_string().starts_with("one thing")), (3, true), "{failed}");
    String::from_utf8(out).unwrap()
}

#[tokio::test]
async fn the_doctor_names_the_one_thing_that_is_wrong_and_its_remedy() {
    let unknown =
        r#"{"type": "towpath:unauthorized", "title": "x", "status": 401, "detail": "who are you?"}"#;
    let desk = Desk::with(&[("GET /v1/status", 401, unknown), ("GET /healthz", 200, "ok")]).await;
    let said = examined(&desk).await;
    assert!(said.contains("FAILED   token: the control plane does not take it"), "{said}");

    let other = Server::start(towpath_cli::client::SERVER_NAME, &[]).await;
    desk.keep("default", Context { ca_pem: other.ca_pem.clone(), ..desk.server.context() });
    let said = examined(&desk).await;
    assert!(said.contains("FAILED   TLS: the server is not trusted") && said.contains("--ca"), "{said}");

    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    desk.keep("default", Context { server: format!("https://{free}"), ..desk.server.context() });
    let said = examined(&desk).await;
    assert!(
        said.contains("FAILED   TCP") && said.contains("check that towpath-control runs there"),
        "{said}"
    );
}

#[tokio::test]
async fn the_doctor_tells_a_missing_context_from_a_broken_one() {
    let dir = tempfile::tempdir().unwrap();
    let failed = run_with(&dir.path().join("none.yaml"), &["doctor", "-o", "json"]).await.unwrap_err();
    assert_eq!(failed.exit_code(), 3);
}

#[tokio::test]
async fn every_shell_gets_its_completion_and_the_manual_has_a_page_for_each_command() {
    let desk = Desk::with(&[]).await;
    for shell in ["bash", "zsh", "fish", "powershell"] {
        let script = desk.run(&["completion", shell]).await.unwrap();
        assert!(script.contains("TOWPATH_COMPLETE") && script.contains("towpath"), "{script}");
    }
    let dir = desk.path("man");
    desk.run(&["man", "--dir", dir.to_str().unwrap()]).await.unwrap();
    for page in ["towpath.1", "towpath-get.1", "towpath-context-use.1"] {
        assert!(dir.join(page).exists(), "{page}");
    }
}

#[test]
fn the_page_in_the_documentation_is_that_of_this_command_line() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/cli.md");
    let written = std::fs::read_to_string(path).unwrap_or_default();
    let is = towpath_cli::markdown();
    assert!(written == is, "docs/cli.md is old; write it anew: towpath man --markdown > docs/cli.md");
}

#[tokio::test]
async fn what_policies_make_of_a_field_is_explained_rule_by_rule() {
    let explanation = json!({
        "stream": "crm.people", "field": "email", "policies": ["customers"], "classes": ["pii.email"],
        "found": { "version": 3, "type": "string", "treatment": "mask domain" },
        "origins": [{ "policy": "customers", "classification": 1, "classes": ["pii.email"] }],
        "places": [{
            "region": "us", "purpose": "ads", "treatment": "drop", "reason": "rule 2 of policy customers for class pii.email",
            "rules": [{ "policy": "customers", "rule": 1, "then": "allow", "counts": false, "because": "it is for other regions" },
                      { "policy": "customers", "rule": 2, "then": "drop", "counts": true, "because": "it counts" }],
        }],
    });
    let asked = "GET /v1/policies/explain?stream=crm.people&field=email&region=us&purpose=ads";
    let desk = Desk::with(&[(asked, 200, &explanation.to_string())]).await;
    let args = ["policy", "explain", "crm.people.email", "--region", "us", "--purpose", "ads"];
    let shown = desk.run(&args).await.unwrap();
    for part in [
        "field email of stream crm.people",
        "string, mask domain, in version 3",
        "pii.email by classification 1 of policy customers",
        "in region us for ads: drop, since rule 2 of policy customers for class pii.email",
        "it is for other regions",
    ] {
        assert!(shown.contains(part), "{part}: {shown}");
    }
    let refused = Cli::try_parse_from(["towpath", "policy", "explain", "email"]).unwrap_err().to_string();
    assert!(refused.contains("crm.customers.email"), "{refused}");
}
