//! What is known of a file before its first record: its columns, and how each is read.

use std::collections::BTreeSet;

use towpath_record::limits::{MAX_COLUMNS, MAX_NAME_BYTES};
use towpath_record::schema::{OP_COLUMN, TS_COLUMN, TX_COLUMN};
use towpath_record::{Column, ColumnType};

use super::Splitter;
use super::csv::CsvSplitter;
use super::json_lines::{JsonSplitter, UnknownFields};
use super::lines::LineSplitter;
use crate::columns::{
    ColumnPlan, ColumnSet, FILE_COLUMN, FileFacts, LINE_COLUMN, NullRule, ValueSource, provenance,
};
use crate::config::{CsvFormat, DeclaredColumn, FileRule, Format, JsonLinesFormat};
use crate::infer::{InferredColumn, infer};
use crate::read::{BLOCK_BYTES, ReadFault, TextReader, clean};
use crate::table::Table;

/// How much text types are inferred from, whatever the number of rows.
const SAMPLE_BYTES: usize = 1 << 20;
/// How many bytes of inferred columns a position has room for.
const MAX_INFERRED_BYTES: usize = 8 << 10;
/// Leaves room for the reserved columns and those of provenance.
const MAX_INFERRED_COLUMNS: usize = MAX_COLUMNS - 10;

/// What a file is opened with.
pub(crate) struct Opening<'a> {
    pub(crate) rule: &'a FileRule,
    pub(crate) facts: &'a FileFacts,
    pub(crate) provenance: bool,
    /// The columns that were inferred when this file was read before.
    pub(crate) known: Option<Vec<InferredColumn>>,
}

/// A file whose columns are known.
pub(crate) struct Opened {
    pub(crate) splitter: Box<dyn Splitter>,
    pub(crate) columns: ColumnSet,
    /// The columns if they were inferred.
    pub(crate) inferred: Option<Vec<InferredColumn>>,
}

/// Reads what stands before the first record, and infers types where none are declared. The text's window is then
/// at the first record.
///
/// # Errors
/// The file cannot be read, or its header is not what was declared.
pub(crate) fn open(opening: Opening<'_>, text: &mut TextReader) -> Result<Opened, ReadFault> {
    match &opening.rule.format {
        Format::Csv(format) => open_csv(opening, format, text),
        Format::JsonLines(format) => open_json_lines(opening, format, text),
        Format::Lines(_) => {
            let field = |name: &str, column_type, from| ColumnPlan {
                column: Column::required(name, column_type),
                format: None,
                from,
            };
            let plans = vec![
                field("line", ColumnType::String, ValueSource::Field(0)),
                field("line_number", ColumnType::Uint64, ValueSource::LineNumber),
            ];
            let splitter = Box::new(LineSplitter::new(longest(opening.rule)));
            Ok(Opened { splitter, columns: opening.columns(plans, NullRule::default())?, inferred: None })
        }
    }
}

/// Adds the new fields at the window's beginning to the columns. Where no more columns can be had, the splitter
/// refuses rows with new fields from then on.
///
/// # Errors
/// The file cannot be read.
pub(crate) fn grow(
    opening: &Opening<'_>,
    splitter: &mut dyn Splitter,
    text: &mut TextReader,
) -> Result<(ColumnSet, Vec<InferredColumn>), ReadFault> {
    let known = opening.known.as_ref().map_or(0, Vec::len);
    let inferred = sample_fields(opening, splitter, text)?;
    if inferred.len() == known {
        splitter.stop_learning();
    }
    let columns = opening.columns(opening.inferred_plans(&inferred), NullRule::default())?;
    Ok((columns, inferred))
}

/// Whether inferred columns fit into a position.
pub(crate) fn fits_position(inferred: &[InferredColumn]) -> bool {
    encoded_bytes(inferred) <= MAX_INFERRED_BYTES
}

fn encoded_bytes(inferred: &[InferredColumn]) -> usize {
    inferred.iter().map(|column| column.name.len() + 4).sum()
}

fn longest(rule: &FileRule) -> usize {
    usize::try_from(rule.max_record_bytes.0).unwrap_or(usize::MAX)
}

fn open_csv(opening: Opening<'_>, format: &CsvFormat, text: &mut TextReader) -> Result<Opened, ReadFault> {
    let nulls = NullRule { texts: format.null_values.clone(), quoted_empty: true };
    let declared_width = format.columns.as_ref().filter(|_| !format.header).map_or(0, Vec::len);
    let mut splitter = CsvSplitter::new(format, declared_width, longest(opening.rule));
    let header = if format.header { read_header(&mut splitter, text, longest(opening.rule))? } else { None };
    if let Some(declared) = &format.columns {
        let plans = match header {
            Some(names) => match_header(declared, &names, format.ignore_unknown_columns)?,
            None => declared.iter().enumerate().map(|(index, column)| plan(column, index)).collect(),
        };
        let columns = opening.columns(plans, nulls)?;
        return Ok(Opened { splitter: Box::new(splitter), columns, inferred: None });
    }
    let inferred = match opening.known.clone() {
        Some(known) => {
            let line = splitter.line();
            splitter = CsvSplitter::new(format, known.len(), longest(opening.rule));
            splitter.set_line(line);
            known
        }
        None => {
            let sample = Sample::take(&mut splitter, text, opening.sample())?;
            let width = splitter.width();
            let mut names = header.unwrap_or_default();
            names.resize(width, String::new());
            let types = (0..width).map(|column| sample.column_type(column, &nulls, false));
            names
                .into_iter()
                .zip(types)
                .map(|(name, column_type)| InferredColumn { name, column_type })
                .collect()
        }
    };
    let columns = opening.columns(opening.inferred_plans(&inferred), nulls)?;
    Ok(Opened { splitter: Box::new(splitter), columns, inferred: Some(inferred) })
}

