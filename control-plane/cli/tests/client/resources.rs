//! Resources: compared, edited, waited for, watched.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use clap::Parser;
use serde_json::{Value, json};
use towpath_cli::args::Cli;
use towpath_cli::run;

use crate::desk::Desk;
use crate::server::ETAG;

fn site(name: &str, description: &str) -> String {
    json!({ "apiVersion": "towpath/v1", "kind": "Site",
        "metadata": { "name": name, "id": "x", "generation": 7, "labels": { "tier": name } },
        "spec": { "region": "main", "description": description },
        "status": { "agents": name.len(), "connected_agents": 1 } })
    .to_string()
}

fn sites(names: &[&str]) -> String {
    let items: Vec<Value> =
        names.iter().map(|name| serde_json::from_str(&site(name, "x")).unwrap()).collect();
    json!({ "items": items }).to_string()
}

/// An editor that runs a script of `sed` over the file.
fn editor(desk: &Desk, script: &str) -> String {
    let path = desk.path("editor");
    fs::write(&path, format!("#!/bin/sh\nset -e\n{script}\n")).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o700)).unwrap();
    path.to_str().unwrap().to_owned()
}

#[tokio::test]
async fn an_edited_resource_is_sent_for_the_state_it_was_shown_in() {
    let desk = Desk::with(&[
        ("GET /v1/sites/plant", 200, &site("plant", "old")),
        ("PUT /v1/sites/plant", 200, &site("plant", "new")),
    ])
    .await;
    let editor = editor(&desk, "sed -i 's/description: old/description: new/' \"$1\"");
    let said = desk.run(&["edit", "site", "plant", "--editor", &editor]).await.unwrap();
    assert_eq!(said, "site plant changed\n");
    let sent = &desk.server.asked()[1];
    assert_eq!(sent.if_match, ETAG);
    let body: Value = serde_json::from_str(&sent.body).unwrap();
    assert_eq!((&body["spec"]["description"], body.get("status")), (&json!("new"), None));
    assert_eq!(body["metadata"]["labels"]["tier"], "plant");
}

#[tokio::test]
async fn a_resource_that_is_left_as_it_is_is_not_sent() {
    let desk = Desk::with(&[("GET /v1/sites/plant", 200, &site("plant", "old"))]).await;
    assert_eq!(
        desk.run(&["edit", "site", "plant", "--editor", "true"]).await.unwrap(),
        "site plant unchanged\n"
    );
    assert_eq!(desk.server.asked().len(), 1);
}

#[tokio::test]
async fn faults_are_shown_above_the_text_until_they_are_mended() {
    let fault = r#"{"type": "towpath:invalid", "title": "x", "status": 422, "detail": "site plant is not valid",
        "faults": [{"path": "spec.region", "message": "no cell serves region `moon`"}]}"#;
    let desk = Desk::with(&[
        ("GET /v1/sites/plant", 200, &site("plant", "old")),
        ("PUT /v1/sites/plant", 422, fault),
        ("PUT /v1/sites/plant", 200, &site("plant", "old")),
    ])
    .await;
    // First a field that is none, then a region that is none, then one that is.
    let seen = desk.path("seen");
    let script = format!(
        "cat \"$1\" >> {}\nif grep -q regoin \"$1\"; then sed -i 's/regoin: main/region: moon/' \"$1\"\n\
         elif grep -q moon \"$1\"; then sed -i 's/region: moon/region: mars/' \"$1\"\n\
         else sed -i 's/region: main/regoin: main/' \"$1\"; fi",
        seen.display()
    );
    let said = desk.run(&["edit", "site", "plant", "--editor", &editor(&desk, &script)]).await.unwrap();
    assert_eq!(said, "site plant changed\n");
    let seen = fs::read_to_string(seen).unwrap();
    assert!(seen.contains("# ! line") && seen.contains("did you mean `region`?"), "{seen}");
    assert!(seen.contains("# ! spec.region: no cell serves region `moon`"), "{seen}");
}

#[tokio::test]
async fn a_change_by_another_is_not_overwritten_and_the_text_is_kept() {
    let conflict = r#"{"type": "towpath:precondition", "title": "x", "status": 412, "detail": "site plant was changed"}"#;
    let desk = Desk::with(&[
        ("GET /v1/sites/plant", 200, &site("plant", "old")),
        ("PUT /v1/sites/plant", 412, conflict),
    ])
    .await;
    let editor = editor(&desk, "sed -i 's/description: old/description: mine/' \"$1\"");
    let refused = desk.run(&["edit", "site", "plant", "--editor", &editor]).await.unwrap_err().to_string();
    let (why, kept) = refused.split_once("; your text is in ").unwrap();
    assert_eq!(why, "site plant was changed");
    assert!(fs::read_to_string(kept).unwrap().contains("description: mine"));
    fs::remove_file(kept).unwrap();
}

