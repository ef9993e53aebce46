//! The rows of a frame as text.

use arrow_array::cast::AsArray;
use arrow_array::types::UInt8Type;
use arrow_array::{Array, RecordBatch};
use arrow_schema::ArrowError;
use towpath_adapter_api::mode::{self, VERSION_COLUMNS};
use towpath_adapter_api::{Mode, Rejection, merge};
use towpath_record::schema::RESERVED_COLUMNS;
use towpath_record::{Link, Op};

use crate::encode::{EncodedRows, fields};

/// The reserved column with the time of a change.
const TS: usize = 1;

/// The rows of a frame.
pub(crate) struct Frame {
    pub(crate) ops: Vec<Option<Op>>,
    pub(crate) rows: EncodedRows,
    /// In every mode but `append`.
    pub(crate) keys: Option<EncodedRows>,
    /// In modes that keep rows: keys with what is noted of an end.
    ends: Option<EncodedRows>,
    /// For each row the columns that it leaves as they are; empty if no row does.
    pub(crate) unchanged: Vec<Vec<usize>>,
    times: EncodedRows,
    link: Link,
}

impl Frame {
    /// Encodes a batch for a table that is written in this mode, whose key columns are `key`.
    ///
    /// # Errors
    /// A column's type is unknown.
    pub(crate) fn encode(
        batch: &RecordBatch,
        mode: Mode,
        key: &[usize],
        link: Link,
        mut unchanged: Vec<Vec<usize>>,
    ) -> Result<Self, ArrowError> {
        let key: Vec<_> = key.iter().map(|column| column + RESERVED_COLUMNS).collect();
        let without_null = |row| match key.iter().any(|i| batch.column(*i).is_null(row)) {
            true => Some("a key column is null, so the row cannot be told from others"),
            false => None,
        };
        let keys = match mode {
            Mode::Append => None,
            Mode::Upsert | Mode::SoftDelete | Mode::History => {
                Some(EncodedRows::new(batch, &key, without_null)?)
            }
        };
        let mut batch = match &keys {
            Some(keys) => merge::resolve(batch, |row| keys.row(row).ok(), &mut unchanged)?,
            None => batch.clone(),
        };
        let mut noted = vec![TS];
        if mode == Mode::History {
            batch = mode::with_version(&batch, link)?;
            noted = (batch.num_columns() - VERSION_COLUMNS.len()..batch.num_columns()).collect();
        }
        let ends = match mode {
            Mode::Append | Mode::Upsert => None,
            Mode::SoftDelete | Mode::History => {
                Some(EncodedRows::new(&batch, &[&key[..], &noted].concat(), |_| None)?)
            }
        };
        let columns: Vec<_> = (RESERVED_COLUMNS..batch.num_columns()).collect();
        let ops = batch.column(0).as_primitive::<UInt8Type>().values();
        let ops: Vec<_> = ops.iter().map(|code| Op::from_code(*code)).collect();
        // Only a truncate's time is asked for by itself.
        let not_truncate = |row: usize| (ops[row] != Some(Op::Truncate)).then_some("");
        Ok(Self {
            rows: EncodedRows::new(&batch, &columns, |_| None)?,
            times: EncodedRows::new(&batch, &[TS], not_truncate)?,
            ops,
            keys,
            ends,
            unchanged,
            link,
        })
    }

    /// What is loaded of the rows that end others.
    pub(crate) fn ends(&self) -> Option<&EncodedRows> {
        self.ends.as_ref().or(self.keys.as_ref())
    }

    /// When a truncate came, as MySQL writes a time.
    pub(crate) fn time(&self, row: usize) -> Option<&str> {
        let line = self.times.row(row).ok()?;
        fields(line).next().flatten().and_then(|text| std::str::from_utf8(text).ok())
    }

    /// The place of a row's change in its lane.
    pub(crate) fn sequence(&self, row: usize) -> i64 {
        mode::sequence(self.link, row)
    }

    /// The rows to be written, and those that never can be.
    pub(crate) fn sort_out(&self) -> (Vec<usize>, Vec<Rejection>) {
        let (mut accepted, mut rejections) = (Vec::with_capacity(self.ops.len()), Vec::new());
        for row in 0..self.ops.len() {
            match self.fault(row) {
                None => accepted.push(row),
                Some(reason) => rejections.push(rejection(row, reason)),
            }
        }
        (accepted, rejections)
    }

    fn fault(&self, row: usize) -> Option<String> {
        let encoded = |rows: &EncodedRows| rows.row(row).err().cloned();
        match (self.ops[row], &self.keys) {
            (None, _) => Some("the row's operation is not known here; upgrade the agent".to_owned()),
            (Some(Op::Truncate), Some(_)) => encoded(&self.times),
            (Some(Op::Delete), Some(keys)) => encoded(keys).or_else(|| self.ends.as_ref().and_then(encoded)),
            (Some(Op::Delete | Op::Truncate), None) => Some(
                "mode `append` takes no deletes and no truncates; use mode `upsert` on a stream with a key"
                    .to_owned(),
            ),
            (Some(Op::Create | Op::Update | Op::Read), keys) => {
                keys.as_ref().and_then(encoded).or_else(|| encoded(&self.rows))
            }
        }
    }
}

/// A row that is refused.
pub(crate) fn rejection(row: usize, reason: String) -> Rejection {
    Rejection { row: u32::try_from(row).expect("a frame has at most 2^20 rows"), reason }
}
