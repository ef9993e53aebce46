//! Every type that can be declared, from CSV and JSON lines.

use serde_json::{Value, json};

use crate::harness::Agent;

fn columns() -> Value {
    json!([
        {"name": "b", "type": "boolean"},
        {"name": "i8", "type": "int8"},
        {"name": "i16", "type": "int16"},
        {"name": "i32", "type": "int32"},
        {"name": "i64", "type": "int64"},
        {"name": "u8", "type": "uint8"},
        {"name": "u16", "type": "uint16"},
        {"name": "u32", "type": "uint32"},
        {"name": "u64", "type": "uint64"},
        {"name": "f32", "type": "float32"},
        {"name": "f64", "type": "float64"},
        {"name": "d", "type": {"decimal": {"precision": 38, "scale": 2}}},
        {"name": "s", "type": "string"},
        {"name": "x", "type": "binary"},
        {"name": "day", "type": "date"},
        {"name": "german", "type": "date", "format": "%d.%m.%Y"},
        {"name": "t", "type": "time"},
        {"name": "local", "type": "local_timestamp"},
        {"name": "at", "type": "timestamp"},
        {"name": "span", "type": "interval"},
    ])
}

fn values() -> Vec<(&'static str, &'static str)> {
    vec![
        ("b", "true"),
        ("i8", "-128"),
        ("i16", "-32768"),
        ("i32", "-2147483648"),
        ("i64", "-9223372036854775808"),
        ("u8", "255"),
        ("u16", "65535"),
        ("u32", "4294967295"),
        ("u64", "18446744073709551615"),
        ("f32", "1.5"),
        ("f64", "-1e300"),
        ("d", "123456789012345678901234567890123456.78"),
        ("s", "ünï"),
        ("x", "00ff"),
        ("day", "2026-01-31"),
        ("german", "31.01.2026"),
        ("t", "13:45:00.25"),
        ("local", "2026-01-31T13:45:00"),
        ("at", "2026-01-31T13:45:00+02:00"),
        ("span", "P1Y2M3DT4S"),
    ]
}

fn expected() -> Value {
    json!({
        "b": true, "i8": -128, "i16": -32768, "i32": -2_147_483_648, "i64": i64::MIN,
        "u8": 255, "u16": 65535, "u32": 4_294_967_295u32, "u64": u64::MAX, "f32": 1.5, "f64": -1e300,
        "d": "d", "s": "ünï", "x": "00ff", "day": "2026-01-31", "german": "2026-01-31", "t": "13:45:00.250",
        "local": "2026-01-31T13:45:00", "at": "2026-01-31T11:45:00Z", "span": "14 mons 3 days 4.000000000 secs",
    })
}

async fn read(format: Value, content: &str) -> Agent {
    let mut agent = Agent::new(json!({"format": format}), json!({}));
    agent.drop_file("a", content);
    agent.run_until(|agent| agent.files_done() == 1).await;
    agent
}

fn check(agent: &Agent) {
    assert_eq!(agent.letters(), []);
    let rows = agent.rows();
    let mut first = rows[0].clone();
    // A double cannot hold it, so it is compared as text.
    let decimal = format!("{:?}", agent.durable[0].rows);
    assert!(decimal.contains("12345678901234567890123456789012345678"), "{decimal}");
    first["d"] = json!("d");
    assert_eq!(first, expected());
    assert_eq!(rows[1], json!({}), "absent values are absent");
}

#[tokio::test]
async fn every_type_is_read_from_csv() {
    let (names, texts): (Vec<_>, Vec<_>) = values().into_iter().unzip();
    let content = format!("{}\n{}\n{}\n", names.join(","), texts.join(","), ",".repeat(names.len() - 1));
    check(&read(json!({"csv": {"columns": columns()}}), &content).await);
}

