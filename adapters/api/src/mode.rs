//! How a sink of tables writes rows, what it adds to a table for it, and what it does with a refused row.
//!
//! The words and their meaning are the same in every such sink. In mode `history` a version of a row is told
//! from the others by its key, the time from which it is valid, and a sequence: the place of its change in the
//! lane. The sequence grows with every change, so a change that finds a version later than itself by time and
//! by sequence is a repeat. A clock that steps back does not make one.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::UInt8Type;
use arrow_array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use arrow_schema::{ArrowError, Schema};
use schemars::JsonSchema;
use serde::Deserialize;
use towpath_record::limits::MAX_FRAME_ROWS;
use towpath_record::schema::OP_COLUMN;
use towpath_record::{Column, ColumnType, Link, Op, StreamSchema};

/// How rows are written.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// A row replaces the one with the same key; a delete removes it; a truncate empties the table.
    Upsert,
    /// Every row is added. Deletes and truncates are refused, row by row.
    Append,
    /// As `upsert`, but a delete keeps the row and notes its time in a column.
    SoftDelete,
    /// Every change ends the current version of its row and adds a new one.
    History,
}

/// What is done with a row that a constraint of the target refuses.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnConflict {
    /// The row becomes a dead letter; the others go on.
    #[default]
    DeadLetter,
    /// The route stops with the reason.
    Stop,
}

/// Name of the column with the time of a row's deletion, unless the configuration names another.
pub const DELETED_AT_COLUMN: &str = "_deleted_at";
/// Name of the column with the time from which a version is valid.
pub const VALID_FROM_COLUMN: &str = "_valid_from";
/// Name of the column with the time up to which a version was valid; null while it is current.
pub const VALID_TO_COLUMN: &str = "_valid_to";
/// Name of the column with the place of a version's change in its lane.
pub const SEQUENCE_COLUMN: &str = "_seq";

/// The columns that a version is written with, in the order in which [`with_version`] appends them.
pub const VERSION_COLUMNS: [&str; 3] = [VALID_FROM_COLUMN, OP_COLUMN, SEQUENCE_COLUMN];

impl Mode {
    /// The mode in which rows of this schema are written: the chosen one, or the one that suits the schema.
    ///
    /// # Errors
    /// The chosen mode needs a key and the stream has none, or the stream has a column that the mode adds.
    pub fn of(chosen: Option<Self>, schema: &StreamSchema, deleted_at: &str) -> Result<Self, String> {
        let mode = match chosen {
            None if schema.key().is_empty() => Self::Append,
            None => Self::Upsert,
            Some(mode) => mode,
        };
        if mode.is_keyed() && schema.key().is_empty() {
            return Err(format!(
                "mode `{}` needs a key, and the stream has none; set a key at its source, or use mode `append`",
                mode.as_str()
            ));
        }
        let added = mode.added_columns(deleted_at);
        let taken = added.iter().find(|added| schema.columns().iter().any(|c| c.name == added.name));
        match taken {
            Some(taken) => Err(format!(
                "the stream has a column `{}`, which mode `{}` fills itself; rename it at its source",
                taken.name,
                mode.as_str()
            )),
            None => Ok(mode),
        }
    }

    /// The word for it in a configuration.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Upsert => "upsert",
            Self::Append => "append",
            Self::SoftDelete => "soft_delete",
            Self::History => "history",
        }
    }

    /// Whether rows are told apart by a key.
    pub const fn is_keyed(self) -> bool {
        !matches!(self, Self::Append)
    }

    /// The columns that a table has beside those of its stream.
    pub fn added_columns(self, deleted_at: &str) -> Vec<Column> {
        match self {
            Self::Upsert | Self::Append => Vec::new(),
            Self::SoftDelete => vec![Column::nullable(deleted_at, ColumnType::Timestamp)],
            Self::History => vec![
                Column::required(VALID_FROM_COLUMN, ColumnType::Timestamp),
                Column::nullable(VALID_TO_COLUMN, ColumnType::Timestamp),
                Column::nullable(OP_COLUMN, ColumnType::String),
                Column::required(SEQUENCE_COLUMN, ColumnType::Int64),
            ],
        }
    }

    /// The columns that tell the rows of a table apart, of a stream with this key.
    pub fn primary_key(self, key: &[String]) -> Vec<String> {
        let version: &[&str] = match self {
            Self::Append => return Vec::new(),
            Self::Upsert | Self::SoftDelete => &[],
            Self::History => &[VALID_FROM_COLUMN, SEQUENCE_COLUMN],
        };
        key.iter().cloned().chain(version.iter().map(|name| (*name).to_owned())).collect()
    }

    /// The column that is null in the rows which a reader of the source would see, where some are not.
    pub fn absence_column(self, deleted_at: &str) -> Option<&str> {
        match self {
            Self::Upsert | Self::Append => None,
            Self::SoftDelete => Some(deleted_at),
            Self::History => Some(VALID_TO_COLUMN),
        }
    }
}