#[tokio::test]
async fn another_name_is_another_resource_and_is_not_taken() {
    let desk = Desk::with(&[("GET /v1/sites/plant", 200, &site("plant", "old"))]).await;
    let editor = editor(&desk, "sed -i 's/name: plant/name: other/' \"$1\"");
    let refused = desk.run(&["edit", "site", "plant", "--editor", &editor]).await.unwrap_err().to_string();
    assert!(refused.contains("must stay site plant") && refused.contains("nothing was changed"), "{refused}");
    fs::remove_file(refused.rsplit_once(" in ").unwrap().1).unwrap();
    assert_eq!(desk.server.asked().len(), 1);
}

#[tokio::test]
async fn a_difference_is_told_field_by_field_and_has_its_own_exit_code() {
    let report = |outcome: &str| {
        json!({ "dry_run": true, "results": [{ "subject": "site plant", "place": { "line": 1, "column": 1 },
            "outcome": outcome, "generation": 8 }] })
        .to_string()
    };
    let desk = Desk::with(&[
        ("POST /v1/apply?dry_run=true", 200, &report("changed")),
        ("POST /v1/apply?dry_run=true", 200, &report("unchanged")),
        ("GET /v1/sites/plant", 200, &site("plant", "old")),
    ])
    .await;
    let file = desk.path("site.yaml");
    let text = "apiVersion: towpath/v1\nkind: Site\nmetadata: {name: plant, labels: {tier: plant}}\n\
                spec: {region: main, description: new}\n";
    fs::write(&file, text).unwrap();
    let context = desk.path("context.yaml");
    let args = ["towpath", "--context", context.to_str().unwrap(), "diff", "-f", file.to_str().unwrap()];
    let mut out = Vec::new();
    let differs = run(Cli::parse_from(args), &mut out).await.unwrap_err();
    assert_eq!(differs.exit_code(), 3);
    let said = String::from_utf8(out).unwrap();
    assert_eq!(
        said,
        "site plant would be changed\n  - spec.description: \"old\"\n  + spec.description: \"new\"\n"
    );
    assert_eq!(desk.run(&args[3..]).await.unwrap(), "");
}

#[tokio::test]
async fn what_is_listed_is_selected_and_sorted_by_the_control_plane_where_it_can_be() {
    let all = sites(&["bb", "a", "ccc"]);
    let mut first: Value = serde_json::from_str(&sites(&["bb"])).unwrap();
    first["next_cursor"] = json!("c1");
    let desk = Desk::with(&[
        ("GET /v1/sites", 200, &all),
        ("GET /v1/sites?filter=labels.tier%21%3D%22a%22", 200, &first.to_string()),
        ("GET /v1/sites?filter=labels.tier%21%3D%22a%22&limit=1000&cursor=c1", 200, &sites(&["ccc"])),
        ("GET /v1/sites?sort=-name", 200, &sites(&["ccc", "bb", "a"])),
        ("GET /v1/sites?sort=label%3Atier", 200, &sites(&["a", "bb", "ccc"])),
    ])
    .await;
    let names = async |args: &[&str]| {
        let all = ["get", "sites", "-o", "name"].iter().chain(args).copied().collect::<Vec<_>>();
        desk.run(&all).await.map(|text| text.replace("site/", "").replace('\n', " "))
    };
    assert_eq!(names(&["-l", "tier!=a"]).await.unwrap(), "bb ccc ");
    assert_eq!(names(&["--sort", "-name"]).await.unwrap(), "ccc bb a ");
    assert_eq!(names(&["--sort", "-agents"]).await.unwrap(), "ccc bb a ");
    assert_eq!(names(&["--sort", "metadata.labels.tier"]).await.unwrap(), "a bb ccc ");
    let refused = names(&["--sort", "agnets"]).await.unwrap_err().to_string();
    assert!(refused.contains("take one of name, region, agents"), "{refused}");
}

#[tokio::test]
async fn a_long_list_is_read_to_its_end() {
    let mut first: Value = serde_json::from_str(&sites(&["a", "b"])).unwrap();
    first["next_cursor"] = json!("c1");
    let desk = Desk::with(&[
        ("GET /v1/sites", 200, &first.to_string()),
        ("GET /v1/sites?limit=1000&cursor=c1", 200, &sites(&["c"])),
    ])
    .await;
    assert_eq!(desk.run(&["get", "sites", "-o", "name"]).await.unwrap(), "site/a\nsite/b\nsite/c\n");
}

