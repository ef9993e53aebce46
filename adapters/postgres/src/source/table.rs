//! A table as a stream: its columns, its key, and its rows as cells.

use bytes::Bytes;
use towpath_adapter_api::AdapterError;
use towpath_record::limits::MAX_ROW_BYTES;
use towpath_record::schema::{BEFORE_COLUMN, UNCHANGED_COLUMN};
use towpath_record::{Column, ColumnType, StreamName, StreamSchema};

use super::config::SourceConfig;
use super::kind::Kind;
use super::message::{Relation, Tuple, Value};
use super::outbox::Row;
use crate::error::PostgresError;
use crate::table::quoted;

/// The setting `REPLICA IDENTITY FULL`.
pub(crate) const IDENTITY_FULL: u8 = b'f';

/// A table whose rows are emitted.
pub(crate) struct Table {
    pub(crate) oid: u32,
    /// `schema.table`, by which tables are ordered and told apart.
    pub(crate) name: String,
    /// The same as SQL names it.
    pub(crate) place: String,
    pub(crate) stream: StreamName,
    pub(crate) schema: StreamSchema,
    pub(crate) columns: Vec<TableColumn>,
    /// The columns that tell rows apart, in the order of the columns.
    pub(crate) key: Vec<usize>,
    /// Whether the stream has the column that names values which were not sent.
    pub(crate) tells_unchanged: bool,
    /// Whether the stream has the column of the row before the change.
    pub(crate) tells_before: bool,
}

/// A column of a table.
pub(crate) struct TableColumn {
    pub(crate) name: String,
    pub(crate) kind: Kind,
}

/// What is known of a column's type.
#[derive(Clone, Copy)]
pub(crate) struct ColumnKind {
    pub(crate) kind: Kind,
    /// Whether its values may be stored apart from their row.
    pub(crate) may_be_apart: bool,
}

/// Why a row has no place in its stream.
pub(crate) struct Misfit {
    pub(crate) column: Option<String>,
    pub(crate) reason: String,
}

impl Table {
    /// A table of `kinds`, one for each of the relation's columns. Its key is `key`, or the replica identity where
    /// that is not the whole row.
    ///
    /// # Errors
    /// The names or the columns are not those of a stream.
    pub(crate) fn new(
        relation: &Relation,
        kinds: &[ColumnKind],
        key: &[String],
        config: &SourceConfig,
    ) -> Result<Self, PostgresError> {
        let name = format!("{}.{}", relation.schema, relation.name);
        let stream = config.stream_of(&relation.schema, &relation.name)?;
        let by_catalog = relation.identity == IDENTITY_FULL || !relation.columns.iter().any(|c| c.identifies);
        let in_key = |column: &super::message::RelationColumn| match by_catalog {
            true => key.contains(&column.name),
            false => column.identifies,
        };
        let key: Vec<usize> = (0..relation.columns.len()).filter(|i| in_key(&relation.columns[*i])).collect();
        let apart = |(i, kind): (usize, &ColumnKind)| kind.may_be_apart && !key.contains(&i);
        let tells_unchanged = relation.identity != IDENTITY_FULL && kinds.iter().enumerate().any(apart);
        let item = Column::nullable("item", ColumnType::String);
        let unchanged = Column::nullable(UNCHANGED_COLUMN, ColumnType::List(Box::new(item)));
        let columns = relation.columns.iter().zip(kinds);
        let columns = columns.map(|(c, kind)| Column::nullable(&c.name, kind.kind.column_type()));
        let columns: Vec<_> = columns.collect();
        let tells_before = config.before && relation.identity == IDENTITY_FULL;
        let before =
            tells_before.then(|| Column::nullable(BEFORE_COLUMN, ColumnType::Struct(columns.clone())));
        let columns = tells_unchanged.then_some(unchanged).into_iter().chain(columns).chain(before).collect();
        let names = key.iter().map(|i| relation.columns[*i].name.clone()).collect();
        let schema = StreamSchema::new(columns, names).map_err(|error| {
            let message =
                format!("table {name} cannot be a stream: {error}; rename the column or exclude the table");
            AdapterError::new(towpath_adapter_api::ErrorKind::Config, "postgres source", message)
        })?;
        let place = format!("{}.{}", quoted(&relation.schema), quoted(&relation.name));
        let columns = relation.columns.iter().zip(kinds);
        let columns =
            columns.map(|(c, kind)| TableColumn { name: c.name.clone(), kind: kind.kind }).collect();
        Ok(Self {
            oid: relation.oid,
            name,
            place,
            stream,
            schema,
            columns,
            key,
            tells_unchanged,
            tells_before,
        })
    }

