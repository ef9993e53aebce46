use std::io::Read;

use jiff::civil::{Date, DateTime};
use serde_json::Value;

use super::super::account::hundredths;
use super::*;

const SEED: u64 = 7;
const DAYS: usize = 4;

fn days(seed: u64) -> Vec<ExportFile> {
    let mut export = Export::new(seed, 1_000);
    (0..DAYS).flat_map(|_| export.next_day()).collect()
}

/// Splits a line by the rules of RFC 4180.
fn fields(line: &str, delimiter: char) -> Vec<String> {
    let (mut fields, mut quoted) = (vec![String::new()], false);
    let mut rest = line.chars().peekable();
    while let Some(c) = rest.next() {
        match c {
            '"' if quoted && rest.next_if_eq(&'"').is_some() => fields.last_mut().unwrap().push('"'),
            '"' => quoted = !quoted,
            c if c == delimiter && !quoted => fields.push(String::new()),
            c => fields.last_mut().unwrap().push(c),
        }
    }
    fields
}

fn customer(line: &str) -> Option<Row> {
    let fields = fields(line, ';');
    Date::strptime("%d.%m.%Y", fields.get(5).filter(|_| fields.len() == 8)?).ok()?;
    Some(Row { number: fields[0].parse().ok()?, hundredths: hundredths(&fields[6])? })
}

fn order(line: &str) -> Option<Row> {
    let order: Value = serde_json::from_str(line).ok()?;
    order["ordered_at"].as_str()?.parse::<jiff::Timestamp>().ok()?;
    let total = order["total"].as_f64()?;
    Some(Row { number: order["order_no"].as_i64()?, hundredths: (total * 100.0).round() as i64 })
}

fn movement(line: &str) -> Option<Row> {
    let fields = fields(line, ',');
    fields.get(1).filter(|_| fields.len() == 8)?.parse::<DateTime>().ok()?;
    Some(Row { number: fields[0].parse().ok()?, hundredths: fields[5].parse::<i64>().ok()? * 100 })
}

fn text(file: &ExportFile) -> String {
    if file.name.ends_with(".gz") {
        let mut text = String::new();
        flate2::read::GzDecoder::new(&*file.bytes).read_to_string(&mut text).unwrap();
        return text;
    }
    match file.share.stream {
        Stream::Customers => file.bytes.iter().map(|byte| char::from(*byte)).collect(),
        Stream::Orders | Stream::Stock => String::from_utf8(file.bytes.clone()).unwrap(),
    }
}

fn read_again(file: &ExportFile) -> (Vec<Row>, u64) {
    let (header, parse): (usize, fn(&str) -> Option<Row>) = match file.share.stream {
        Stream::Customers => (1, customer),
        Stream::Orders => (0, order),
        Stream::Stock => (1, movement),
    };
    let rows: Vec<_> = text(file).lines().skip(header).map(parse).collect();
    let bad = rows.iter().filter(|row| row.is_none()).count() as u64;
    (rows.into_iter().flatten().collect(), bad)
}

#[test]
fn the_same_seed_gives_the_same_files_and_another_seed_others() {
    assert_eq!(days(SEED), days(SEED));
    assert_ne!(days(SEED)[0].bytes, days(SEED + 1)[0].bytes);
}

#[test]
fn the_account_of_a_file_is_what_a_strict_reader_finds_in_it() {
    for seed in SEED..SEED + 5 {
        for file in days(seed) {
            let (good, bad) = read_again(&file);
            assert_eq!(good, file.share.good, "seed {seed}: {}", file.name);
            assert_eq!(bad, file.share.bad, "seed {seed}: {}", file.name);
            assert!(bad > 0, "seed {seed}: {} has no bad row to show", file.name);
        }
    }
}

#[test]
fn only_the_first_days_stock_comes_twice() {
    let files = days(SEED);
    let twice: Vec<_> = files.iter().filter(|file| file.share.duplicate).collect();
    assert_eq!(twice.len(), 1);
    assert_eq!(twice[0].name, "stock-2026-03-02-resent.csv");
    for (at, file) in files.iter().enumerate() {
        let same = files[..at].iter().filter(|earlier| earlier.bytes == file.bytes).count();
        assert_eq!(same, usize::from(file.share.duplicate), "{}", file.name);
    }
}

#[test]
fn files_of_a_stream_are_named_in_the_order_in_which_they_are_dropped() {
    let files = days(SEED);
    for stream in Stream::ALL {
        let names: Vec<_> = files
            .iter()
            .filter(|f| f.share.stream == stream && !f.share.duplicate)
            .map(|f| &f.name)
            .collect();
        assert!(names.is_sorted(), "{names:?}");
    }
}

#[test]
fn customers_and_orders_change_and_umlauts_are_single_bytes() {
    let files = days(SEED);
    for stream in [Stream::Customers, Stream::Orders] {
        let all = files.iter().filter(|file| file.share.stream == stream).flat_map(|file| &file.share.good);
        let mut numbers: Vec<_> = all.map(|row| row.number).collect();
        let rows = numbers.len();
        numbers.sort_unstable();
        numbers.dedup();
        assert!(numbers.len() < rows, "no row of {} comes again", stream.name());
    }
    assert!(files[0].bytes.contains(&0xfc) && String::from_utf8(files[0].bytes.clone()).is_err());
}

#[test]
fn rows_that_types_are_inferred_from_are_clean() {
    for rows in [60, 100, 1_000] {
        let mut export = Export::new(SEED, rows);
        let stock = export.next_day().pop().unwrap();
        let text = text(&stock);
        let mut first = text.lines().skip(1).take(INFERRED_FROM_ROWS);
        assert!(first.all(|line| movement(line).is_some()), "{rows} rows a day");
    }
}
