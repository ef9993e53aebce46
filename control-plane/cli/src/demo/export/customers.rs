//! Customers as an old ERP writes them: semicolons, CRLF, ISO 8859-1, German dates.

use std::ops::Range;

use jiff::ToSpan;
use jiff::civil::Date;

use super::super::account::{Row, decimal};
use super::words::{FAMILIES, FORMS, STREETS, TOWNS, TRADES, pick};
use super::{Content, bad_rows, lines};

const HEADER: &str = "customer_no;name;street;postal_code;city;since;credit_limit;email\r\n";
const FIRST_NUMBER: i64 = 10_001;
/// One of so many rows is a customer whose credit limit changed.
const CHANGED_ONE_IN: u64 = 4;

#[derive(Debug)]
pub(super) struct Customers {
    seed: u64,
    next: i64,
}

impl Customers {
    pub(super) fn new(seed: u64) -> Self {
        Self { seed, next: FIRST_NUMBER }
    }

    /// The numbers that were given so far.
    pub(super) fn numbers(&self) -> Range<i64> {
        FIRST_NUMBER..self.next
    }

    pub(super) fn file(&mut self, rng: &mut fastrand::Rng, date: Date, rows: u64) -> Content {
        let known = self.numbers();
        let good: Vec<_> = (0..rows).map(|_| self.row(rng, &known)).collect();
        let good_lines = good.iter().map(|row| self.line(*row, date)).collect();
        let bad = bad_rows(rows);
        let bad_lines = (0..bad).map(|nth| bad_line(nth, date)).collect();
        let text = HEADER.to_owned() + &lines::mix(rng, good_lines, bad_lines, 0);
        Content { bytes: iso_8859_1(&text), good, bad }
    }

    fn row(&mut self, rng: &mut fastrand::Rng, known: &Range<i64>) -> Row {
        let changed = !known.is_empty() && rng.u64(..CHANGED_ONE_IN) == 0;
        let number = if changed { rng.i64(known.clone()) } else { self.next };
        self.next = self.next.max(number + 1);
        Row { number, hundredths: rng.i64(10..5_000) * 2_500 }
    }

    /// The line of a customer. But for the credit limit it follows from the number, so that a customer stays who he is.
    fn line(&self, row: Row, date: Date) -> String {
        let rng = &mut fastrand::Rng::with_seed(self.seed ^ row.number.unsigned_abs());
        let (family, trade) = (pick(rng, FAMILIES), pick(rng, TRADES));
        let name = quoted(&format!("{family} {trade} {}", pick(rng, FORMS)));
        let street = format!("{} {}", pick(rng, STREETS), rng.u32(1..120));
        let (postal_code, city) = pick(rng, TOWNS);
        let since = date.saturating_sub(rng.i32(30..9_000).days()).strftime("%d.%m.%Y");
        let number = row.number;
        let email = if rng.u32(..5) > 0 { format!("einkauf@kunde-{number}.example") } else { String::new() };
        let limit = decimal(row.hundredths);
        format!("{number};{name};{street};{postal_code};{city};{since};{limit};{email}\r\n")
    }
}

fn bad_line(nth: u64, date: Date) -> String {
    let number = 900_000 + nth;
    let day = date.strftime("%d.%m.%Y");
    match nth % 3 {
        0 => format!("{number};Böhm Mühle KG;Gänsemarkt 4;04109;Leipzig;31.02.2019;5000.00;\r\n"),
        1 => format!("{number};Kühn Großhandel AG;Schloßplatz 1;80331;München;{day};unbegrenzt;\r\n"),
        _ => format!("{number};Weiß Straßenbau GmbH;Lindenallee 7\r\n"),
    }
}

fn quoted(field: &str) -> String {
    if field.contains([';', '"']) { format!("\"{}\"", field.replace('"', "\"\"")) } else { field.to_owned() }
}

/// The text in ISO 8859-1, which is the first 256 characters of Unicode.
fn iso_8859_1(text: &str) -> Vec<u8> {
    text.chars().map(|c| u8::try_from(c).unwrap_or(b'?')).collect()
}
