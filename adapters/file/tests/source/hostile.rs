//! What a file must not be, and what becomes of it.

use serde_json::{Value, json};
use towpath_adapter_api::ErrorKind;

use crate::harness::{Agent, exists, gzip, zstd};

/// Reads files to the end and returns the agent.
async fn read(rule: Value, settings: Value, files: &[(&str, &[u8])]) -> Agent {
    let mut agent = Agent::new(rule, settings);
    for (name, content) in files {
        agent.drop_file(name, content);
    }
    agent.run_releasing_until(|agent| agent.files_done() == files.len()).await;
    agent
}

async fn csv(content: &[u8]) -> Agent {
    read(json!({"format": "csv"}), json!({}), &[("a.csv", content)]).await
}

fn reasons(agent: &Agent) -> Vec<(u64, String)> {
    agent.letters().into_iter().map(|letter| (letter.line, letter.reason)).collect()
}

#[tokio::test]
async fn nul_bytes_and_invalid_utf8_make_bad_rows_with_their_raw_bytes() {
    let agent = csv(b"id,name\n1,ok\n2,n\0l\n3,\xff\xfe\n4,\xc3\xa9\n").await;
    assert_eq!(agent.rows(), [json!({"id": 1, "name": "ok"}), json!({"id": 4, "name": "é"})]);
    let letters = agent.letters();
    assert_eq!((letters[0].line, &*letters[0].raw), (3, &b"2,n\0l\n"[..]));
    assert!(letters[0].reason.contains("NUL"));
    assert_eq!((letters[1].line, &*letters[1].raw), (4, &b"3,\xff\xfe\n"[..]));
    assert!(letters[1].reason.contains("UTF-8"));
    assert!(letters[0].resource.ends_with("in/a.csv"));
}

#[tokio::test]
async fn byte_order_marks_crlf_and_a_missing_last_newline_change_nothing() {
    let expected = [json!({"id": 1, "name": "é"}), json!({"id": 2, "name": "x"})];
    let text = "id,name\r\n1,é\r\n2,x";
    let utf16 = |unit: fn(u16) -> [u8; 2]| {
        format!("\u{feff}{text}").encode_utf16().flat_map(unit).collect::<Vec<_>>()
    };
    for content in [
        text.as_bytes().to_vec(),
        [b"\xef\xbb\xbf", text.as_bytes()].concat(),
        utf16(u16::to_le_bytes),
        utf16(u16::to_be_bytes),
        gzip(&utf16(u16::to_le_bytes)),
    ] {
        let agent = csv(&content).await;
        assert_eq!(agent.rows(), expected);
        assert_eq!(reasons(&agent), []);
    }
}

#[tokio::test]
async fn other_encodings_are_read_and_what_they_do_not_have_is_a_bad_row() {
    let format = json!({"csv": {"encoding": "shift_jis"}});
    let content = b"id,name\n1,\x93\x8c\x8b\x9e\n2,\x81\xff\n";
    let agent = read(json!({"format": format}), json!({}), &[("a.csv", content)]).await;
    assert_eq!(agent.rows(), [json!({"id": 1, "name": "東京"})]);
    assert!(reasons(&agent)[0].1.contains("its encoding does not have"));
}

#[tokio::test]
async fn empty_files_and_bare_headers_are_done_with_and_have_no_rows() {
    for format in [json!("csv"), json!("json_lines"), json!("lines")] {
        let agent = read(json!({"format": format}), json!({}), &[("a", b""), ("b", &gzip(b""))]).await;
        assert_eq!((agent.rows().len(), agent.letters().len()), (0, 0));
        assert_eq!(agent.files(), ["archive/a", "archive/b"]);
    }
    let agent = csv(b"id,name").await;
    assert_eq!((agent.rows().len(), agent.letters().len()), (0, 0));
    assert_eq!(agent.files(), ["archive/a.csv"]);
}

#[tokio::test]
async fn a_header_with_repeated_and_empty_names_gets_names_that_can_be_told_apart() {
    let agent = csv(b"id,,id,_op\n1,2,3,4\n").await;
    assert_eq!(agent.rows(), [json!({"id": 1, "column_2": 2, "id_2": 3, "_op_2": 4})]);
}

#[tokio::test]
async fn a_header_that_is_not_the_declared_one_rejects_the_file() {
    let rule = |ignore: bool| {
        json!({"format": {"csv": {
            "columns": [{"name": "b", "type": "int64"}, {"name": "a", "type": "string"}],
            "ignore_unknown_columns": ignore,
        }}})
    };
    let files: &[(&str, &[u8])] = &[("1", b"a,b\nx,1\n"), ("2", b"a\ny\n"), ("3", b"a,b,c\nz,3,4\n")];
    let agent = read(rule(false), json!({}), files).await;
    assert_eq!(agent.rows(), [json!({"b": 1, "a": "x"})]);
    assert_eq!(agent.files(), ["archive/1", "error/2", "error/2.reason", "error/3", "error/3.reason"]);
    let said = reasons(&agent);
    assert!(said[0].1.contains("lacks the declared column \"b\""), "{said:?}");
    assert!(said[1].1.contains("\"c\", which is not declared"), "{said:?}");
    let agent = read(rule(true), json!({}), &files[2..]).await;
    assert_eq!(agent.rows(), [json!({"b": 3, "a": "z"})]);
}