#[tokio::test]
async fn waiting_ends_when_it_is_so_or_the_time_is_over() {
    let agent = |connected: bool| {
        json!({ "metadata": { "name": "a" }, "status": { "connected": connected, "condition": "waiting",
            "trouble": { "message": "agent a is not connected", "remedy": "start it" } } })
        .to_string()
    };
    let desk = Desk::with(&[
        ("GET /v1/agents?watch=true", 200, "data: {}\n\ndata: {}\n\n"),
        ("GET /v1/agents/a", 200, &agent(false)),
        ("GET /v1/agents/a", 200, &agent(true)),
    ])
    .await;
    let said = desk.run(&["wait", "agent", "a", "--for", "connected"]).await.unwrap();
    assert_eq!(said, "agent a is connected\n");
    let late = desk.run(&["wait", "agent", "a", "--for", "condition=Running", "--timeout", "1s"]).await;
    let late = late.unwrap_err();
    assert_eq!(late.exit_code(), 3);
    assert!(late.to_string().contains("but waiting: agent a is not connected"), "{late}");
    let never = desk.run(&["wait", "agent", "b", "--for", "connected"]).await.unwrap_err();
    assert_eq!((never.exit_code(), never.to_string().as_str()), (1, "nothing here"));
    assert_eq!(desk.run(&["wait", "agent", "b", "--for", "deleted"]).await.unwrap(), "agent b is deleted\n");
    let unfit = desk.run(&["wait", "site", "a", "--for", "connected"]).await.unwrap_err().to_string();
    assert!(unfit.contains("for agents only") && unfit.contains("a is a site"), "{unfit}");
}

/// Runs a command that does not end by itself, for so long.
async fn watched(desk: &Desk, args: &[&str], time: Duration) -> String {
    let context = desk.path("context.yaml");
    let cli = Cli::parse_from(["towpath", "--context", context.to_str().unwrap()].iter().chain(args));
    let mut out = Vec::new();
    assert!(tokio::time::timeout(time, run(cli, &mut out)).await.is_err(), "it ended by itself");
    String::from_utf8(out).unwrap()
}

#[tokio::test]
async fn a_watch_shows_what_there_is_and_at_once_what_changes_when_the_server_says_so() {
    let desk = Desk::with(&[
        ("GET /v1/sites?watch=true", 200, "data: {}\n\n"),
        ("GET /v1/sites", 200, &sites(&["a", "bb"])),
        ("GET /v1/sites", 200, &sites(&["bb", "new"])),
    ])
    .await;
    // Much sooner than it would look without being told.
    let shown = watched(&desk, &["get", "sites", "--watch"], Duration::from_millis(1_200)).await;
    let lines: Vec<_> = shown.lines().collect();
    assert!(lines[0].starts_with("NAME"), "{shown}");
    assert!(lines[1].starts_with("a ") && lines[2].starts_with("bb"), "{shown}");
    assert!(lines[3].starts_with("new") && lines[4] == "site/a deleted" && lines.len() == 5, "{shown}");
}

#[tokio::test]
async fn a_watch_looks_again_by_itself_where_the_server_tells_nothing() {
    let desk = Desk::with(&[
        ("GET /v1/sites?watch=true", 200, &sites(&["a"])),
        ("GET /v1/sites", 200, &sites(&["a"])),
        ("GET /v1/sites", 200, &sites(&["a", "b"])),
    ])
    .await;
    let args = ["get", "sites", "--watch", "-o", "json"];
    let shown = watched(&desk, &args, Duration::from_millis(2_600)).await;
    let lines: Vec<Value> = shown.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let names: Vec<_> = lines.iter().map(|line| line["item"]["metadata"]["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["a", "b"]);
}

#[tokio::test]
async fn the_resources_of_a_file_are_deleted_with_those_first_that_need_others() {
    let missing =
        r#"{"type": "towpath:not-found", "title": "x", "status": 404, "detail": "there is no site `b`"}"#;
    let desk = Desk::with(&[
        ("DELETE /v1/sites/a", 204, ""),
        ("DELETE /v1/sites/b", 404, missing),
        ("DELETE /v1/sinks/crm", 204, ""),
    ])
    .await;
    let file = desk.path("all.yaml");
    let text = "apiVersion: towpath/v1\nkind: Site\nmetadata: {name: a}\n---\n\
                apiVersion: towpath/v1\nkind: Site\nmetadata: {name: b}\n---\n\
                apiVersion: towpath/v1\nkind: Sink\nmetadata: {name: crm}\nspec: {adapter: sqlite, agent: x}\n";
    fs::write(&file, text).unwrap();
    let args = ["delete", "-f", file.to_str().unwrap()];
    let refused = desk.run(&args).await.unwrap_err().to_string();
    assert!(
        refused.contains("there is no site `b`") && refused.ends_with("1 of 3 resources were not deleted"),
        "{refused}"
    );
    let lenient: Vec<_> = args.iter().copied().chain(["--ignore-missing"]).collect();
    assert_eq!(desk.run(&lenient).await.unwrap(), "sink crm deleted\nsite a deleted\n");
}
