//! Orders as the ERP's younger shop module writes them: JSON lines in UTF-8.

use std::io::Write;
use std::ops::Range;

use flate2::Compression;
use flate2::write::GzEncoder;
use jiff::civil::Date;

use super::super::account::{Row, decimal};
use super::words::{NOTES, pick};
use super::{Content, bad_rows, lines};

const FIRST_NUMBER: i64 = 500_001;
/// One of so many rows is an earlier order that was shipped.
const SHIPPED_ONE_IN: u64 = 8;
/// So many open orders are remembered.
const MOST_OPEN: usize = 1_000;

#[derive(Debug)]
pub(super) struct Orders {
    next: i64,
    open: Vec<Order>,
}

#[derive(Clone, Debug)]
struct Order {
    row: Row,
    customer: i64,
    ordered_at: String,
    note: Option<&'static str>,
}

impl Default for Orders {
    fn default() -> Self {
        Self { next: FIRST_NUMBER, open: Vec::new() }
    }
}

impl Orders {
    pub(super) fn file(
        &mut self,
        rng: &mut fastrand::Rng,
        date: Date,
        rows: u64,
        customers: &Range<i64>,
        packed: bool,
    ) -> Content {
        let (mut good, mut good_lines) = (Vec::new(), Vec::new());
        let mut shippable = std::mem::take(&mut self.open);
        for _ in 0..rows {
            let shipped = (rng.u64(..SHIPPED_ONE_IN) == 0).then(|| shippable.pop()).flatten();
            let (order, status) = match shipped {
                Some(order) => (order, "shipped"),
                None => (self.new_order(rng, date, customers.clone()), "open"),
            };
            good.push(order.row);
            good_lines.push(order.line(status));
            if status == "open" && self.open.len() < MOST_OPEN {
                self.open.push(order);
            }
        }
        let bad = bad_rows(rows);
        let bad_lines = (0..bad).map(|nth| bad_line(nth, date)).collect();
        let text = lines::mix(rng, good_lines, bad_lines, 0);
        let bytes = if packed { gzip(text.as_bytes()) } else { text.into_bytes() };
        Content { bytes, good, bad }
    }

    fn new_order(&mut self, rng: &mut fastrand::Rng, date: Date, customers: Range<i64>) -> Order {
        let row = Row { number: self.next, hundredths: rng.i64(500..1_000_000) };
        self.next += 1;
        let customer = if customers.is_empty() { customers.start } else { rng.i64(customers) };
        let (hour, minute, second) = (rng.u32(6..19), rng.u32(..60), rng.u32(..60));
        let ordered_at = format!("{date}T{hour:02}:{minute:02}:{second:02}Z");
        let note = (rng.u32(..4) == 0).then(|| *pick(rng, NOTES));
        Order { row, customer, ordered_at, note }
    }
}

impl Order {
    /// The order as a line. Totals are written with their two digits, as an accountant's program does.
    fn line(&self, status: &str) -> String {
        let Self { row, customer, ordered_at, note } = self;
        let (number, total) = (row.number, decimal(row.hundredths));
        let note = serde_json::Value::from(*note);
        format!(
            "{{\"order_no\":{number},\"customer_no\":{customer},\"ordered_at\":\"{ordered_at}\",\"total\":{total},\
             \"currency\":\"EUR\",\"status\":\"{status}\",\"note\":{note}}}\n"
        )
    }
}

fn bad_line(nth: u64, date: Date) -> String {
    let number = 990_000 + nth;
    let head = format!("{{\"order_no\":{number},\"customer_no\":10001,\"ordered_at\":");
    let tail = ",\"currency\":\"EUR\",\"status\":\"open\",\"note\":null}\n";
    match nth % 3 {
        0 => format!("{head}\"2026-02-30T09:15:00Z\",\"total\":49.90{tail}"),
        1 => format!("{head}\"{date}T09:15:00Z\",\"total\":\"auf Anfrage\"{tail}"),
        _ => format!("{head}\"{date}T09:1\n"),
    }
}

/// Packs without a time stamp, so that the same rows are the same bytes.
fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).and_then(|()| encoder.finish()).expect("memory takes all of it")
}
