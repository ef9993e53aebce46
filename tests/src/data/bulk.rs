//! Large files for benches: rows of about 226 bytes, ten columns, written as fast as the disk takes them.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

use anyhow::{Context, Result};
use serde_json::{Value, json};

/// The form of a large file.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Shape {
    /// CSV with a header.
    Csv,
    /// JSON lines.
    JsonLines,
}

/// A large file that was written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Bulk {
    /// How many rows it has.
    pub rows: u64,
    /// How many bytes it has.
    pub bytes: u64,
}

const STATES: &[&str] = &["open", "picked", "packed", "shipped", "invoiced", "returned"];
const WORDS: &[&str] = &[
    "Lieferung",
    "pallet",
    "urgent",
    "Rechnung",
    "Köln",
    "warehouse",
    "cold",
    "chain",
    "gate",
    "Süd",
    "customs",
    "hold",
    "sample",
    "batch",
    "export",
    "DDP",
    "incoterm",
    "fragile",
];

impl Shape {
    /// The word for it in tables.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Csv => "csv",
            Self::JsonLines => "json_lines",
        }
    }

    /// How a file source reads it.
    pub fn format(self) -> Value {
        let columns = json!([
            { "name": "seq", "type": "int64" },
            { "name": "order_no", "type": "string" },
            { "name": "customer_no", "type": "int64" },
            { "name": "sku", "type": "string" },
            { "name": "quantity", "type": "int32" },
            { "name": "price", "type": "float64" },
            { "name": "state", "type": "string" },
            { "name": "ordered_at", "type": "timestamp" },
            { "name": "paid", "type": "boolean" },
            { "name": "note", "type": "string" },
        ]);
        match self {
            Self::Csv => json!({ "csv": { "header": true, "columns": columns } }),
            Self::JsonLines => json!({ "json_lines": { "columns": columns } }),
        }
    }

    /// Writes a file of at least `bytes` bytes.
    ///
    /// # Errors
    /// The disk cannot take it.
    pub fn write(self, path: &Path, bytes: u64, seed: u64) -> Result<Bulk> {
        let file = File::create(path).with_context(|| format!("cannot create {}", path.display()))?;
        let mut out = BufWriter::with_capacity(1 << 20, file);
        let mut rng = fastrand::Rng::with_seed(seed);
        let (mut line, mut note) = (Vec::with_capacity(512), String::new());
        let mut written = Bulk { rows: 0, bytes: 0 };
        if self == Self::Csv {
            let header = b"seq,order_no,customer_no,sku,quantity,price,state,ordered_at,paid,note\n";
            out.write_all(header)?;
            written.bytes += header.len() as u64;
        }
        // JSON repeats the names, so its note is shorter for rows of the same length.
        let note_bytes = if self == Self::Csv { 140 } else { 32 };
        while written.bytes < bytes {
            written.rows += 1;
            line.clear();
            fill_note(&mut note, &mut rng, note_bytes);
            self.write_row(&mut line, written.rows, &mut rng, &note)?;
            out.write_all(&line)?;
            written.bytes += line.len() as u64;
        }
        out.into_inner().context("the last block was not written")?.sync_all()?;
        Ok(written)
    }

    fn write_row(self, line: &mut Vec<u8>, seq: u64, rng: &mut fastrand::Rng, note: &str) -> Result<()> {
        let (customer, sku) = (rng.u32(10_000..99_999), rng.u32(100_000..999_999));
        let (quantity, cents) = (rng.u16(1..900), rng.u32(100..900_000));
        let state = STATES[rng.usize(0..STATES.len())];
        let (day, hour, minute, second) = (rng.u8(1..29), rng.u8(0..24), rng.u8(0..60), rng.u8(0..60));
        let (euros, cents, paid) = (cents / 100, cents % 100, rng.bool());
        let at = format_args!("2026-03-{day:02}T{hour:02}:{minute:02}:{second:02}Z");
        match self {
            Self::Csv => writeln!(
                line,
                "{seq},AB-{sku}-{customer},{customer},SKU{sku},{quantity},{euros}.{cents:02},{state},{at},{paid},{note}"
            )?,
            Self::JsonLines => writeln!(
                line,
                "{{\"seq\":{seq},\"order_no\":\"AB-{sku}-{customer}\",\"customer_no\":{customer},\"sku\":\"SKU{sku}\",\
                 \"quantity\":{quantity},\"price\":{euros}.{cents:02},\"state\":\"{state}\",\"ordered_at\":\"{at}\",\
                 \"paid\":{paid},\"note\":\"{note}\"}}"
            )?,
        }
        Ok(())
    }
}

fn fill_note(note: &mut String, rng: &mut fastrand::Rng, bytes: usize) {
    note.clear();
    while note.len() < bytes {
        if !note.is_empty() {
            note.push(' ');
        }
        note.push_str(WORDS[rng.usize(0..WORDS.len())]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_of_the_length_that_the_known_figures_were_measured_with() {
        let directory = tempfile::tempdir().unwrap();
        for shape in [Shape::Csv, Shape::JsonLines] {
            let path = directory.path().join(shape.name());
            let bulk = shape.write(&path, 1 << 20, 1).unwrap();
            let mean = bulk.bytes / bulk.rows;
            assert!((215..238).contains(&mean), "{} rows are {mean} bytes long", shape.name());
            assert_eq!(std::fs::metadata(&path).unwrap().len(), bulk.bytes);
        }
    }

    #[test]
    fn every_json_line_is_json() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("bulk");
        let bulk = Shape::JsonLines.write(&path, 1 << 16, 2).unwrap();
        let text = std::fs::read_to_string(path).unwrap();
        let rows = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        assert!(rows.enumerate().all(|(index, row)| row["seq"] == index + 1));
        assert_eq!(text.lines().count() as u64, bulk.rows);
    }
}