#[tokio::test]
async fn a_truncated_or_corrupt_archive_goes_to_the_error_folder() {
    let text: String = (0..60_000).map(|row| format!("{row},{}\n", row * 7_919 % 1_000_003)).collect();
    let text = format!("id,value\n{text}");
    for whole in [gzip(text.as_bytes()), zstd(text.as_bytes())] {
        let mut flipped = whole.clone();
        *flipped.last_mut().unwrap() ^= 0xff;
        for damaged in [&whole[..whole.len() * 3 / 4], &flipped] {
            for (on_error, least) in [("keep_good", 1), ("reject_file", 0)] {
                let rule = json!({"format": "csv", "on_error": on_error});
                let agent = read(rule, json!({"batch": {"rows": 1_000}}), &[("a.csv", damaged)]).await;
                assert_eq!(agent.files(), ["error/a.csv", "error/a.csv.reason"]);
                assert!(reasons(&agent).last().unwrap().1.contains("compression is damaged"));
                let rows = agent.rows();
                assert!(rows.len() >= least && (least > 0 || rows.is_empty()), "{} {on_error}", rows.len());
                assert!(rows.iter().zip(0..).all(|(row, id)| row["id"] == id));
            }
        }
    }
}

#[tokio::test]
async fn too_many_bad_rows_give_a_file_up() {
    let content = b"id\n1\n2\nx\n3\ny\n4\nz\n5\n";
    let declared = json!({"csv": {"columns": [{"name": "id", "type": "int64"}]}});
    let ids = |agent: &Agent| agent.rows().iter().map(|row| row["id"].as_u64().unwrap()).collect::<Vec<_>>();
    for (limit, on_error, good, letters) in [
        (json!(2), "keep_good", vec![1, 2, 3, 4], 4),
        (json!(2), "reject_file", vec![], 4),
        (json!(3), "reject_file", vec![1, 2, 3, 4, 5], 3),
        (json!("37%"), "keep_good", vec![1, 2, 3, 4, 5], 4),
        (json!("38%"), "keep_good", vec![1, 2, 3, 4, 5], 3),
        (json!("none"), "keep_good", vec![1, 2, 3, 4, 5], 3),
    ] {
        let rule = json!({"format": declared, "max_bad_rows": limit, "on_error": on_error});
        for rows in [2, 100] {
            let agent = read(rule.clone(), json!({"batch": {"rows": rows}}), &[("a.csv", content)]).await;
            assert_eq!(ids(&agent), good, "{limit} {on_error}");
            let said = reasons(&agent);
            assert_eq!(said.len(), letters, "{limit} {on_error}: {said:?}");
            let rejected = exists(&agent.path("error/a.csv"));
            assert_eq!(rejected, letters == 4, "{limit} {on_error}");
            if rejected {
                let reason = std::fs::read_to_string(agent.path("error/a.csv.reason")).unwrap();
                assert!(reason.contains("rows are bad; max_bad_rows allows"), "{reason}");
            }
        }
    }
}

#[tokio::test]
async fn rejected_content_that_is_put_back_is_tried_again() {
    let declared = json!({"csv": {"columns": [{"name": "id", "type": "int64"}]}});
    let rule = json!({"format": declared, "max_bad_rows": 0, "on_error": "reject_file"});
    let mut agent = read(rule, json!({}), &[("a.csv", b"id\n1\nx\n")]).await;
    agent.config["files"][0]["max_bad_rows"] = json!(1);
    std::fs::rename(agent.path("error/a.csv"), agent.path("a.csv")).unwrap();
    agent.run_releasing_until(|agent| agent.files_done() == 2).await;
    assert_eq!(agent.rows(), [json!({"id": 1})]);
}

#[tokio::test]
async fn a_row_without_its_key_is_bad() {
    let rule = json!({"format": "csv", "key": ["id"]});
    let agent = read(rule, json!({}), &[("a.csv", b"id,name\n1,a\n,b\n")]).await;
    assert_eq!(agent.rows().len(), 1);
    assert_eq!(agent.letters()[0].column.as_deref(), Some("id"));
    let agent = read(json!({"format": "csv", "key": ["nr"]}), json!({}), &[("a.csv", b"id\n1\n")]).await;
    assert!(reasons(&agent)[0].1.contains("key column \"nr\" is not among the columns"));
}

