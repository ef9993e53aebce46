//! What commands ask and show.

use std::fs;

use clap::Parser;
use towpath_cli::args::Cli;
use towpath_cli::context::ContextFile;
use towpath_cli::run;

use crate::desk::{Desk, run_with};

const STATUS: &str = r#"{"at": "2026-01-31T12:00:00Z", "version": "0.1.0", "generation": 4, "sinks": [], "logs": [],
"agents": [{"name": "plant-1", "site": "plant", "condition": "waiting", "connected": false, "revoked": false,
  "trouble": {"message": "agent plant-1 is not connected", "remedy": "check it"},
  "desired_generation": 4, "applied_generation": 3, "spool": {"bytes": 2048}}],
"sources": [], "routes": [{"name": "orders", "sink": "crm", "condition": "waiting", "paused": false, "replay": 0,
  "trouble": {"message": "agent plant-1 is not connected", "remedy": "check it"},
  "delivered": {"records": 1234, "bytes": 1, "records_per_second": 12.5, "bytes_per_second": 1.0},
  "lag": {"records": 7, "bytes": 900, "seconds": 75.0}, "breaker": "half_open", "failures": 1, "dead_letters": 2}]}"#;

const RECORD: &str = r#"{"offset":3,"row":0,"op":"create","at":"2026-01-31T12:00:00Z","record":{"id":1}}"#;

const LETTER: &str = r#"{"id": "aa", "origin": "sink", "stream": "erp.orders", "route": "orders", "resource": "frame 7",
"reason": "too \u001b[31mlong", "refused_at": "2026-01-31T12:00:00Z", "state": "open", "record": {"id": 1}}"#;

#[tokio::test]
async fn the_status_is_a_page_of_tables_and_each_trouble_is_told_once() {
    let desk = Desk::with(&[("GET /v1/status", 200, STATUS)]).await;
    let page = desk.run(&["status"]).await.unwrap();
    for part in ["plant-1", "3 of 4", "2.0 KiB", "1,234", "13/s", "7 (900 B)", "1m 15s", "half open"] {
        assert!(page.contains(part), "{part} is missing in\n{page}");
    }
    assert_eq!(page.matches("! agent plant-1 is not connected; check it").count(), 1, "{page}");
    let json: serde_json::Value =
        serde_json::from_str(&desk.run(&["status", "-o", "json"]).await.unwrap()).unwrap();
    assert_eq!(json["generation"], 4);
}

#[tokio::test]
async fn what_the_catalog_refuses_is_told_with_file_and_line() {
    let report = r#"{"dry_run": false, "results": [
        {"subject": "site plant", "place": {"line": 1, "column": 1}, "outcome": "created", "generation": 1},
        {"subject": "sink crm", "place": {"line": 1, "column": 1}, "outcome": "refused",
         "faults": [{"path": "spec.agent", "message": "there is no agent `x`"}]}]}"#;
    let desk = Desk::with(&[("POST /v1/apply?dry_run=false", 422, report)]).await;
    let file = desk.path("fleet.yaml");
    fs::write(
        &file,
        "apiVersion: towpath/v1\nkind: Site\nmetadata: {name: plant}\n---\n\
         apiVersion: towpath/v1\nkind: Sink\nmetadata: {name: crm}\nspec:\n  adapter: sqlite\n  agent: x\n",
    )
    .unwrap();
    let refused = desk.run(&["apply", "-f", file.to_str().unwrap()]).await.unwrap_err();
    let said = refused.to_string();
    assert!(said.contains("fleet.yaml:10:3: sink crm: spec.agent: there is no agent `x`"), "{said}");
    assert!(said.ends_with("1 of 2 resources refused"), "{said}");
    assert_eq!(refused.exit_code(), 1);
    let sent = &desk.server.asked()[0];
    assert_eq!(sent.line, "POST /v1/apply?dry_run=false");
    assert_eq!(towpath_resource::parse_documents(&sent.body).unwrap().len(), 2, "{sent:?}");
}

#[tokio::test]
async fn a_file_with_a_fault_is_told_without_asking_the_server() {
    let desk = Desk::with(&[]).await;
    let file = desk.path("bad.yaml");
    fs::write(&file, "apiVersion: towpath/v1\nkind: Site\nmetadata: {name: plant}\nspec: {regoin: eu}\n")
        .unwrap();
    let refused = desk.run(&["apply", "-f", file.to_str().unwrap()]).await.unwrap_err().to_string();
    assert!(refused.contains("bad.yaml:4:8:") && refused.contains("`region`?"), "{refused}");
    assert!(desk.server.asked().is_empty());
}

