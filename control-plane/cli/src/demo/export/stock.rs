//! Stock movements as the warehouse writes them: commas, UTF-8, and nobody declares their types.

use jiff::civil::Date;

use super::super::account::Row;
use super::words::{UNITS, pick};
use super::{Content, bad_rows, lines};

const HEADER: &str = "movement_no,posted_at,material,plant,movement_type,quantity,unit,bin\n";
const FIRST_NUMBER: i64 = 4_900_000_001;
/// Types are inferred from so many rows; a bad one among them would make a column of text.
pub(in crate::demo) const INFERRED_FROM_ROWS: usize = 20;

#[derive(Debug)]
pub(super) struct Stock {
    next: i64,
}

impl Default for Stock {
    fn default() -> Self {
        Self { next: FIRST_NUMBER }
    }
}

impl Stock {
    pub(super) fn file(&mut self, rng: &mut fastrand::Rng, date: Date, rows: u64) -> Content {
        let (mut good, mut good_lines) = (Vec::new(), Vec::new());
        for _ in 0..rows {
            let quantity = rng.i64(1..400) * if rng.bool() { 1 } else { -1 };
            good.push(Row { number: self.next, hundredths: quantity * 100 });
            good_lines.push(line(rng, self.next, date, &quantity.to_string()));
            self.next += 1;
        }
        let bad = bad_rows(rows);
        let bad_lines = (0..bad).map(|nth| bad_line(rng, nth, date)).collect();
        let text = HEADER.to_owned() + &lines::mix(rng, good_lines, bad_lines, INFERRED_FROM_ROWS);
        Content { bytes: text.into_bytes(), good, bad }
    }
}

fn line(rng: &mut fastrand::Rng, number: i64, date: Date, quantity: &str) -> String {
    let (hour, minute) = (rng.u32(5..22), rng.u32(..60));
    let (material, plant) = (rng.u32(..10_000), pick(rng, &["0100", "0200", "0310"]));
    let movement = pick(rng, &["101", "201", "261", "311"]);
    let (unit, aisle, shelf) = (pick(rng, UNITS), rng.u32(1..30), rng.u32(1..9));
    format!(
        "{number},{date} {hour:02}:{minute:02}:00,M-{material:05},{plant},{movement},{quantity},{unit},R{aisle:02}-{shelf}\n"
    )
}

fn bad_line(rng: &mut fastrand::Rng, nth: u64, date: Date) -> String {
    let number = FIRST_NUMBER + 90_000_000 + i64::try_from(nth).unwrap_or_default();
    match nth % 3 {
        0 => line(rng, number, date, "zwölf"),
        1 => format!("{number},2026-02-30 08:00:00,M-00815,0100,101,5,ST,R01-1\n"),
        _ => format!("{number},{date} 08:00:00,M-00815\n"),
    }
}
