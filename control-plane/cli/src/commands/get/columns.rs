//! What is shown of things in a table.

use serde_json::Value;

use crate::args::Listing;
use crate::human;
use crate::output::Table;

type Column = (&'static str, &'static str);

const OF_STREAMS: &[Column] = &[
    ("records", "/records"),
    ("bytes", BYTES),
    ("dead letters", "/dead_letters"),
    ("sources", "/sources"),
    ("routes", "/routes"),
];

/// The one column of bytes, which people read in larger units.
const BYTES: &str = "/bytes";

/// The columns of things of one sort.
pub(super) struct Columns {
    listing: Listing,
    name: &'static str,
    others: &'static [Column],
}

impl Columns {
    pub(super) fn of(listing: Listing) -> Self {
        match listing {
            Listing::Streams => Self { listing, name: "/name", others: OF_STREAMS },
            Listing::Resources(kind) => Self { listing, name: "/metadata/name", others: kind.columns() },
        }
    }

    pub(super) fn are_resources(&self) -> bool {
        self.listing != Listing::Streams
    }

    pub(super) fn titles(&self) -> impl Iterator<Item = &'static str> {
        std::iter::once("name").chain(self.others.iter().map(|(title, _)| *title))
    }

    /// Where the values of a column stand.
    pub(super) fn pointer(&self, title: &str) -> Option<&'static str> {
        let titled = self.others.iter().find(|(known, _)| *known == title);
        titled.map(|(_, pointer)| *pointer).or_else(|| (title == "name").then_some(self.name))
    }

    /// The name, with its kind where that can be another.
    pub(super) fn name(&self, item: &Value) -> String {
        let name = text(item, self.name);
        match self.listing {
            Listing::Streams => name,
            Listing::Resources(kind) => format!("{}/{name}", kind.noun()),
        }
    }

    /// What to say when there are none.
    pub(super) fn nothing(&self) -> String {
        match self.listing {
            Listing::Streams => "there are no streams yet".to_owned(),
            Listing::Resources(kind) => format!("there are no {}", kind.plural()),
        }
    }

    pub(super) fn table(&self, items: &[Value]) -> Table {
        let mut table = Table::new(self.titles());
        for item in items {
            table.row(self.cells(item));
        }
        table
    }

    pub(super) fn cells(&self, item: &Value) -> Vec<String> {
        let others = self.others.iter().map(|(_, pointer)| text(item, pointer));
        std::iter::once(text(item, self.name)).chain(others).collect()
    }
}

/// A value for a table cell.
fn text(item: &Value, pointer: &str) -> String {
    match item.pointer(pointer) {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) => text.clone(),
        Some(Value::Array(items)) => items.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(", "),
        Some(Value::Object(members)) => {
            let pairs =
                members.iter().map(|(key, value)| format!("{key}={}", value.as_str().unwrap_or_default()));
            pairs.collect::<Vec<_>>().join(", ")
        }
        Some(Value::Number(number)) if pointer == BYTES => human::bytes(number.as_f64().unwrap_or(0.0)),
        Some(Value::Number(number)) => number.as_u64().map_or_else(|| number.to_string(), human::count),
        Some(other) => other.to_string(),
    }
}
