//! The schema of a stream: its columns, its key, and the hash by which frames refer to it.
//!
//! The canonical form is JSON without white space, members in the order of the Rust fields, absent options left
//! out. The hash is BLAKE3-256 of that form, so equal schemas have equal hashes on every machine.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use arrow_schema::{DataType, Field, Schema, SchemaRef, TimeUnit};
use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::column::{Column, ColumnType};
use crate::limits::{MAX_COLUMN_DEPTH, MAX_COLUMNS, MAX_NAME_BYTES, MAX_SCHEMA_BYTES};

/// Name of the reserved column that says what happened to the row, as an [`Op`] code.
pub const OP_COLUMN: &str = "_op";
/// Name of the reserved column with the source's commit time, in microseconds since 1970-01-01 UTC.
pub const TS_COLUMN: &str = "_ts";
/// Name of the reserved column with the source's transaction, where it has one.
pub const TX_COLUMN: &str = "_tx";
/// Name of the column, where a stream has it, that lists the columns whose values the source did not send because
/// they did not change: a list of text. Such values are null in their own columns.
pub const UNCHANGED_COLUMN: &str = "_unchanged";
/// Name of the column, where a stream has it, with the row as it was before the change, a struct.
pub const BEFORE_COLUMN: &str = "_before";
/// How many reserved columns lead every record batch.
pub const RESERVED_COLUMNS: usize = 3;

/// What happened to a row.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum Op {
    /// The row is new.
    Create = 1,
    /// The row has new values.
    Update = 2,
    /// The row is gone; only its key is sure to be present.
    Delete = 3,
    /// The row was there when a snapshot read it.
    Read = 4,
    /// All rows of the table are gone.
    Truncate = 5,
}

impl Op {
    /// The operation with this code in the `_op` column.
    pub const fn from_code(code: u8) -> Option<Self> {
        Some(match code {
            1 => Self::Create,
            2 => Self::Update,
            3 => Self::Delete,
            4 => Self::Read,
            5 => Self::Truncate,
            _ => return None,
        })
    }

    /// The code of this operation in the `_op` column.
    pub const fn code(self) -> u8 {
        self as u8
    }

    /// The word for this operation in text formats.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Update => "update",
            Self::Delete => "delete",
            Self::Read => "read",
            Self::Truncate => "truncate",
        }
    }
}

/// BLAKE3-256 of a schema's canonical form. As text it is hexadecimal.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct SchemaHash(pub [u8; 32]);

/// A text that is no schema hash.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no schema hash, which is 64 hexadecimal digits")]
pub struct SchemaHashError(String);

impl TryFrom<String> for SchemaHash {
    type Error = SchemaHashError;

    fn try_from(text: String) -> Result<Self, SchemaHashError> {
        match blake3::Hash::from_hex(&text) {
            Ok(hash) => Ok(Self(*hash.as_bytes())),
            Err(_) => Err(SchemaHashError(text)),
        }
    }
}

impl From<SchemaHash> for String {
    fn from(hash: SchemaHash) -> Self {
        hash.to_string()
    }
}

impl fmt::Display for SchemaHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for SchemaHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SchemaHash({self})")
    }
}

/// Why a schema is not acceptable.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SchemaError {
    /// The canonical form cannot be read.
    #[error("the schema is not in its canonical form: {0}")]
    Malformed(String),
    /// A limit is exceeded.
    #[error("the schema has {found} {what}; at most {limit} are allowed")]
    TooLarge {
        /// What is counted.
        what: &'static str,
        /// How many there are.
        found: usize,
        /// How many there may be.
        limit: usize,
    },
    /// A column name is empty, too long or reserved.
    #[error("column {name:?} is not valid: {reason}")]
    Column {
        /// The offending name.
        name: String,
        /// The rule it breaks.
        reason: &'static str,
    },
    /// A key column is not among the columns.
    #[error("key column {0:?} is not among the columns")]
    UnknownKey(String),
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Canonical {
    columns: Vec<Column>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    key: Vec<String>,
}

