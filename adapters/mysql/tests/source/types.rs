//! Every type arrives as it was, by the copy and as a change.

use anyhow::{Result, ensure};
use serde_json::{Value, json};
use towpath_record::Position;

use crate::harness::{Database, end, read, server, shown};

/// Types, and values of each as SQL with what they are in the stream.
const VALUES: &[(&str, &[(&str, &str)])] = &[
    ("tinyint", &[("-128", "-128"), ("127", "127")]),
    ("tinyint unsigned", &[("255", "255")]),
    ("smallint", &[("-32768", "-32768")]),
    ("smallint unsigned", &[("65535", "65535")]),
    ("mediumint", &[("-8388608", "-8388608"), ("8388607", "8388607")]),
    ("mediumint unsigned", &[("16777215", "16777215")]),
    ("int", &[("-2147483648", "-2147483648")]),
    ("int unsigned zerofill", &[("4294967295", "4294967295"), ("7", "7")]),
    ("bigint", &[("-9223372036854775808", "-9223372036854775808")]),
    ("bigint unsigned", &[("18446744073709551615", "18446744073709551615")]),
    ("boolean", &[("true", "1")]),
    ("float", &[("1.1", "1.1"), ("3.40282e38", "3.40282e38"), ("-0.5", "-0.5")]),
    (
        "double",
        &[("0.1", "0.1"), ("-1.7976931348623157e308", "-1.7976931348623157e308"), ("5e-324", "5e-324")],
    ),
    ("decimal(12,2)", &[("-1234567890.12", "-1234567890.12"), ("0", "0.00"), ("0.05", "0.05")]),
    (
        "decimal(38,30)",
        &[("-12345678.000000000000000000000000000001", "-12345678.000000000000000000000000000001")],
    ),
    (
        "decimal(65,0)",
        &[(
            "99999999999999999999999999999999999999999999999999999999999999999",
            "99999999999999999999999999999999999999999999999999999999999999999",
        )],
    ),
    ("decimal(50,30)", &[("-0.5", "-0.500000000000000000000000000000")]),
    ("bit(1)", &[("b'1'", "true"), ("b'0'", "false")]),
    ("bit(10)", &[("b'1000000001'", "513")]),
    ("bit(64)", &[("18446744073709551615", "18446744073709551615")]),
    ("year", &[("1901", "1901"), ("2155", "2155"), ("0", "0")]),
    (
        "date",
        &[("'2026-01-31'", "2026-01-31"), ("'0001-01-01'", "0001-01-01"), ("'9999-12-31'", "9999-12-31")],
    ),
    ("datetime", &[("'2026-01-31 23:59:59'", "2026-01-31 23:59:59.000000")]),
    ("datetime(3)", &[("'1000-01-01 00:00:00.123'", "1000-01-01 00:00:00.123000")]),
    ("datetime(6)", &[("'1969-12-31 23:59:59.999999'", "1969-12-31 23:59:59.999999")]),
    ("timestamp null", &[("'2026-01-31 23:59:59'", "2026-01-31T23:59:59.000000Z")]),
    (
        "timestamp(6) null",
        &[
            ("'2038-01-19 03:14:07.000001'", "2038-01-19T03:14:07.000001Z"),
            ("'1970-01-01 00:00:01'", "1970-01-01T00:00:01.000000Z"),
        ],
    ),
    ("time", &[("'23:59:59'", "23:59:59.000000")]),
    ("time(1)", &[("'00:00:00.1'", "00:00:00.100000")]),
    ("time(6)", &[("'12:30:00.000001'", "12:30:00.000001")]),
    ("char(9)", &[("'ab '", "ab"), ("'äöü €'", "äöü €")]),
    ("varchar(300)", &[("'äöü €🚣'", "äöü €🚣"), ("''", ""), ("'ab '", "ab ")]),
    ("varchar(9) character set latin1", &[("'äöü €'", "äöü €")]),
    ("char(9) character set cp850", &[("'äöü½'", "äöü½")]),
    ("text character set utf16", &[("'ä🚣'", "ä🚣")]),
    ("text character set ucs2", &[("'äЖ'", "äЖ")]),
    ("text character set utf32", &[("'ä🚣'", "ä🚣")]),
    ("text character set utf16le", &[("'ä🚣'", "ä🚣")]),
    ("text character set sjis", &[("'日本'", "日本"), ("'abc'", "abc")]),
    ("varchar(9) character set gbk", &[("'中文'", "中文")]),
    ("text character set eucjpms", &[("'日本語'", "日本語")]),
    ("varchar(9) character set cp1251", &[("'Жар'", "Жар")]),
    ("tinytext", &[("'x'", "x")]),
    ("text", &[("'line\\nback\\\\slash\\t'", "line\nback\\slash\t")]),
    ("mediumtext", &[("repeat('ä', 3)", "äää")]),
    ("longtext", &[("'x'", "x")]),
    ("binary(5)", &[("x'0100'", "0100000000"), ("x'ff'", "ff00000000")]),
    ("varbinary(9)", &[("x'00ff5c00'", "00ff5c00"), ("''", "")]),
    ("tinyblob", &[("x'00'", "00")]),
    ("blob", &[("x'00ff5c'", "00ff5c")]),
    ("mediumblob", &[("x'ff'", "ff")]),
    ("longblob", &[("x'ff'", "ff")]),
    (
        "enum('sad','it''s fine','a\\\\b') character set latin1",
        &[("'it''s fine'", "it's fine"), ("'a\\\\b'", "a\\b")],
    ),
    ("enum('ä','ö')", &[("'ö'", "ö")]),
    ("set('a','b','ü')", &[("'ü,a'", "a,ü"), ("''", "")]),
    ("json", &[("'{\"b\": 1,  \"a\": [null, 1.50]}'", "{\"b\": 1,  \"a\": [null, 1.50]}")]),
    ("uuid", &[("'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a00'", "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a00")]),
    ("inet4", &[("'192.168.1.0'", "192.168.1.0")]),
    (
        "inet6",
        &[
            ("'2001:db8::'", "2001:db8::"),
            ("'::ffff:1.2.3.4'", "::ffff:1.2.3.4"),
            ("'::1.2.3.4'", "::1.2.3.4"),
            ("'::'", "::"),
            ("'::1'", "::1"),
        ],
    ),
    ("point", &[("point(1, -2)", "0101000000000000000000f03f00000000000000c0")]),
    ("geometry", &[("st_geomfromtext('POINT(1 -2)', 4326)", "0101000000000000000000f03f00000000000000c0")]),
];

