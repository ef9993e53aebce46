//! The feeds: what each is called, what columns it has and how a source is told to read it.

use serde_json::{Value, json};

/// One feed of the imagined ERP.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Feed {
    /// CSV, semicolons, windows-1252, declared types.
    Customers,
    /// CSV, commas, UTF-8, inferred types.
    Orders,
    /// JSON lines, declared types.
    Movements,
    /// Plain text lines.
    Journal,
}

/// What a column's values are, as far as comparing them needs to know.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// A whole number.
    Integer,
    /// A number with a fraction, exact in a double.
    Number,
    /// Text.
    Text,
    /// True or false.
    Boolean,
    /// A calendar date.
    Date,
}

impl Feed {
    /// All feeds.
    pub const ALL: [Self; 4] = [Self::Customers, Self::Orders, Self::Movements, Self::Journal];

    /// The feed's word in file names.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Customers => "customers",
            Self::Orders => "orders",
            Self::Movements => "movements",
            Self::Journal => "journal",
        }
    }

    /// The stream that its rows belong to.
    pub fn stream(self) -> String {
        format!("erp.{}", self.name())
    }

    /// The feed of a stream.
    pub fn of_stream(stream: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|feed| feed.stream() == stream)
    }

    /// The ending of its files before any compression.
    pub const fn extension(self) -> &'static str {
        match self {
            Self::Customers | Self::Orders => "csv",
            Self::Movements => "jsonl",
            Self::Journal => "log",
        }
    }

    /// Its columns in order.
    pub const fn columns(self) -> &'static [(&'static str, Kind)] {
        use Kind::{Boolean, Date, Integer, Number, Text};
        match self {
            Self::Customers => &[
                ("seq", Integer),
                ("customer_no", Text),
                ("name", Text),
                ("city", Text),
                ("credit", Number),
                ("since", Date),
                ("active", Boolean),
            ],
            Self::Orders => &[
                ("seq", Integer),
                ("customer_no", Text),
                ("item", Text),
                ("quantity", Integer),
                ("price", Number),
                ("note", Text),
            ],
            Self::Movements => &[
                ("seq", Integer),
                ("sku", Text),
                ("from", Text),
                ("to", Text),
                ("quantity", Integer),
                ("weight", Number),
                ("day", Date),
            ],
            Self::Journal => &[("line", Text), ("line_number", Integer)],
        }
    }

    /// How a file source reads this feed: one entry of its `files`.
    pub fn file_rule(self) -> Value {
        let format = match self {
            Self::Customers => json!({ "csv": {
                "delimiter": ";", "encoding": "windows-1252", "header": true, "columns": [
                    { "name": "seq", "type": "int64" },
                    { "name": "customer_no", "type": "string" },
                    { "name": "name", "type": "string" },
                    { "name": "city", "type": "string", "nullable": true },
                    { "name": "credit", "type": { "decimal": { "precision": 12, "scale": 2 } } },
                    { "name": "since", "type": "date" },
                    { "name": "active", "type": "boolean" },
                ],
            } }),
            Self::Orders => json!({ "csv": {} }),
            Self::Movements => json!({ "json_lines": { "columns": [
                { "name": "seq", "type": "int64" },
                { "name": "sku", "type": "string" },
                { "name": "from", "type": "string", "nullable": true },
                { "name": "to", "type": "string", "nullable": true },
                { "name": "quantity", "type": "int64" },
                { "name": "weight", "type": "float64" },
                { "name": "day", "type": "date" },
            ] } }),
            Self::Journal => json!({ "lines": {} }),
        };
        json!({
            "include": [format!("{}-*", self.name())],
            "stream": self.stream(),
            "format": format,
            "max_bad_rows": 1_000_000,
        })
    }

    /// The running number and the key that a row's values carry.
    pub fn identify(self, values: &[Option<String>]) -> Option<(u64, String)> {
        match self {
            Self::Journal => {
                let mut words = values.first()?.as_deref()?.split(' ');
                Some((words.next()?.parse().ok()?, words.next()?.to_owned()))
            }
            _ => Some((values.first()?.as_deref()?.parse().ok()?, values.get(1)?.clone()?)),
        }
    }
}

impl Kind {
    /// The one spelling of a value, however a sink spells it: `1` and `true`, `12.50` and `12.5`.
    pub fn canonical(self, text: &str) -> String {
        match self {
            Self::Integer => text.parse::<i128>().map_or_else(|_| text.to_owned(), |n| n.to_string()),
            Self::Number => text.parse::<f64>().map_or_else(|_| text.to_owned(), |n| n.to_string()),
            Self::Boolean => match text {
                "1" => "true".to_owned(),
                "0" => "false".to_owned(),
                _ => text.to_owned(),
            },
            Self::Text | Self::Date => text.to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_value_has_one_spelling() {
        assert_eq!(Kind::Number.canonical("12.50"), Kind::Number.canonical("12.5"));
        assert_eq!(Kind::Boolean.canonical("1"), Kind::Boolean.canonical("true"));
        assert_ne!(Kind::Text.canonical("007"), Kind::Text.canonical("7"));
    }

    #[test]
    fn a_stream_leads_back_to_its_feed() {
        for feed in Feed::ALL {
            assert_eq!(Feed::of_stream(&feed.stream()), Some(feed));
        }
    }
}