/// A validated schema with everything derived from it. Cheap to clone.
#[derive(Clone)]
pub struct StreamSchema(Arc<Inner>);

struct Inner {
    columns: Vec<Column>,
    key: Vec<String>,
    arrow: SchemaRef,
    canonical: Bytes,
    hash: SchemaHash,
}

impl StreamSchema {
    /// A schema of these columns, whose rows are told apart by the columns named in `key` (none: append only).
    ///
    /// # Errors
    /// A column name is reserved, repeated or too long, a key column is missing, or a limit is exceeded.
    pub fn new(columns: Vec<Column>, key: Vec<String>) -> Result<Self, SchemaError> {
        check_columns(&columns, 1, &mut 0)?;
        if let Some(column) = columns.iter().find(|c| [OP_COLUMN, TS_COLUMN, TX_COLUMN].contains(&&*c.name)) {
            return Err(SchemaError::Column {
                name: column.name.clone(),
                reason: "the name is reserved for record metadata",
            });
        }
        if let Some(missing) = key.iter().find(|name| !columns.iter().any(|c| &c.name == *name)) {
            return Err(SchemaError::UnknownKey(missing.clone()));
        }
        let canonical = Canonical { columns, key };
        let text = serde_json::to_vec(&canonical).map_err(|e| SchemaError::Malformed(e.to_string()))?;
        within("bytes", text.len(), MAX_SCHEMA_BYTES)?;
        let hash = SchemaHash(*blake3::hash(&text).as_bytes());
        let arrow = Arc::new(Schema::new(
            reserved().into_iter().chain(canonical.columns.iter().map(Column::to_arrow)).collect::<Vec<_>>(),
        ));
        Ok(Self(Arc::new(Inner {
            columns: canonical.columns,
            key: canonical.key,
            arrow,
            canonical: text.into(),
            hash,
        })))
    }

    /// Reads a schema from its canonical form.
    ///
    /// # Errors
    /// The bytes are too many, are not that form, or describe a schema that [`StreamSchema::new`] refuses.
    pub fn from_canonical(bytes: &[u8]) -> Result<Self, SchemaError> {
        within("bytes", bytes.len(), MAX_SCHEMA_BYTES)?;
        let canonical: Canonical =
            serde_json::from_slice(bytes).map_err(|e| SchemaError::Malformed(e.to_string()))?;
        Self::new(canonical.columns, canonical.key)
    }

    /// The canonical form: what is hashed, sent and stored.
    pub fn canonical(&self) -> &Bytes {
        &self.0.canonical
    }

    /// The hash by which frames refer to this schema.
    pub fn hash(&self) -> SchemaHash {
        self.0.hash
    }

    /// The columns, without the reserved ones.
    pub fn columns(&self) -> &[Column] {
        &self.0.columns
    }

    /// The names of the key columns, in key order; empty for an append-only stream.
    pub fn key(&self) -> &[String] {
        &self.0.key
    }

    /// The Arrow schema of this stream's batches: the reserved columns, then [`StreamSchema::columns`].
    pub fn arrow(&self) -> &SchemaRef {
        &self.0.arrow
    }
}

impl PartialEq for StreamSchema {
    fn eq(&self, other: &Self) -> bool {
        self.hash() == other.hash()
    }
}

impl Eq for StreamSchema {}

impl fmt::Debug for StreamSchema {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StreamSchema").field("columns", &self.0.columns).field("key", &self.0.key).finish()
    }
}

fn reserved() -> [Field; RESERVED_COLUMNS] {
    [
        Field::new(OP_COLUMN, DataType::UInt8, false),
        Field::new(TS_COLUMN, DataType::Timestamp(TimeUnit::Microsecond, Some(Arc::from("UTC"))), false),
        Field::new(TX_COLUMN, DataType::Utf8, true),
    ]
}

fn within(what: &'static str, found: usize, limit: usize) -> Result<(), SchemaError> {
    if found <= limit { Ok(()) } else { Err(SchemaError::TooLarge { what, found, limit }) }
}