/// A table for each type, with the values that are there at the start; the values again as changes.
fn scripts() -> (String, String) {
    let (mut tables, mut changes) = (String::new(), String::new());
    for (number, (name, values)) in VALUES.iter().enumerate() {
        tables.push_str(&format!(
            "CREATE TABLE t{number} (id int PRIMARY KEY, v {name}, w int AS (id + 1) VIRTUAL);\n"
        ));
        for (id, value) in values.iter().map(|(sql, _)| *sql).chain(["NULL"]).enumerate() {
            tables.push_str(&format!("INSERT INTO t{number} (id, v) VALUES ({id}, {value});\n"));
            changes.push_str(&format!("INSERT INTO t{number} (id, v) VALUES ({}, {value});\n", id + 100));
        }
    }
    (tables, changes)
}

async fn arrive_as_they_were(metadata: &str) -> Result<()> {
    let server = server()?;
    let (tables, changes) = scripts();
    let database =
        Database::new(&server, "types", &format!("SET GLOBAL binlog_row_metadata = {metadata};\n")).await?;
    database.run(&tables).await?;
    let config = database.config(&json!({}));
    let copied = read(&config, &Position::default()).await?;
    database.run(&changes).await?;
    let changed = read(&config, &end(&copied)?).await?;
    let mut wrong = Vec::new();
    for (number, (name, values)) in VALUES.iter().enumerate() {
        let of_table = |emissions: &[towpath_adapter_api::Emission]| {
            let stream = format!("types.t{number}");
            let own: Vec<_> = emissions.iter().filter(|e| e.stream.as_str() == stream).cloned().collect();
            shown(&own)
        };
        let expected = |op: &str, first: usize| -> Vec<String> {
            let values = values.iter().map(|(_, value)| *value).chain(["-"]).enumerate();
            values.map(|(id, value)| format!("{op}: {} | {value} | {}", id + first, id + first + 1)).collect()
        };
        for (found, expected) in
            [(of_table(&copied)?, expected("read", 0)), (of_table(&changed)?, expected("create", 100))]
        {
            if found != expected {
                wrong.push(format!("{name}: {expected:?} became {found:?}"));
            }
        }
    }
    ensure!(wrong.is_empty(), "{}", wrong.join("\n"));
    Ok(())
}

