//! Every type arrives as it was, by the copy and as a change, and a sink gives PostgreSQL its value back.

use anyhow::{Context, Result, ensure};
use serde_json::json;
use towpath_record::Position;

use crate::harness::{Copy, Database, read, server, shown};

/// What stands before the tables.
const TYPES: &str = "CREATE TYPE mood AS ENUM ('sad', 'it''s fine'); CREATE TYPE pair AS (a int, b text);
    CREATE DOMAIN cents AS numeric(12,2) CHECK (VALUE >= 0); CREATE DOMAIN wide AS cents;";

/// Types, and values of each as SQL.
const VALUES: &[(&str, &[&str])] = &[
    ("boolean", &["true", "false"]),
    ("smallint", &["-32768", "32767"]),
    ("integer", &["-2147483648", "2147483647"]),
    ("bigint", &["-9223372036854775808", "9223372036854775807"]),
    ("real", &["1.1", "'NaN'", "'-Infinity'", "3.4028235e38", "1e-45"]),
    ("double precision", &["0.1", "'NaN'", "'Infinity'", "5e-324", "-1.7976931348623157e308", "'-0'"]),
    ("numeric(12,2)", &["-1234567890.12", "0"]),
    ("numeric(38,38)", &["0.00000000000000000000000000000000000001"]),
    ("numeric(5,-2)", &["12345"]),
    ("numeric", &["'NaN'", "1e500", "-0.000000000000000000000000000000000000000001", "1.10"]),
    ("cents", &["12.50"]),
    ("wide", &["0.01"]),
    ("text", &["'äöü €🚣'", "''", "e'tab\\tline\\nback\\\\slash\\r\\b'", "'\\N'"]),
    ("varchar(9)", &["'nine char'"]),
    ("char(5)", &["'ab'"]),
    ("\"char\"", &["'x'"]),
    ("name", &["'name'"]),
    ("bytea", &["'\\x00ff5c'", "''"]),
    ("date", &["'2026-01-31'", "'0044-03-15 BC'", "'5874897-12-31'", "'infinity'", "'-infinity'"]),
    ("time", &["'00:00'", "'23:59:59.999999'", "'24:00'"]),
    ("timetz", &["'12:00:00.5+05:30'"]),
    ("timestamp", &["'2026-01-31 23:59:59.000001'", "'4713-01-01 BC'", "'infinity'", "'294246-12-31'"]),
    ("timestamptz", &["'2026-01-31 23:59:59+02'", "'-infinity'", "'infinity'", "'0001-01-01 BC'"]),
    ("interval", &["'1 year 2 mons -3 days 04:05:06.789'", "'-1 day'", "'0'", "'1000 hours'"]),
    ("uuid", &["'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'"]),
    ("json", &["'{\"b\": 1,  \"a\": [null, 1.50]}'"]),
    ("jsonb", &["'{\"b\": 1, \"a\": \"\\u00e4\"}'", "'1e400'"]),
    ("xml", &["'<a b=\"c\">&lt;</a>'"]),
    ("inet", &["'192.168.1.5'", "'10.0.0.0/8'", "'::1'"]),
    ("cidr", &["'10.1.0.0/16'"]),
    ("macaddr", &["'08:00:2b:01:02:03'"]),
    ("bit(3)", &["B'101'"]),
    ("varbit", &["B''", "B'0001'"]),
    ("money", &["'12.34'"]),
    ("oid", &["4294967295"]),
    ("pg_lsn", &["'16/B374D848'"]),
    ("point", &["'(1.5,-2)'"]),
    ("polygon", &["'((0,0),(1,1),(2,0))'"]),
    ("tsvector", &["'a:1 fat:2A'"]),
    ("int4range", &["'[1,5)'", "'empty'", "'(,)'"]),
    ("tstzrange", &["'[2026-01-01 00:00+00,)'"]),
    ("int[]", &["'{1,NULL,3}'", "'{{1,2},{3,4}}'", "'[0:1]={7,8}'", "'{}'"]),
    ("text[]", &["array['a,b', 'it''s', 'NULL', NULL, '\"', '\\']"]),
    ("mood", &["'it''s fine'"]),
    ("mood[]", &["'{sad,\"it''s fine\"}'"]),
    ("pair", &["row(1, 'a,(b)')", "row(NULL, '')"]),
    ("pair[]", &["array[row(1, 'x')::pair]"]),
];