/// The names in the first record, `None` in a file without records.
fn read_header(
    splitter: &mut CsvSplitter,
    text: &mut TextReader,
    longest: usize,
) -> Result<Option<Vec<String>>, ReadFault> {
    let mut table = Table::default();
    let mut wanted = BLOCK_BYTES;
    loop {
        text.fill(wanted)?;
        let ended = text.has_ended();
        let read = clean(text.window(), text.is_transcoded());
        table.reset(0);
        let line = splitter.line();
        let split = splitter.split(&read.text, ended, 1, &mut table);
        if let Some(refused) = table.refused().first() {
            return Err(ReadFault::Damaged(format!("the header cannot be read: {}", refused.reason)));
        }
        if let Some(row) = table.rows().first() {
            if let Some(flaw) = read.flaws.iter().find(|flaw| row.range().contains(&flaw.at)) {
                return Err(ReadFault::Damaged(format!("the header cannot be read: {}", flaw.kind.reason())));
            }
            let name = |column| table.field(&read.text, 0, column).map_or("", |field| field.text);
            let names = (0..splitter.width()).map(|column| name(column).to_owned()).collect();
            text.consume(split.consumed);
            return Ok(Some(names));
        }
        if text.at_end() {
            return Ok(None);
        }
        if text.window().len() > longest.max(BLOCK_BYTES) {
            return Err(ReadFault::Damaged("the header cannot be read: it has no end".into()));
        }
        text.damage()?;
        splitter.set_line(line);
        wanted = text.window().len() * 2;
    }
}

fn plan(declared: &DeclaredColumn, index: usize) -> ColumnPlan {
    ColumnPlan { column: declared.column(), format: declared.format.clone(), from: ValueSource::Field(index) }
}

/// Finds each declared column in a header.
fn match_header(
    declared: &[DeclaredColumn],
    header: &[String],
    ignore_unknown: bool,
) -> Result<Vec<ColumnPlan>, ReadFault> {
    let unknown = header.iter().find(|name| !declared.iter().any(|column| column.name == **name));
    if let Some(name) = unknown.filter(|_| !ignore_unknown) {
        return Err(ReadFault::Damaged(format!(
            "its header has the column {name:?}, which is not declared; declare it or set ignore_unknown_columns"
        )));
    }
    let find = |column: &DeclaredColumn| {
        let mut places = header.iter().enumerate().filter(|(_, name)| **name == column.name);
        match (places.next(), places.next()) {
            (Some((index, _)), None) => Ok(plan(column, index)),
            (Some(_), Some(_)) => Err(ReadFault::Damaged(format!("its header has {:?} twice", column.name))),
            (None, _) => Err(ReadFault::Damaged(format!(
                "its header lacks the declared column {:?}; it has: {}",
                column.name,
                header.join(", ")
            ))),
        }
    };
    declared.iter().map(find).collect()
}

fn open_json_lines(
    opening: Opening<'_>,
    format: &JsonLinesFormat,
    text: &mut TextReader,
) -> Result<Opened, ReadFault> {
    let longest = longest(opening.rule);
    if let Some(declared) = &format.columns {
        let unknown =
            if format.ignore_unknown_fields { UnknownFields::Ignore } else { UnknownFields::Refuse };
        let names = declared.iter().map(|column| column.name.clone()).collect();
        let plans = declared.iter().enumerate().map(|(index, column)| plan(column, index)).collect();
        let columns = opening.columns(plans, NullRule::default())?;
        let splitter = Box::new(JsonSplitter::new(names, unknown, longest));
        return Ok(Opened { splitter, columns, inferred: None });
    }
    let mut splitter = JsonSplitter::new(Vec::new(), UnknownFields::Grow, longest);
    let inferred = match opening.known.clone() {
        Some(known) => {
            splitter.learn(known.iter().map(|column| column.name.clone()).collect());
            known
        }
        None => sample_fields(&opening, &mut splitter, text)?,
    };
    let columns = opening.columns(opening.inferred_plans(&inferred), NullRule::default())?;
    Ok(Opened { splitter: Box::new(splitter), columns, inferred: Some(inferred) })
}