#[tokio::test]
async fn each_type_arrives_as_it_was_by_the_copy_and_as_a_change() -> Result<()> {
    arrive_as_they_were("FULL").await
}

#[tokio::test]
async fn the_server_need_not_log_names_for_that() -> Result<()> {
    arrive_as_they_were("NO_LOG").await
}

/// The rows of a table, copied and then inserted again as changes, under a configuration.
async fn both_ways(name: &str, column: &str, values: &str, extra: &Value) -> Result<Vec<String>> {
    let server = server()?;
    let sql = format!(
        "SET sql_mode = 'ALLOW_INVALID_DATES';\nCREATE TABLE t (id int PRIMARY KEY AUTO_INCREMENT, v {column});\n\
         INSERT INTO t (v) VALUES {values};\n"
    );
    let database = Database::new(&server, name, &sql).await?;
    let config = database.config(extra);
    let copied = read(&config, &Position::default()).await?;
    database.run(&format!("INSERT INTO t (v) VALUES {values};\n")).await?;
    let changed = read(&config, &end(&copied)?).await?;
    let rows = [shown(&copied)?, shown(&changed)?].concat();
    Ok(rows.into_iter().map(|row| row.rsplit(" | ").next().unwrap_or_default().to_owned()).collect())
}

#[tokio::test]
async fn dates_that_no_calendar_has_are_read_as_the_admin_says() -> Result<()> {
    let values = "('0000-00-00'), ('2026-02-31 10:00:00.5')";
    let column = "datetime(1)";
    let rows = both_ways("zero_1", column, values, &json!({})).await?;
    ensure!(rows == ["-", "-", "-", "-"], "{rows:?}");
    let rows = both_ways("zero_2", column, values, &json!({ "zero_dates": "text" })).await?;
    let texts = ["0000-00-00 00:00:00.0", "2026-02-31 10:00:00.5"];
    ensure!(rows == [texts, texts].concat(), "{rows:?}");
    let rows = both_ways("zero_3", column, values, &json!({ "zero_dates": "refuse" })).await?;
    ensure!(rows.len() == 4 && rows.iter().all(|row| row.contains("`zero_dates`")), "{rows:?}");
    let rows =
        both_ways("zero_4", "timestamp NULL", "('0000-00-00')", &json!({ "zero_dates": "text" })).await?;
    ensure!(rows == ["0000-00-00 00:00:00", "0000-00-00 00:00:00"], "{rows:?}");
    Ok(())
}

#[tokio::test]
async fn times_beyond_a_day_are_spans_or_are_refused() -> Result<()> {
    let values = "('-838:59:59.000001'), ('25:00:00')";
    let spans = both_ways("span_1", "time(6)", values, &json!({ "time": "interval" })).await?;
    ensure!(spans.len() == 4 && spans[..2] == spans[2..], "{spans:?}");
    ensure!(spans[0].contains("-838") && spans[1].contains("25"), "{spans:?}");
    let refused = both_ways("span_2", "time(6)", values, &json!({})).await?;
    ensure!(refused.len() == 4 && refused.iter().all(|row| row.contains("interval")), "{refused:?}");
    Ok(())
}
