//! Tables, key-value lists, JSON and YAML.

use std::io::{self, Write};

use serde::Serialize;
use tabled::builder::Builder;
use tabled::settings::{Padding, Style};
use towpath_resource::observed::{Condition, Trouble};

use crate::human::harmless;

/// A table for people: a head, then rows.
pub struct Table {
    rows: Builder,
    is_empty: bool,
}

impl Table {
    /// A table with these columns.
    pub fn new<'a>(columns: impl IntoIterator<Item = &'a str>) -> Self {
        let mut rows = Builder::default();
        rows.push_record(columns.into_iter().map(str::to_uppercase));
        Self { rows, is_empty: true }
    }

    /// Adds a row.
    pub fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        self.rows.push_record(cells.into_iter().map(|cell| harmless(&cell)));
        self.is_empty = false;
    }

    /// Writes it, or `nothing` if it has no rows.
    ///
    /// # Errors
    /// The output cannot be written.
    pub fn write(self, nothing: &str, out: &mut dyn Write) -> io::Result<()> {
        if self.is_empty {
            return writeln!(out, "{nothing}");
        }
        let mut table = self.rows.build();
        table.with(Style::empty()).with(Padding::new(0, 3, 0, 0));
        for line in table.to_string().lines() {
            writeln!(out, "{}", line.trim_end())?;
        }
        Ok(())
    }
}

/// Writes a value as JSON.
///
/// # Errors
/// The output cannot be written.
pub fn json<T: Serialize>(value: &T, out: &mut dyn Write) -> io::Result<()> {
    let text = serde_json::to_string_pretty(value).map_err(io::Error::other)?;
    writeln!(out, "{text}")
}

/// Writes a value as one line of JSON.
///
/// # Errors
/// The output cannot be written.
pub fn json_line<T: Serialize>(value: &T, out: &mut dyn Write) -> io::Result<()> {
    let text = serde_json::to_string(value).map_err(io::Error::other)?;
    writeln!(out, "{text}")
}

/// Writes a value as a YAML document.
///
/// # Errors
/// The output cannot be written.
pub fn yaml<T: Serialize>(value: &T, out: &mut dyn Write) -> io::Result<()> {
    let text = serde_saphyr::to_string(value).map_err(io::Error::other)?;
    write!(out, "{text}")
}

/// Writes `key  value` lines with the values below each other.
///
/// # Errors
/// The output cannot be written.
pub fn fields(indent: &str, fields: &[(&str, String)], out: &mut dyn Write) -> io::Result<()> {
    let width = fields.iter().map(|(key, _)| key.len()).max().unwrap_or(0);
    for (key, value) in fields.iter().filter(|(_, value)| !value.is_empty()) {
        writeln!(out, "{indent}{key:width$}  {}", harmless(value))?;
    }
    Ok(())
}

/// The word for a condition.
pub const fn condition(condition: Condition) -> &'static str {
    match condition {
        Condition::Running => "running",
        Condition::Waiting => "waiting",
        Condition::Failed => "failed",
        Condition::Unknown => "unknown",
    }
}

/// What is wrong and what would help, in one line; nothing if all is well.
pub fn trouble(trouble: Option<&Trouble>) -> String {
    match trouble {
        None => String::new(),
        Some(Trouble { message, remedy, .. }) if remedy.is_empty() => message.clone(),
        Some(Trouble { message, remedy, .. }) => format!("{message}; {remedy}"),
    }
}
