//! The audit trail and the history of resources, as an admin sees them.

use std::fs;

use towpath_audit::{AuditKey, Checkpoint, EventHash, Record, event_line};

use crate::desk::Desk;

const HISTORY: &str = r#"{"items": [
{"generation": 3, "at": "2026-01-31T12:00:00Z", "actor": {"type": "admin", "name": "ada"}, "happened": "created",
 "changes": [{"field": "spec.region", "to": "main"}],
 "manifest": {"apiVersion": "towpath/v1", "kind": "Site", "metadata": {"name": "plant"}, "spec": {"region": "main"}}},
{"generation": 9, "at": "2026-01-31T13:00:00Z", "actor": {"type": "admin", "name": "eve"}, "happened": "changed",
 "changes": [{"field": "spec.region", "from": "main", "to": "eu"}],
 "manifest": {"apiVersion": "towpath/v1", "kind": "Site", "metadata": {"name": "plant"}, "spec": {"region": "eu"}}}]}"#;

/// A trail of so many events as files: the export, and the public key.
fn exported(desk: &Desk, events: u64) -> (String, String) {
    let key = AuditKey::generate().unwrap();
    let (mut head, mut lines) = (EventHash::default(), Vec::new());
    for seq in 1..=events {
        let json = format!(r#"{{"seq":{seq},"event":"something"}}"#);
        let record = Record::link(head, json.as_bytes());
        head = record.hash;
        lines.push(event_line(&record).unwrap());
    }
    let (at, previous) = (jiff::Timestamp::UNIX_EPOCH, EventHash::default());
    let said = Checkpoint { number: 1, seq: events, head, at, previous, snapshot: None };
    lines.push(said.sign(&key).to_json());
    let (file, public) = (desk.path("trail.jsonl"), desk.path("audit.pub.pem"));
    fs::write(&file, lines.join("\n") + "\n").unwrap();
    fs::write(&public, key.public().to_pem()).unwrap();
    (file.to_str().unwrap().to_owned(), public.to_str().unwrap().to_owned())
}

#[tokio::test]
async fn exported_files_are_verified_without_asking_the_server_and_a_changed_one_is_found() {
    let desk = Desk::with(&[]).await;
    let (file, key) = exported(&desk, 5);
    let said = desk.run(&["audit", "verify", &file, "--key", &key]).await.unwrap();
    assert!(said.contains("events 1 to 5 (5), 1 checkpoints, signed up to event 5"), "{said}");
    assert!(said.contains("everything is as it was written"), "{said}");

    let good = fs::read_to_string(&file).unwrap();
    fs::write(&file, good.replacen("something", "somethinh", 1)).unwrap();
    let refused = desk.run(&["audit", "verify", &file, "--key", &key]).await.unwrap_err();
    assert_eq!((refused.exit_code(), refused.to_string().as_str()), (3, "the audit trail has one fault"));
    let without_the_last: Vec<_> = good.lines().filter(|line| !line.contains(r#""seq":5,"event""#)).collect();
    fs::write(&file, without_the_last.join("\n")).unwrap();
    assert_eq!(desk.run(&["audit", "verify", &file, "--key", &key]).await.unwrap_err().exit_code(), 3);
    assert!(desk.server.asked().is_empty());
}

#[tokio::test]
async fn what_the_server_finds_is_told_and_fails_the_command() {
    let found = r#"{"events": 7, "first": 1, "last": 7, "head": "0000000000000000000000000000000000000000000000000000000000000000",
        "checkpoints": 2, "vouched": 6, "findings": [{"subject": "event 4", "place": "a.seg at byte 99", "fault": "was changed"}]}"#;
    let desk = Desk::with(&[("GET /v1/audit/verify", 200, found)]).await;
    let refused = desk.run(&["audit", "verify"]).await.unwrap_err();
    assert_eq!(refused.exit_code(), 3);
}

#[tokio::test]
async fn events_are_a_table_with_the_newest_last() {
    let page = r#"{"items": [
        {"seq": 8, "at": "2026-01-31T12:00:01Z", "actor": {"type": "stranger"}, "origin": {"address": "192.0.2.7", "interface": "rest"},
         "event": "access_denied", "lacking": "authentication", "count": 12},
        {"seq": 7, "at": "2026-01-31T12:00:00Z", "actor": {"type": "admin", "name": "ada"}, "event": "resource_applied",
         "resource": {"kind": "Site", "metadata": {"name": "plant"}}}]}"#;
    let desk = Desk::with(&[("GET /v1/audit?actor=ada&outcome=denied&limit=50", 200, page)]).await;
    let said = desk.run(&["audit", "--actor", "ada", "--outcome", "denied"]).await.unwrap();
    let lines: Vec<_> = said.lines().collect();
    assert!(lines[1].contains("admin ada") && lines[1].contains("site plant"), "{said}");
    assert!(
        lines[2].contains("192.0.2.7 rest") && lines[2].contains("lacking=authentication count=12"),
        "{said}"
    );
}

#[tokio::test]
async fn the_export_is_written_byte_for_byte() {
    let line = r#"{"event":{"seq":1,  "odd":1.50},"previous":"00"}"#;
    let desk = Desk::with(&[("GET /v1/audit/export", 200, &format!("{line}\n"))]).await;
    let file = desk.path("out.jsonl");
    desk.run(&["audit", "export", file.to_str().unwrap()]).await.unwrap();
    assert_eq!(fs::read_to_string(&file).unwrap(), format!("{line}\n"));
}

#[tokio::test]
async fn a_resources_versions_and_what_is_between_two_of_them_are_shown() {
    let desk = Desk::with(&[("GET /v1/sites/plant/history", 200, HISTORY)]).await;
    let said = desk.run(&["history", "site", "plant"]).await.unwrap();
    assert!(said.contains("eve") && said.contains("changed") && said.contains("spec.region"), "{said}");
    let said = desk.run(&["history", "site", "plant", "--from", "3", "--to", "9"]).await.unwrap();
    assert_eq!(said, "- spec.region: \"main\"\n+ spec.region: \"eu\"\n");
    let refused = desk.run(&["history", "site", "plant", "--to", "4"]).await.unwrap_err();
    assert_eq!((refused.exit_code(), refused.to_string().contains("there are 3, 9")), (2, true), "{refused}");
}

#[tokio::test]
async fn a_rollback_names_the_generation_it_made() {
    let now = r#"{"kind": "Site", "metadata": {"name": "plant", "generation": 12}}"#;
    let desk = Desk::with(&[("POST /v1/sites/plant/rollback", 200, now)]).await;
    let said = desk.run(&["rollback", "site", "plant", "--to", "3"]).await.unwrap();
    assert!(said.contains("generation 12 now"), "{said}");
    assert_eq!(desk.server.asked()[0].body, r#"{"to":3}"#);
}