#[tokio::test]
async fn records_are_shown_line_by_line_and_an_early_end_is_an_error() {
    let lines = format!("{RECORD}\n{RECORD}\n");
    let early = format!("{RECORD}\n{{\"error\": \"frame 8 is lost\"}}\n");
    let desk = Desk::with(&[
        ("GET /v1/streams/erp.orders/records?limit=5&follow=false", 200, &lines),
        ("GET /v1/streams/erp.orders/records?from=earliest&follow=false", 200, &early),
    ])
    .await;
    assert_eq!(desk.run(&["tail", "erp.orders", "--limit", "5"]).await.unwrap(), lines);
    let refused = desk.run(&["tail", "erp.orders", "--from", "earliest"]).await.unwrap_err().to_string();
    assert!(refused.contains("frame 8 is lost"), "{refused}");
}

#[tokio::test]
async fn a_refusal_is_shown_in_the_servers_words() {
    let problem = r#"{"type": "towpath:conflict", "title": "x", "status": 409, "detail": "site plant is needed by agent a"}"#;
    let desk = Desk::with(&[("DELETE /v1/sites/plant", 409, problem)]).await;
    let refused = desk.run(&["delete", "site", "plant"]).await.unwrap_err();
    assert_eq!((refused.to_string().as_str(), refused.exit_code()), ("site plant is needed by agent a", 1));
}

#[tokio::test]
async fn dead_letters_are_shown_without_commanding_the_terminal_and_replayed() {
    let list = format!("{{\"items\": [{LETTER}]}}");
    let desk = Desk::with(&[
        ("GET /v1/deadletters?stream=erp.orders&limit=100", 200, &list),
        ("GET /v1/deadletters/aa", 200, LETTER),
        ("POST /v1/deadletters/aa/replay", 200, LETTER),
    ])
    .await;
    let table = desk.run(&["deadletters", "list", "--stream", "erp.orders"]).await.unwrap();
    assert!(table.contains("sink (orders)") && table.contains("too \\u{1b}[31mlong"), "{table}");
    let shown = desk.run(&["deadletters", "show", "aa"]).await.unwrap();
    assert!(shown.contains("frame 7") && shown.contains("\"id\": 1"), "{shown}");
    let replayed = desk.run(&["deadletters", "replay", "aa"]).await.unwrap();
    assert!(replayed.contains("delivered again by route orders"), "{replayed}");
}

#[tokio::test]
async fn resources_are_listed_in_every_form_and_yaml_can_be_applied_again() {
    let site = r#"{"apiVersion": "towpath/v1", "kind": "Site", "metadata": {"name": "plant", "id": "x", "generation": 1},
        "spec": {"region": "main"}, "status": {"agents": 2, "connected_agents": 1}}"#;
    let list = format!("{{\"items\": [{site}, {site}]}}");
    let desk = Desk::with(&[("GET /v1/sites", 200, &list), ("GET /v1/sites/plant", 200, site)]).await;
    let table = desk.run(&["get", "sites"]).await.unwrap();
    assert!(table.starts_with("NAME") && table.contains("plant"), "{table}");
    assert_eq!(desk.run(&["get", "sites", "-o", "name"]).await.unwrap(), "site/plant\nsite/plant\n");
    let yaml = desk.run(&["get", "sites", "-o", "yaml"]).await.unwrap();
    let documents = towpath_resource::parse_documents(&yaml).unwrap();
    assert_eq!(documents.iter().filter(|document| document.manifest.is_ok()).count(), 2, "{yaml}");
    let one: serde_json::Value =
        serde_json::from_str(&desk.run(&["get", "site", "plant", "-o", "json"]).await.unwrap()).unwrap();
    assert_eq!(one["metadata"]["name"], "plant");
}

#[tokio::test]
async fn a_login_is_kept_only_if_the_control_plane_answers_to_it() {
    let desk = Desk::with(&[("GET /v1/status", 200, STATUS)]).await;
    let (ca, kept) = (desk.path("ca.pem"), desk.path("kept.yaml"));
    fs::write(&ca, &desk.server.ca_pem).unwrap();
    let server = format!("https://{}", desk.server.address);
    let args = ["login", "--server", &server, "--token", "tpa1.x", "--ca", ca.to_str().unwrap()];
    assert!(run_with(&kept, &args).await.unwrap().contains("context `default`"));
    let contexts = ContextFile::open(Some(&kept)).unwrap();
    assert_eq!(contexts.chosen(None).unwrap().1.token, "tpa1.x");

    let refusing = Desk::with(&[]).await;
    fs::write(&ca, &refusing.server.ca_pem).unwrap();
    let server = format!("https://{}", refusing.server.address);
    let args = ["login", "--server", &server, "--token", "tpa1.x", "--ca", ca.to_str().unwrap()];
    let never = desk.path("never.yaml");
    assert!(run_with(&never, &args).await.is_err());
    assert!(!never.exists());
}