/// A table for each type, with the types and values that are there at the start; the values again as changes.
pub(crate) fn scripts(skip: &dyn Fn(&str) -> bool) -> (String, String) {
    let (mut tables, mut changes) = (TYPES.to_owned(), String::new());
    for (number, (name, values)) in VALUES.iter().enumerate().filter(|(_, (name, _))| !skip(name)) {
        tables.push_str(&format!("CREATE TABLE t{number} (id int PRIMARY KEY, v {name});"));
        for (id, value) in values.iter().chain(&["NULL"]).enumerate() {
            tables.push_str(&format!("INSERT INTO t{number} VALUES ({id}, {value});"));
            changes.push_str(&format!("INSERT INTO t{number} VALUES ({}, {value});", id + 100));
        }
    }
    (tables, changes)
}

/// How a copy of a value must look: the same, in the same type.
async fn differing(database: &Database, schema: &str) -> Result<Vec<String>> {
    let mut differ = Vec::new();
    for (number, (name, _)) in VALUES.iter().enumerate() {
        let value = "CASE num_nulls(v) WHEN 0 THEN format('%s', v) ELSE '-' END";
        let rows = |table: String| format!("SELECT id || ' ' || {value} FROM {table} ORDER BY id");
        let original = database.texts(&rows(format!("public.t{number}"))).await?;
        let copy = database.texts(&rows(format!("{schema}.public_t{number}"))).await?;
        if original != copy {
            differ.push(format!("{name}: {original:?} became {copy:?}"));
        }
    }
    Ok(differ)
}

#[tokio::test]
async fn each_type_arrives_as_it_was_by_the_copy_and_as_a_change() -> Result<()> {
    let server = server()?;
    let (tables, changes) = scripts(&|_| false);
    let database = Database::new(&server, "types", &tables).await?;
    // The same types in the copy, where a sink finds them, and those that it makes by itself.
    let mut like = "CREATE SCHEMA same;".to_owned();
    for number in 0..VALUES.len() {
        like.push_str(&format!("CREATE TABLE same.public_t{number} (LIKE t{number} INCLUDING ALL);"));
    }
    database.client.batch_execute(&like).await?;
    let config = database.config(&json!({}));
    let copied = read(&config, &Position::default()).await?;
    database.client.batch_execute(&changes).await?;
    let position = copied.last().context("something was copied")?.position.clone();
    let changed = read(&config, &position).await?;
    for schema in ["same", "made"] {
        let mut copy = Copy::new(&database, schema).await?;
        for emission in copied.iter().chain(&changed) {
            copy.apply(emission.clone()).await?;
        }
        copy.commit().await?;
    }
    let differ = differing(&database, "same").await?;
    ensure!(differ.is_empty(), "{}", differ.join("\n"));
    // Without tables to find, the sink makes columns of the stream's types; what travels as text is text there.
    let differ = differing(&database, "made").await?;
    ensure!(differ.is_empty(), "{}", differ.join("\n"));
    Ok(())
}

#[tokio::test]
async fn a_number_that_no_decimal_holds_is_refused_or_read_as_text() -> Result<()> {
    let server = server()?;
    let sql =
        "CREATE TABLE t (id int PRIMARY KEY, v numeric(5,2)); INSERT INTO t VALUES (1, 1.5), (2, 'NaN')";
    let database = Database::new(&server, "nan", sql).await?;
    let lines = shown(&read(&database.config(&json!({})), &Position::default()).await?)?;
    ensure!(lines.len() == 2 && lines[0] == "read: - | 1 | 1.50", "{lines:?}");
    ensure!(lines[1].contains("\"v\"") && lines[1].contains("numeric: text"), "{lines:?}");
    let text = database.config(&json!({ "slot": "nan_2", "numeric": "text" }));
    let lines = shown(&read(&text, &Position::default()).await?)?;
    ensure!(lines == ["read: - | 1 | 1.50", "read: - | 2 | NaN"], "{lines:?}");
    Ok(())
}