#[tokio::test]
async fn a_record_that_is_too_long_is_one_bad_row() {
    let rule = |format: Value| json!({"format": format, "max_record_bytes": "100KiB"});
    let long = "x".repeat(3 << 20);
    for (format, content) in [
        (json!("lines"), format!("a\n{long}\nb\n")),
        (json!({"csv": {"header": false}}), format!("a\n\"{long}\n\"\"{long}\"\nb\n")),
        (json!("json_lines"), format!("{{\"a\":1}}\n{{\"a\":\"{long}\"}}\n{{\"a\":2}}\n")),
        (json!("lines"), format!("a\nb\n{long}")),
    ] {
        for compress in [<[u8]>::to_vec, gzip] {
            let agent = read(rule(format.clone()), json!({}), &[("a", &compress(content.as_bytes()))]).await;
            assert_eq!(agent.rows().len(), 2, "{format}");
            let letters = agent.letters();
            assert_eq!(letters.len(), 1, "{format}");
            assert!(letters[0].raw_truncated && letters[0].raw.len() == 64 << 10);
            assert!(letters[0].reason.contains("max_record_bytes"));
        }
    }
}

/// A file of which the first rows were emitted and the rest is still to be read.
async fn half_read(change: impl Fn(&Agent)) -> Agent {
    let text: String = (0..300_000).map(|row| format!("{row},{row}\n")).collect();
    let mut agent = Agent::new(json!({"format": "csv"}), json!({"batch": {"rows": 1_000}}));
    agent.drop_file("a.csv", format!("id,value\n{text}"));
    let mut run = agent.start();
    agent.receive(&mut run).await;
    change(&agent);
    while agent.files_done() == 0 && !agent.letters().iter().any(|letter| letter.reason.contains("changed")) {
        agent.receive(&mut run).await;
    }
    run.stop().await.unwrap();
    agent
}

#[tokio::test]
async fn a_file_that_is_renamed_or_deleted_while_it_is_read_is_read_to_its_end() {
    let agent =
        half_read(|agent| std::fs::rename(agent.path("a.csv"), agent.path("b.csv.tmp")).unwrap()).await;
    assert_eq!(agent.rows().len(), 300_000);
    let agent = half_read(|agent| std::fs::remove_file(agent.path("a.csv")).unwrap()).await;
    assert_eq!(agent.rows().len(), 300_000);
    assert_eq!(reasons(&agent), []);
}

#[tokio::test]
async fn a_file_that_grows_or_shrinks_while_it_is_read_is_reported_and_its_new_version_read() {
    for content in ["id,value\n7,7\n".to_owned(), "id,value\n".to_owned() + &"8,8\n".repeat(1_000_000)] {
        let mut agent = half_read(|agent| std::fs::write(agent.path("a.csv"), &content).unwrap()).await;
        let said = reasons(&agent);
        assert!(said.last().unwrap().1.contains("the file changed while it was read"), "{said:?}");
        let before = agent.rows().len();
        agent.run_releasing_until(|agent| agent.files_done() == 1).await;
        assert_eq!(agent.rows().len() - before, content.lines().count() - 1);
    }
}

#[tokio::test]
async fn a_folder_that_is_not_there_is_waited_for() {
    let mut agent = Agent::new(json!({"format": "csv"}), json!({}));
    let mut run = agent.start();
    assert!(agent.is_quiet(&mut run).await);
    std::fs::remove_dir_all(agent.path("")).unwrap();
    assert_eq!(run.end().await.unwrap().1.unwrap_err().kind, ErrorKind::Unavailable);
    let error = agent.start().end().await.unwrap().1.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Unavailable);
    assert!(error.message.contains("create or mount it"), "{error}");
    std::fs::create_dir(agent.path("")).unwrap();
    agent.drop_file("a.csv", "id\n1\n");
    agent.run_until(|agent| agent.files_done() == 1).await;
}

#[cfg(unix)]
mod unreadable {
    use std::os::unix::fs::PermissionsExt;
    use std::os::unix::process::CommandExt;
    use std::process::Command;

    use super::*;

    /// Nobody, who may read no more than others may.
    const NOBODY: u32 = 65_534;

    #[test]
    fn a_file_that_may_not_be_read_holds_up_no_other_and_is_read_once_it_may() {
        let mut again = Command::new(std::env::current_exe().unwrap());
        again.args(["--ignored", "--exact", "hostile::unreadable::as_an_ordinary_user"]);
        if std::fs::metadata("/proc/self").is_ok_and(|me| std::os::unix::fs::MetadataExt::uid(&me) == 0) {
            // Root may read everything.
            again.uid(NOBODY).current_dir("/");
        }
        let output = again.output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success() && said.contains("1 passed"), "{said}");
    }

    #[tokio::test]
    #[ignore = "run by the test above, as a user who is not root"]
    async fn as_an_ordinary_user() {
        let mut agent = Agent::new(json!({"format": "csv"}), json!({}));
        agent.drop_file("a.csv", "id\n1\n");
        agent.drop_file("b.csv", "id\n2\n");
        let set =
            |mode| std::fs::set_permissions(agent.path("a.csv"), PermissionsExt::from_mode(mode)).unwrap();
        set(0o000);
        let path = agent.path("a.csv");
        agent.run_releasing_until(|agent| agent.files_done() == 1).await;
        std::fs::set_permissions(path, PermissionsExt::from_mode(0o600)).unwrap();
        agent.run_releasing_until(|agent| agent.files_done() == 2).await;
        assert_eq!(agent.rows(), [json!({"id": 2}), json!({"id": 1})]);
    }
}