#[tokio::test]
async fn every_type_is_read_from_json_as_number_or_as_text() {
    let quoted: Vec<_> = values().into_iter().map(|(name, text)| format!("{name:?}:\"{text}\"")).collect();
    let bare: Vec<_> = values()
        .into_iter()
        .map(|(name, text)| match text.parse::<f64>().is_ok() || text == "true" {
            true if name != "x" => format!("{name:?}:{text}"),
            _ => format!("{name:?}:\"{text}\""),
        })
        .collect();
    for line in [quoted, bare] {
        let content = format!("{{{}}}\n{{\"b\":null}}\n", line.join(","));
        check(&read(json!({"json_lines": {"columns": columns()}}), &content).await);
    }
}

#[tokio::test]
async fn a_value_that_does_not_fit_is_a_bad_row_that_names_the_column_and_the_remedy() {
    let content = "id,day\n1,2026-01-31\n2,tomorrow\nx,2026-02-01\n99999999999999999999,\n";
    let declared = json!([{"name": "id", "type": "int64"}, {"name": "day", "type": "date"}]);
    let agent = read(json!({"csv": {"columns": declared}}), content).await;
    let said: Vec<_> = agent.letters().into_iter().map(|l| (l.line, l.column.unwrap(), l.reason)).collect();
    assert_eq!((said[0].0, &*said[0].1), (3, "day"));
    assert!(said[0].2.starts_with("\"tomorrow\" is not a date (2026-01-31); "), "{said:?}");
    assert!(said[0].2.contains("declared as string"));
    assert_eq!((said[1].0, &*said[1].1), (4, "id"));
    assert_eq!((said[2].0, &*said[2].1), (5, "id"));
    assert_eq!(agent.rows().len(), 1);
}

#[tokio::test]
async fn types_are_inferred_and_what_does_not_fit_later_is_a_bad_row() {
    let format = json!({"csv": {"infer_rows": 2, "null_values": ["", "NULL"]}});
    let content = "n,zip,f,when,on,t\n1,01067,1,2026-01-31T00:00:00Z,true,a\n\
                   NULL,,2.5,,false,\"\"\n3,99999,x,,true,\n";
    let agent = read(format, content).await;
    assert_eq!(
        agent.rows(),
        [
            json!({"n": 1, "zip": "01067", "f": 1.0, "when": "2026-01-31T00:00:00Z", "on": true, "t": "a"}),
            json!({"f": 2.5, "on": false, "t": ""}),
        ]
    );
    assert_eq!(agent.letters()[0].column.as_deref(), Some("f"));
}

#[tokio::test]
async fn a_field_that_appears_later_becomes_a_column_from_there_on() {
    let format = json!({"json_lines": {"infer_rows": 2}});
    let content = "{\"a\":1}\n{\"a\":2}\n{\"a\":3,\"b\":1}\n{\"b\":1.5,\"c\":{\"d\":[1]}}\n{\"a\":\"x\"}\n";
    let agent = read(format, content).await;
    let c = "{\"d\":[1]}";
    assert_eq!(
        agent.rows(),
        [json!({"a": 1}), json!({"a": 2}), json!({"a": 3, "b": 1.0}), json!({"b": 1.5, "c": c})]
    );
    assert_eq!(agent.letters()[0].column.as_deref(), Some("a"));
}

#[tokio::test]
async fn a_field_that_is_not_declared_is_a_bad_row_or_passed_over() {
    let content = "{\"a\":1}\n{\"a\":2,\"b\":1}\n";
    let format = |ignore: bool| json!({"json_lines": {"columns": [{"name": "a", "type": "int64"}], "ignore_unknown_fields": ignore}});
    let strict = read(format(false), content).await;
    assert_eq!(strict.rows().len(), 1);
    assert_eq!(strict.letters()[0].column.as_deref(), Some("b"));
    assert_eq!(read(format(true), content).await.rows().len(), 2);
}

#[tokio::test]
async fn a_row_says_where_it_came_from_if_asked() {
    let mut agent = Agent::new(json!({"format": "csv"}), json!({"provenance": true, "recursive": true}));
    agent.drop_file("sub/a.csv", "id\n1\n\n2\n");
    agent.run_until(|agent| agent.files_done() == 1).await;
    let row = |id: u32, line: u32| json!({"id": id, "_file": "sub/a.csv", "_line": line});
    assert_eq!(agent.rows(), [row(1, 2), row(2, 4)]);
}
