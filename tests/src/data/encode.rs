//! Rows as the bytes of a file, as a legacy system would write them.

use std::io::Write;

use anyhow::Result;
use serde_json::{Map, Number, Value};

use crate::data::feed::{Feed, Kind};
use crate::data::row::Row;

/// What stands on one line of a file.
#[derive(Clone, Debug)]
pub enum Line {
    /// A row.
    Good(Row),
    /// Something that cannot become a row; the number chooses what is wrong with it.
    Bad(u8),
}

/// What is around the bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Wrapping {
    /// Nothing.
    None,
    /// gzip.
    Gzip,
    /// Zstandard.
    Zstd,
}

impl Wrapping {
    /// The ending it adds to a file name.
    pub const fn extension(self) -> &'static str {
        match self {
            Self::None => "",
            Self::Gzip => ".gz",
            Self::Zstd => ".zst",
        }
    }

    /// Wraps bytes.
    ///
    /// # Errors
    /// The compressor failed.
    pub fn wrap(self, bytes: Vec<u8>) -> Result<Vec<u8>> {
        Ok(match self {
            Self::None => bytes,
            Self::Gzip => {
                let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
                encoder.write_all(&bytes)?;
                encoder.finish()?
            }
            Self::Zstd => zstd::encode_all(&bytes[..], 1)?,
        })
    }
}

/// The bytes of a file that holds these lines, not wrapped. A file's last line has no line end in every other file.
pub fn file(feed: Feed, lines: &[Line], last_line_end: bool) -> Vec<u8> {
    let mut out = Vec::new();
    let end: &[u8] = if feed == Feed::Customers { b"\r\n" } else { b"\n" };
    if matches!(feed, Feed::Customers | Feed::Orders) {
        let names: Vec<_> = feed.columns().iter().map(|(name, _)| Some((*name).to_owned())).collect();
        out.extend_from_slice(&csv_record(feed, &names));
        out.extend_from_slice(end);
    }
    for line in lines {
        match (feed, line) {
            (Feed::Customers | Feed::Orders, Line::Good(row)) => {
                out.extend_from_slice(&csv_record(feed, &row.values));
            }
            (Feed::Movements, Line::Good(row)) => out.extend_from_slice(json(feed, row).as_bytes()),
            (Feed::Journal, Line::Good(row)) => {
                out.extend_from_slice(row.values[0].as_deref().unwrap_or_default().as_bytes());
            }
            (feed, Line::Bad(choice)) => out.extend_from_slice(bad(feed, *choice)),
        }
        out.extend_from_slice(end);
    }
    if !last_line_end {
        out.truncate(out.len() - end.len());
    }
    out
}

/// What is wrong with a bad line. Types that are inferred are not tested by a value of another type, which
/// would only change what is inferred.
fn bad(feed: Feed, choice: u8) -> &'static [u8] {
    const CUSTOMERS: [&[u8]; 3] = [
        b"kaputt;0000001;Name;City;1.00;2020-01-01;true",
        b"17;0000001;Name;City;1.00;2020-02-31;true",
        b"17;0000001;too;few",
    ];
    const ORDERS: [&[u8]; 2] = [b"17,K000001,too few", b"17,K000001,item,1,1.25,note,one too many"];
    const MOVEMENTS: [&[u8]; 3] = [
        b"{\"seq\": 17, \"sku\": ",
        b"not json at all",
        b"{\"seq\":\"many\",\"sku\":\"S\",\"quantity\":1,\"weight\":1.5,\"day\":\"2020-01-01\"}",
    ];
    const JOURNAL: [&[u8]; 2] = [b"17 user1 broken \xff\xfe text", b"\xc3"];
    let of = |lines: &'static [&'static [u8]]| lines[usize::from(choice) % lines.len()];
    match feed {
        Feed::Customers => of(&CUSTOMERS),
        Feed::Orders => of(&ORDERS),
        Feed::Movements => of(&MOVEMENTS),
        Feed::Journal => of(&JOURNAL),
    }
}

fn csv_record(feed: Feed, values: &[Option<String>]) -> Vec<u8> {
    let delimiter = if feed == Feed::Customers { ';' } else { ',' };
    let special = |c: char| c == delimiter || matches!(c, '"' | '\n' | '\r');
    let field = |value: &Option<String>| match value {
        None => String::new(),
        Some(text) if text.contains(special) => format!("\"{}\"", text.replace('"', "\"\"")),
        Some(text) => text.clone(),
    };
    let text = values.iter().map(field).collect::<Vec<_>>().join(&delimiter.to_string());
    match feed {
        Feed::Customers => encoding_rs::WINDOWS_1252.encode(&text).0.into_owned(),
        _ => text.into_bytes(),
    }
}

fn json(feed: Feed, row: &Row) -> String {
    let member = |((name, kind), value): (&(&str, Kind), &Option<String>)| {
        let value = match (kind, value) {
            (_, None) => Value::Null,
            (Kind::Integer, Some(text)) => text.parse::<i64>().map_or(Value::Null, Value::from),
            (Kind::Number, Some(text)) => {
                text.parse().ok().and_then(Number::from_f64).map_or(Value::Null, Value::Number)
            }
            (_, Some(text)) => Value::String(text.clone()),
        };
        ((*name).to_owned(), value)
    };
    Value::Object(feed.columns().iter().zip(&row.values).map(member).collect::<Map<_, _>>()).to_string()
}
