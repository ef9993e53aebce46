use std::time::Duration;

use ratatui::Terminal;
use ratatui::backend::TestBackend;

use super::super::observe::Files;
use super::super::view::{Stage, StreamLine};
use super::*;

fn stage(stage: &'static str, name: &str, rows: &str, state: &str) -> Stage {
    Stage {
        stage,
        name: name.to_owned(),
        rows: rows.to_owned(),
        pace: String::new(),
        waiting: String::new(),
        lag: String::new(),
        state: state.to_owned(),
        is_well: true,
    }
}

fn view() -> View {
    let mut behind = stage("route", "erp-to-sqlite", "11 000", "running, breaker closed");
    behind.waiting = "1 000 rows".to_owned();
    behind.lag = "0.4 s".to_owned();
    View {
        since_start: Duration::from_secs(83),
        stages: vec![
            stage("source", "erp @ plant", "", "running"),
            stage("source", "crm @ plant", "", "running"),
            stage("spool", "plant", "", "1.2 MiB of 10.0 GiB"),
            stage("log", "main", "12 000", "3.4 MiB"),
            behind,
            stage("route", "erp-to-outbox", "12 000", "running, breaker closed"),
            stage("route", "crm-to-sqlite", "350", "running, breaker closed"),
            stage("sink", "sqlite @ cloud", "", "running, exactly once"),
            stage("sink", "outbox @ cloud", "", "running, exactly once"),
        ],
        streams: vec![
            StreamLine {
                name: "erp.customers",
                written: 1_203,
                repeated: 0,
                expected: 1_200,
                logged: 1_200,
                bad: 3,
                dead_letters: 3,
            },
            StreamLine {
                name: "erp.orders",
                written: 4_811,
                repeated: 0,
                expected: 4_800,
                logged: 4_700,
                bad: 11,
                dead_letters: 11,
            },
            StreamLine {
                name: "erp.stock",
                written: 8_020,
                repeated: 2_005,
                expected: 6_000,
                logged: 6_000,
                bad: 15,
                dead_letters: 15,
            },
            StreamLine {
                name: "crm.contacts",
                written: 350,
                repeated: 0,
                expected: 350,
                logged: 342,
                bad: 0,
                dead_letters: 0,
            },
        ],
        letters: vec!["customers-2026-03-02.csv:17 since: 31.02.2019 is no date".to_owned()],
        troubles: Vec::new(),
        crm_changes: 350,
        dropped_rows: 14_034,
        dropped_files: 7,
        repeated_files: 1,
        files: Files { waiting: 0, archived: 7, refused: 0 },
    }
}

fn guide(root: &str) -> Guide {
    Guide {
        root: root.to_owned(),
        places: [
            ("drop files into", "drop/"),
            ("CRM", "crm/"),
            ("results", "out/erp.sqlite, out/outbox/"),
            ("logs", "logs/"),
        ],
        preparation: vec![format!("export TOWPATH_CONTEXT={root}/control/admin-context.yaml")],
        commands: [
            "towpath status",
            "towpath deadletters list",
            "towpath tail crm.contacts --follow",
            "towpath describe route erp-to-sqlite",
            "towpath compare crm-to-sqlite",
        ]
        .map(str::to_owned),
    }
}

fn drawn(view: &View, guide: &Guide, width: u16, height: u16) -> Vec<String> {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
    terminal.draw(|frame| draw::draw(frame, view, guide)).unwrap();
    let buffer = terminal.backend().buffer();
    let row = |y| (0..width).map(|x| buffer[(x, y)].symbol()).collect::<String>().trim_end().to_owned();
    (0..height).map(row).collect()
}

fn line_with<'a>(lines: &'a [String], words: &str) -> &'a str {
    lines.iter().find(|line| line.contains(words)).unwrap_or_else(|| panic!("no `{words}` in {lines:#?}"))
}

#[test]
fn a_terminal_of_80_by_24_shows_every_stage_and_what_to_do_next() {
    let lines = drawn(&view(), &guide("/srv/towpath-demo-1"), 80, 24);
    for words in ["erp @ plant", "crm @ plant", "spool", "log", "crm-to-sqlite", "outbox @ cloud", "q quits"]
    {
        line_with(&lines, words);
    }
    let route = line_with(&lines, "erp-to-sqlite");
    for word in ["11 000", "1 000 rows", "0.4 s", "running"] {
        assert!(route.contains(word), "{route}");
    }
    line_with(&lines, "customers-2026-03-02.csv:17 since");
    line_with(&lines, "export TOWPATH_CONTEXT=/srv/towpath-demo-1/control/admin-context.yaml");
    line_with(&lines, "towpath status    towpath deadletters list    towpath tail crm.contacts --follow");
    line_with(&lines, "towpath describe route erp-to-sqlite    towpath compare crm-to-sqlite");
}

#[test]
fn the_account_is_told_for_each_stream() {
    let lines = drawn(&view(), &guide("/srv/demo"), 100, 30);
    let orders = line_with(&lines, "erp.orders");
    assert!(orders.contains("4 700 / 4 800") && orders.contains("11 / 11"), "{orders}");
    assert!(line_with(&lines, "erp.stock").ends_with("2 005"), "the repeated file is told");
    line_with(&lines, "1 file came twice");
    let contacts = line_with(&lines, "crm.contacts ");
    assert!(contacts.contains("342 / 350"), "{contacts}");
}

#[test]
fn trouble_goes_before_bad_rows() {
    let mut view = view();
    view.troubles = vec!["agent cloud is not connected; check that it runs".to_owned()];
    let lines = drawn(&view, &guide("/srv/demo"), 80, 25);
    let trouble = lines.iter().position(|line| line.contains("agent cloud is not connected")).unwrap();
    let letter = lines.iter().position(|line| line.contains("customers-2026-03-02.csv")).unwrap();
    assert!(trouble < letter);
}

#[test]
fn a_line_too_many_costs_a_stage_and_neither_the_account_nor_what_to_do_next() {
    let mut guide = guide("/srv/demo");
    guide.preparation.push("alias towpath=/srv/towpath/target/release/towpath".to_owned());
    let lines = drawn(&view(), &guide, 80, 24);
    for words in
        ["sqlite @ cloud", "342 / 350", "customers-2026-03-02.csv", "alias", "towpath compare crm-to-sqlite"]
    {
        line_with(&lines, words);
    }
    assert!(!lines.iter().any(|line| line.contains("outbox @ cloud")), "{lines:#?}");
}

#[test]
fn a_path_longer_than_the_screen_is_wide_is_shown_to_its_end() {
    let root = format!("/{}", "directory/".repeat(12));
    let lines = drawn(&view(), &guide(&root), 80, 30);
    assert!(lines.concat().contains("control/admin-context.yaml"), "{lines:#?}");
    line_with(&lines, "towpath compare crm-to-sqlite");
}

#[test]
fn a_terminal_too_small_for_anything_is_no_reason_to_fail() {
    for (width, height) in [(1, 1), (10, 3), (300, 5)] {
        drawn(&view(), &guide("/srv/demo"), width, height);
    }
}