/// The place of a row's change in its lane, as one number that grows: a frame has at most 2^20 rows, and the
/// number of a frame is never given twice.
pub fn sequence(link: Link, row: usize) -> i64 {
    let rows = i64::try_from(MAX_FRAME_ROWS).expect("a frame has at most 2^20 rows");
    // A lane that writes a million frames each second comes here after 278,000 years.
    let frame = i64::try_from(link.seq).unwrap_or(i64::MAX);
    frame.saturating_mul(rows).saturating_add(i64::try_from(row).unwrap_or(i64::MAX))
}

/// The batch with the columns [`VERSION_COLUMNS`] behind its own: the time, operation and sequence of each
/// change.
///
/// # Errors
/// The batch is not one of a stream.
pub fn with_version(batch: &RecordBatch, link: Link) -> Result<RecordBatch, ArrowError> {
    let ops = batch.column(0).as_primitive::<UInt8Type>().values();
    let words = ops.iter().map(|code| Op::from_code(*code).map(Op::as_str));
    let version: [ArrayRef; 3] = [
        batch.column(1).clone(),
        Arc::new(words.collect::<StringArray>()),
        Arc::new((0..batch.num_rows()).map(|row| Some(sequence(link, row))).collect::<Int64Array>()),
    ];
    let added = Mode::History.added_columns("");
    let field = |name: &str| added.iter().find(|column| column.name == name).map(Column::to_arrow);
    let mut fields: Vec<_> = batch.schema_ref().fields().iter().map(|field| field.as_ref().clone()).collect();
    fields.extend(VERSION_COLUMNS.into_iter().filter_map(field));
    let columns = batch.columns().iter().cloned().chain(version).collect();
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schema(names: &[&str], key: &[&str]) -> StreamSchema {
        let columns = names.iter().map(|name| Column::nullable(*name, ColumnType::Int64)).collect();
        StreamSchema::new(columns, key.iter().map(|name| (*name).to_owned()).collect()).unwrap()
    }

    #[test]
    fn a_stream_is_written_as_its_key_allows() {
        let of = |chosen, schema: &StreamSchema| Mode::of(chosen, schema, DELETED_AT_COLUMN);
        assert_eq!(of(None, &schema(&["a"], &["a"])), Ok(Mode::Upsert));
        assert_eq!(of(None, &schema(&["a"], &[])), Ok(Mode::Append));
        assert_eq!(of(Some(Mode::Append), &schema(&["a"], &["a"])), Ok(Mode::Append));
        for mode in [Mode::Upsert, Mode::SoftDelete, Mode::History] {
            let said = of(Some(mode), &schema(&["a"], &[])).unwrap_err();
            assert!(said.contains(mode.as_str()) && said.contains("set a key"), "{said}");
        }
    }

    #[test]
    fn a_column_that_a_mode_fills_itself_is_not_taken_from_the_stream() {
        let stream = schema(&["id", "_valid_to", "gone"], &["id"]);
        assert!(Mode::of(Some(Mode::History), &stream, "gone").unwrap_err().contains("`_valid_to`"));
        assert!(Mode::of(Some(Mode::SoftDelete), &stream, "gone").unwrap_err().contains("`gone`"));
        assert_eq!(Mode::of(Some(Mode::Upsert), &stream, "gone"), Ok(Mode::Upsert));
    }

    #[test]
    fn a_sequence_grows_with_every_row_and_frame() {
        let link = |seq| Link { epoch: 1, seq, crc: 0 };
        let last = MAX_FRAME_ROWS - 1;
        let places = [(1, 0), (1, 1), (1, last), (2, 0), (1 << 42, last)];
        assert!(places.map(|(seq, row)| sequence(link(seq), row)).is_sorted_by(|one, next| one < next));
    }
}
