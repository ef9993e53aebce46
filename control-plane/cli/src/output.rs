//! Tables, key-value lists, JSON and YAML.

use std::io::{self, Write};
use std::sync::atomic::{AtomicBool, Ordering};

use serde::Serialize;
use tabled::builder::Builder;
use tabled::settings::{Padding, Style};
use towpath_resource::api::Finding;
use towpath_resource::observed::{Condition, Trouble};

use crate::args::{Format, View};
use crate::human::harmless;

static COLOURS: AtomicBool = AtomicBool::new(false);

/// Says whether what is written for people may have colours. Without this, it has none.
pub fn use_colours(wanted: bool) {
    COLOURS.store(wanted, Ordering::Relaxed);
}

/// How something is, at a glance.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Tone {
    /// As it should be.
    Good,
    /// Not quite.
    Doubtful,
    /// Not as it should be.
    Bad,
}

impl Tone {
    /// The tone of a word that the columns `condition` and `verdict` hold.
    pub fn of(word: &str) -> Option<Self> {
        match word {
            "running" | "good" | "ok" => Some(Self::Good),
            "waiting" | "warning" | "unknown" | "paused" => Some(Self::Doubtful),
            "failed" | "FAILED" | "fault" | "deleted" => Some(Self::Bad),
            _ => None,
        }
    }

    /// The text in its colour, where colours are wanted.
    pub fn paint(self, text: &str) -> String {
        if !COLOURS.load(Ordering::Relaxed) {
            return text.to_owned();
        }
        let colour = match self {
            Self::Good => 32,
            Self::Doubtful => 33,
            Self::Bad => 31,
        };
        format!("\u{1b}[{colour}m{text}\u{1b}[0m")
    }
}

/// Between two columns.
const GAP: usize = 3;

/// A table for people: a head, then rows.
pub struct Table {
    head: Vec<String>,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table with these columns.
    pub fn new<'a>(columns: impl IntoIterator<Item = &'a str>) -> Self {
        Self { head: columns.into_iter().map(ToOwned::to_owned).collect(), rows: Vec::new() }
    }

    /// Adds a row.
    pub fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        self.rows.push(cells.into_iter().map(|cell| harmless(&cell)).collect());
    }

    /// Writes it, or `nothing` if it has no rows.
    ///
    /// # Errors
    /// The output cannot be written.
    pub fn write(self, nothing: &str, out: &mut dyn Write) -> io::Result<()> {
        if self.rows.is_empty() {
            return writeln!(out, "{nothing}");
        }
        self.build(&[], true, out)
    }

    /// Writes the rows alone, below those of a table with columns of these widths.
    ///
    /// # Errors
    /// The output cannot be written.
    pub fn write_below(self, widths: &[usize], out: &mut dyn Write) -> io::Result<()> {
        self.build(widths, false, out)
    }

    /// How wide each column is, in characters.
    pub fn widths(&self) -> Vec<usize> {
        let widest = |column: usize| {
            let cells = self.rows.iter().chain([&self.head]).filter_map(|row| row.get(column));
            cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
        };
        (0..self.head.len()).map(widest).collect()
    }

    fn build(self, widths: &[usize], with_head: bool, out: &mut dyn Write) -> io::Result<()> {
        let mut table = Builder::default();
        if with_head {
            table.push_record(self.head.iter().map(|title| title.to_uppercase()));
        }
        for row in &self.rows {
            let cells = row.iter().enumerate().map(|(column, cell)| {
                let width = widths.get(column).copied().unwrap_or(0);
                let padded = format!("{cell:width$}");
                let speaks =
                    self.head.get(column).is_some_and(|title| ["condition", "verdict"].contains(&&**title));
                match Tone::of(cell).filter(|_| speaks) {
                    Some(tone) => tone.paint(&padded),
                    None => padded,
                }
            });
            table.push_record(cells);
        }
        let mut table = table.build();
        table.with(Style::empty()).with(Padding::new(0, GAP, 0, 0));
        for line in table.to_string().lines() {
            writeln!(out, "{}", line.trim_end())?;
        }
        Ok(())
    }
}

/// Writes things that have names, in the form that is asked for.
///
/// # Errors
/// The output cannot be written.
pub fn list<T: Serialize>(
    format: Format,
    items: &[T],
    name: impl Fn(&T) -> String,
    out: &mut dyn Write,
    people: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> io::Result<()> {
    match format {
        Format::Table => people(out),
        Format::Json => json(&items, out),
        Format::Yaml => yaml(&items, out),
        Format::Name => items.iter().try_for_each(|item| writeln!(out, "{}", name(item))),
    }
}

/// Writes one thing in the form that is asked for.
///
/// # Errors
/// The output cannot be written.
pub fn view<T: Serialize>(
    view: View,
    value: &T,
    out: &mut dyn Write,
    people: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> io::Result<()> {
    match view {
        View::Table => people(out),
        View::Json => json(value, out),
        View::Yaml => yaml(value, out),
    }
}

/// Writes one of many things that come one after the other; for programs, as a line or document of its own.
///
/// # Errors
/// The output cannot be written.
pub fn next<T: Serialize>(
    view: View,
    value: &T,
    out: &mut dyn Write,
    people: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> io::Result<()> {
    match view {
        View::Table => people(out),
        View::Json => json_line(value, out),
        View::Yaml => {
            writeln!(out, "---")?;
            yaml(value, out)
        }
    }
}

/// Writes what was looked at, one line each, and what would help below what is not well.
///
/// # Errors
/// The output cannot be written.
pub fn findings(findings: &[Finding], out: &mut dyn Write) -> io::Result<()> {
    for finding in findings {
        let (word, text) = (finding.verdict.as_str(), finding.to_string());
        let mut lines = text.lines().map(harmless);
        if let Some(first) = lines.next() {
            let painted = Tone::of(word).map_or_else(|| word.to_owned(), |tone| tone.paint(word));
            writeln!(out, "{painted}{}", first.strip_prefix(word).unwrap_or(&first))?;
        }
        lines.try_for_each(|line| writeln!(out, "{line}"))?;
    }
    Ok(())
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