fn check_columns(columns: &[Column], depth: usize, total: &mut usize) -> Result<(), SchemaError> {
    within("levels of nesting", depth, MAX_COLUMN_DEPTH)?;
    *total += columns.len();
    within("columns", *total, MAX_COLUMNS - RESERVED_COLUMNS)?;
    let mut seen = BTreeSet::new();
    for column in columns {
        let fault = |reason| Err(SchemaError::Column { name: column.name.clone(), reason });
        if column.name.is_empty() {
            return fault("it is empty");
        }
        if column.name.len() > MAX_NAME_BYTES {
            return fault("it is longer than 200 bytes");
        }
        if column.name.chars().any(char::is_control) {
            return fault("it contains a control character");
        }
        if !seen.insert(&*column.name) {
            return fault("it stands twice");
        }
        if let ColumnType::Decimal { precision, scale } = column.column_type
            && (precision == 0 || precision > 38 || scale > precision)
        {
            return fault("a decimal has 1 to 38 digits, of which at most all are after the point");
        }
        let children = column.column_type.children();
        if !children.is_empty() {
            check_columns(children, depth + 1, total)?;
        } else if matches!(column.column_type, ColumnType::Struct(_)) {
            return fault("a struct needs at least one field");
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn orders() -> StreamSchema {
        StreamSchema::new(
            vec![
                Column::required("id", ColumnType::Int64),
                Column::nullable("total", ColumnType::Decimal { precision: 12, scale: 2 }),
                Column::nullable(
                    "tags",
                    ColumnType::List(Box::new(Column::nullable("item", ColumnType::String))),
                ),
            ],
            vec!["id".into()],
        )
        .unwrap()
    }

    #[test]
    fn a_schema_comes_back_from_its_canonical_form_with_the_same_hash() {
        let schema = orders();
        let back = StreamSchema::from_canonical(schema.canonical()).unwrap();
        assert_eq!(back.hash(), schema.hash());
        assert_eq!(back.arrow(), schema.arrow());
        assert_eq!(SchemaHash::try_from(schema.hash().to_string()), Ok(schema.hash()));
        assert!(SchemaHash::try_from("no hash".to_owned()).is_err());
        assert_eq!(back.arrow().field(0).name(), OP_COLUMN);
    }

    #[test]
    fn the_canonical_form_is_stable() {
        let text = std::str::from_utf8(orders().canonical()).unwrap().to_owned();
        assert_eq!(
            text,
            r#"{"columns":[{"name":"id","type":"int64"},{"name":"total","type":{"decimal":{"precision":12,"scale":2}},"nullable":true},{"name":"tags","type":{"list":{"name":"item","type":"string","nullable":true}},"nullable":true}],"key":["id"]}"#
        );
    }

    #[test]
    fn a_schema_that_breaks_a_rule_is_refused() {
        let one = |name: &str| vec![Column::nullable(name, ColumnType::String)];
        assert!(matches!(StreamSchema::new(one("_op"), vec![]), Err(SchemaError::Column { .. })));
        assert!(matches!(StreamSchema::new(one(""), vec![]), Err(SchemaError::Column { .. })));
        assert!(matches!(StreamSchema::new(one("a"), vec!["b".into()]), Err(SchemaError::UnknownKey(_))));
        let many = (0..2000).map(|i| Column::nullable(format!("c{i}"), ColumnType::String)).collect();
        assert!(matches!(StreamSchema::new(many, vec![]), Err(SchemaError::TooLarge { .. })));
        let deep =
            (0..10).fold(ColumnType::String, |t, _| ColumnType::List(Box::new(Column::nullable("i", t))));
        assert!(matches!(
            StreamSchema::new(vec![Column::nullable("deep", deep)], vec![]),
            Err(SchemaError::TooLarge { what: "levels of nesting", .. })
        ));
        assert!(matches!(StreamSchema::from_canonical(b"{}"), Err(SchemaError::Malformed(_))));
    }
}
