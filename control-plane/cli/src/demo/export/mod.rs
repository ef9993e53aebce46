//! A legacy ERP's nightly export, made up from a seed: the same seed gives the same bytes, and every file comes with its
//! account.
//!
//! Each day has customers (new ones and changed ones), orders (new ones, and earlier ones that were shipped) and stock
//! movements. Among them are a few rows as real exports have them: a date that does not exist, words where a number
//! belongs, a line that was cut off. On the second day the first day's stock movements are sent again under another name.

pub(super) mod words;
mod lines;
mod customers;
mod orders;
mod stock;
#[cfg(test)]
mod tests;

use jiff::ToSpan;
use jiff::civil::Date;

use super::account::{Row, Share};
use super::stream::Stream;
use customers::Customers;
use orders::Orders;
use stock::Stock;

pub(super) use stock::INFERRED_FROM_ROWS;

/// The first day of the export.
const FIRST_DAY: Date = jiff::civil::date(2026, 3, 2);
/// One bad row for so many good ones, and one more.
const GOOD_PER_BAD: u64 = 250;

/// A file of the export.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct ExportFile {
    pub(super) name: String,
    pub(super) bytes: Vec<u8>,
    pub(super) share: Share,
}

/// The export, day by day.
#[derive(Debug)]
pub(super) struct Export {
    rng: fastrand::Rng,
    rows_per_day: u64,
    day: i32,
    customers: Customers,
    orders: Orders,
    stock: Stock,
    /// The first day's stock movements, until they are sent again.
    resend: Option<ExportFile>,
}

/// What a file of one kind holds.
struct Content {
    bytes: Vec<u8>,
    good: Vec<Row>,
    bad: u64,
}

impl Export {
    /// An export with about so many good rows a day.
    pub(super) fn new(seed: u64, rows_per_day: u64) -> Self {
        Self {
            rng: fastrand::Rng::with_seed(seed),
            rows_per_day,
            day: 0,
            customers: Customers::new(seed),
            orders: Orders::default(),
            stock: Stock::default(),
            resend: None,
        }
    }

    /// The files of the next day, in the order in which they are dropped.
    pub(super) fn next_day(&mut self) -> Vec<ExportFile> {
        let date = FIRST_DAY.saturating_add(self.day.days());
        let (customers, orders) = (self.rows_per_day / 10, self.rows_per_day * 4 / 10);
        let stock = self.rows_per_day - customers - orders;
        let rng = &mut self.rng;
        // Every other day the orders come packed.
        let packed = self.day % 2 == 1;
        let suffix = if packed { "jsonl.gz" } else { "jsonl" };
        let customers = self.customers.file(rng, date, customers);
        let orders = self.orders.file(rng, date, orders, &self.customers.numbers(), packed);
        let stock = self.stock.file(rng, date, stock);
        let file = |name: String, stream, content: Content| ExportFile {
            name,
            bytes: content.bytes,
            share: Share { stream, good: content.good, bad: content.bad, duplicate: false },
        };
        let mut files = vec![
            file(format!("customers-{date}.csv"), Stream::Customers, customers),
            file(format!("orders-{date}.{suffix}"), Stream::Orders, orders),
            file(format!("stock-{date}.csv"), Stream::Stock, stock),
        ];
        match self.day {
            0 => self.resend = files.last().cloned(),
            _ => files.extend(self.resend.take().map(sent_again)),
        }
        self.day += 1;
        files
    }
}

fn sent_again(file: ExportFile) -> ExportFile {
    let name = file.name.replace(".csv", "-resent.csv");
    ExportFile { name, share: Share { duplicate: true, ..file.share }, ..file }
}

/// How many bad rows go with so many good ones.
const fn bad_rows(good: u64) -> u64 {
    good / GOOD_PER_BAD + 1
}