/// Teaches the splitter the fields at the window's beginning, and infers the types of those that are new.
fn sample_fields(
    opening: &Opening<'_>,
    splitter: &mut dyn Splitter,
    text: &mut TextReader,
) -> Result<Vec<InferredColumn>, ReadFault> {
    let (bytes, rows) = opening.sample();
    text.fill(bytes)?;
    let sample = clean(&text.window()[..text.window().len().min(bytes)], text.is_transcoded());
    let mut new = splitter.unknown_fields(&sample.text, rows);
    let mut inferred = opening.known.clone().unwrap_or_default();
    let known_bytes = encoded_bytes(&inferred);
    // A position must be able to hold the columns, so the fields that are too many stay unknown.
    let fitting = new.iter().scan(known_bytes, |sum, name| {
        *sum += name.len() + 4;
        Some(*sum)
    });
    new.truncate(fitting.take_while(|sum| *sum <= MAX_INFERRED_BYTES).count());
    new.truncate(MAX_INFERRED_COLUMNS.saturating_sub(inferred.len()));
    splitter.learn(new.clone());
    let sample = Sample::take(splitter, text, (bytes, rows))?;
    for name in new {
        let column_type = sample.column_type(inferred.len(), &NullRule::default(), true);
        inferred.push(InferredColumn { name, column_type });
    }
    Ok(inferred)
}

impl Opening<'_> {
    /// How many bytes and rows types are inferred from. Even the longest record must fit.
    fn sample(&self) -> (usize, usize) {
        let rows = match &self.rule.format {
            Format::Csv(format) => format.infer_rows,
            Format::JsonLines(format) => format.infer_rows,
            Format::Lines(_) => 1,
        };
        (SAMPLE_BYTES.max(longest(self.rule)), rows.max(1))
    }

    fn columns(&self, mut plans: Vec<ColumnPlan>, nulls: NullRule) -> Result<ColumnSet, ReadFault> {
        if self.provenance {
            plans.extend(provenance());
        }
        ColumnSet::new(plans, &self.rule.key, nulls, self.facts.clone())
            .map_err(|error| ReadFault::Damaged(format!("its columns cannot form a schema: {error}")))
    }

    fn inferred_plans(&self, inferred: &[InferredColumn]) -> Vec<ColumnPlan> {
        let names = fit_names(inferred.iter().map(|column| &*column.name));
        let plan = |(index, (name, column)): (usize, (String, &InferredColumn))| ColumnPlan {
            column: Column::nullable(name, column.column_type.clone()),
            format: None,
            from: ValueSource::Field(index),
        };
        names.into_iter().zip(inferred).enumerate().map(plan).collect()
    }
}

/// Makes names fit for a schema: an empty one is called by its place, a repeated or reserved one gets a number, a
/// control character becomes `_`, and what is too long is cut.
fn fit_names<'a>(names: impl Iterator<Item = &'a str>) -> Vec<String> {
    const NUMBER_BYTES: usize = 8;
    let reserved = [OP_COLUMN, TS_COLUMN, TX_COLUMN, FILE_COLUMN, LINE_COLUMN];
    let mut taken: BTreeSet<String> = reserved.map(str::to_owned).into();
    let mut fitted = Vec::new();
    for (index, name) in names.enumerate() {
        let mut base = name.replace(char::is_control, "_");
        base.truncate(base.floor_char_boundary(MAX_NAME_BYTES - NUMBER_BYTES));
        if base.is_empty() {
            base = format!("column_{}", index + 1);
        }
        let numbered = (2u32..).map(|number| format!("{base}_{number}"));
        let free = std::iter::once(base.clone()).chain(numbered).find(|name| !taken.contains(name));
        let name = free.unwrap_or(base);
        taken.insert(name.clone());
        fitted.push(name);
    }
    fitted
}

/// The first rows of a text, split.
struct Sample {
    text: String,
    table: Table,
    flawed: BTreeSet<usize>,
}

impl Sample {
    /// Looks at the first rows without consuming them.
    fn take(
        splitter: &mut dyn Splitter,
        text: &mut TextReader,
        (bytes, rows): (usize, usize),
    ) -> Result<Self, ReadFault> {
        text.fill(bytes)?;
        let window = text.window();
        let seen = &window[..window.len().min(bytes)];
        let ended = text.has_ended() && seen.len() == window.len();
        let read = clean(seen, text.is_transcoded());
        let mut table = Table::default();
        table.reset(splitter.width());
        let line = splitter.line();
        splitter.split(&read.text, ended, rows, &mut table);
        splitter.set_line(line);
        let flawed = read.flaws.iter().filter_map(|flaw| table.row_at(flaw.at)).collect();
        Ok(Self { text: read.text.into_owned(), table, flawed })
    }

    fn column_type(&self, column: usize, nulls: &NullRule, quotes_mean_text: bool) -> ColumnType {
        infer(&self.text, &self.table, &self.flawed, column, nulls, quotes_mean_text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_made_fit_for_a_schema() {
        let long = "ü".repeat(150);
        let names = ["id", "", "id", "_op", "id_2", "a\tb", &long];
        let fitted = fit_names(names.into_iter());
        assert_eq!(fitted[..6], ["id", "column_2", "id_2", "_op_2", "id_2_2", "a_b"]);
        assert_eq!(fitted[6].len(), 192);
    }
}