#[tokio::test]
async fn a_source_that_cannot_work_is_told_with_the_words_that_mend_it_and_its_own_exit_code() {
    let check = r#"{"source": "erp", "findings": [
        {"subject": "version", "verdict": "good", "found": "15.6"},
        {"subject": "wal_level", "verdict": "failed", "found": "it is replica",
         "remedy": "ALTER SYSTEM SET wal_level = logical;"}]}"#;
    let desk = Desk::with(&[("POST /v1/sources/erp/check", 200, check)]).await;
    let context = desk.path("context.yaml");
    let cli =
        Cli::try_parse_from(["towpath", "source", "check", "erp", "--context", context.to_str().unwrap()]);
    let mut out = Vec::new();
    let failed = run(cli.unwrap(), &mut out).await.unwrap_err();
    assert_eq!(failed.exit_code(), 3);
    let said = String::from_utf8(out).unwrap();
    assert!(
        said.contains("FAILED") && said.contains("-- wal_level\nALTER SYSTEM SET wal_level = logical;"),
        "{said}"
    );
}

#[tokio::test]
async fn a_comparison_names_the_rows_that_differ_and_has_its_own_exit_code() {
    let lines = concat!(
        r#"{"summed": {"stream": "erp.orders", "source": "erp", "rows_at_source": 10, "rows_at_sink": 9, "parts": 16384, "parts_that_differ": 2}}"#,
        "\n",
        r#"{"differs": {"stream": "erp.orders", "key": "{\"id\":7}", "kind": "missing_at_sink"}}"#,
        "\n",
        r#"{"compared": {"stream": "erp.orders", "settled": 1, "differing": 1, "repaired": 0, "truncated": false}}"#,
        "\n"
    );
    let desk = Desk::with(&[("POST /v1/routes/orders/compare", 200, lines)]).await;
    let context = desk.path("context.yaml");
    let cli = Cli::try_parse_from(["towpath", "compare", "orders", "--context", context.to_str().unwrap()]);
    let mut out = Vec::new();
    let failed = run(cli.unwrap(), &mut out).await.unwrap_err();
    assert_eq!(failed.exit_code(), 3);
    assert!(failed.to_string().contains("`--repair`"), "{failed}");
    let said = String::from_utf8(out).unwrap();
    assert!(said.contains(r#"{"id":7}  missing at the sink"#), "{said}");
    assert!(said.contains("not equal, 1 were only on their way, 1 differ"), "{said}");
}

#[tokio::test]
async fn schemas_are_listed_shown_compared_and_accepted() {
    let changed = r#"[{"column": "n", "what": "was retyped from int32 to string", "backward": false, "forward": false}]"#;
    let hash = "ab".repeat(32);
    let version = format!(
        r#"{{"version": 2, "schema": "{hash}", "first_offset": 20, "first_seen_at": "2026-01-31T12:00:00Z", "changes": {changed}}}"#
    );
    let list = format!(
        r#"{{"items": [{{"stream": "erp.orders", "source": "erp", "versions": 2, "latest": {version}, "held_routes": ["crm"]}}]}}"#
    );
    let shown = format!(
        r#"{{"stream": "erp.orders", "source": "erp", "version": 2, "key": ["id"], "history": [{version}],
            "columns": [{{"name": "id", "type": "int64"}}, {{"name": "n", "type": {{"decimal": {{"precision": 12, "scale": 2}}}}, "nullable": true}}]}}"#
    );
    let diff = format!(
        r#"{{"stream": "erp.orders", "from": 1, "to": 2, "backward": false, "forward": false, "changes": {changed}}}"#
    );
    let accepted = r#"{"route": "crm", "stream": "erp.orders", "version": 2, "is_new": true}"#;
    let desk = Desk::with(&[
        ("GET /v1/schemas", 200, &list),
        ("GET /v1/schemas/erp.orders", 200, &shown),
        ("GET /v1/schemas/erp.orders/diff?from=1&to=2&source=erp", 200, &diff),
        ("POST /v1/routes/crm/accept", 200, accepted),
    ])
    .await;
    let listed = desk.run(&["schema", "list"]).await.unwrap();
    assert!(
        listed.contains("column `n` was retyped from int32 to string") && listed.contains("crm"),
        "{listed}"
    );
    let shown = desk.run(&["schema", "show", "erp.orders"]).await.unwrap();
    for part in ["version 2", "decimal(12, 2)", "may be", "never", "abababababab"] {
        assert!(shown.contains(part), "{part} is missing in\n{shown}");
    }
    let diff = desk.run(&["schema", "diff", "erp.orders", "1", "2", "--source", "erp"]).await.unwrap();
    assert!(diff.contains("breaks") && diff.contains("from version 1 to 2: none"), "{diff}");
    let said = desk.run(&["schema", "accept", "crm", "--version", "2"]).await.unwrap();
    assert_eq!(said, "route crm goes on with version 2 of stream erp.orders\n");
    assert_eq!(desk.server.asked().last().unwrap().body, r#"{"version":2}"#);
}