    /// About how much memory a row takes.
    ///
    /// # Errors
    /// It is not one of this table, or larger than a record may be.
    pub(crate) fn row_bytes(&self, row: &Row) -> Result<usize, Misfit> {
        let before = row.before.as_ref().filter(|_| self.tells_before);
        let mut bytes = 0;
        for values in [&row.values].into_iter().chain(before) {
            if values.len() != self.columns.len() {
                let reason = format!("it has {} values for {} columns", values.len(), self.columns.len());
                return Err(Misfit { column: None, reason });
            }
            let each = self.columns.iter().zip(values).map(|(column, value)| match value {
                Value::Text(text) => column.kind.cell_bytes(text.len()),
                Value::Null | Value::Unchanged => column.kind.cell_bytes(0),
            });
            bytes += each.sum::<usize>();
        }
        if bytes > MAX_ROW_BYTES {
            let reason = format!("the row has {bytes} bytes; a record holds at most {MAX_ROW_BYTES}");
            return Err(Misfit { column: None, reason });
        }
        Ok(bytes)
    }

    /// Whether two rows have different keys.
    pub(crate) fn keys_differ(&self, old: &[Value], new: &[Value]) -> bool {
        // A key that was stored apart and not sent again did not change.
        self.key.iter().any(|i| match (old.get(*i), new.get(*i)) {
            (_, Some(Value::Unchanged)) => false,
            (old, new) => old != new,
        })
    }

    /// Where some columns are in a row; none if one of them is missing.
    pub(crate) fn places(&self, names: &[String]) -> Option<Vec<usize>> {
        names.iter().map(|name| self.columns.iter().position(|column| &column.name == name)).collect()
    }

    /// The texts of some columns of a row; none if one of them is null or missing.
    pub(crate) fn texts(&self, names: &[String], values: &[Value]) -> Option<Vec<Bytes>> {
        let text = |place: usize| match values.get(place)? {
            Value::Text(text) => Some(text.clone()),
            Value::Null | Value::Unchanged => None,
        };
        self.places(names)?.into_iter().map(text).collect()
    }
}

/// The values of `new` with what was not sent taken from `old`.
pub(crate) fn filled(new: Tuple, old: &[Value]) -> Tuple {
    let fill = |(index, value)| match value {
        Value::Unchanged => old.get(index).cloned().unwrap_or(Value::Unchanged),
        sent => sent,
    };
    new.into_iter().enumerate().map(fill).collect()
}

#[cfg(test)]
pub(crate) mod tests {
    use serde_json::json;

    use super::super::config::NumericMode;
    use super::super::message::RelationColumn;
    use super::*;

    /// A table `public.t` with the columns `id bigint primary key, note text`.
    pub(crate) fn table(identity: u8) -> Table {
        let column = |name: &str, identifies, type_oid| RelationColumn {
            name: name.to_owned(),
            identifies,
            type_oid,
            modifier: -1,
        };
        let full = identity == IDENTITY_FULL;
        let columns = vec![column("id", true, 20), column("note", full, 25)];
        let relation =
            Relation { oid: 1, schema: "public".to_owned(), name: "t".to_owned(), identity, columns };
        let kinds = [(20, false), (25, true)].map(|(oid, may_be_apart)| ColumnKind {
            kind: Kind::of(oid, -1, NumericMode::Decimal),
            may_be_apart,
        });
        let config = SourceConfig::read(&json!({ "url": "postgres://u@h/d" })).unwrap();
        Table::new(&relation, &kinds, &["id".to_owned()], &config).unwrap()
    }

    fn text(text: &'static str) -> Value {
        Value::Text(Bytes::from_static(text.as_bytes()))
    }

    #[test]
    fn the_key_is_the_primary_key_even_if_the_whole_row_identifies_it() {
        for identity in [b'd', IDENTITY_FULL] {
            let table = table(identity);
            assert_eq!((table.schema.key(), table.key.as_slice()), (&["id".to_owned()][..], &[0][..]));
            assert_eq!(table.tells_unchanged, identity == b'd');
        }
    }

    #[test]
    fn a_value_that_was_not_sent_is_that_of_the_row_before() {
        let table = table(b'd');
        let new = filled(vec![text("8"), Value::Unchanged], &[text("7"), text("x")]);
        assert_eq!(new, [text("8"), text("x")]);
        assert!(table.keys_differ(&[text("7"), Value::Null], &new));
    }
}
