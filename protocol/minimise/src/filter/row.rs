//! Rows as filters see them: fields are converted when they are read, and no others.
//!
//! | type | as a filter sees it |
//! |---|---|
//! | integers | `int`; `uint64` is `uint` |
//! | floats, decimals | `double`, for a decimal the nearest one |
//! | text, bytes, boolean | `string`, `bytes`, `bool` |
//! | date, timestamps | `timestamp`; a date is its midnight in UTC, and what has no zone is taken as UTC |
//! | time of day | `duration` since midnight |
//! | list, struct | `list`, `map` |
//! | an absent value | `null` |

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};

use arrow_array::cast::AsArray;
use arrow_array::types::{
    Date32Type, Decimal128Type, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type,
    Time64MicrosecondType, TimestampMicrosecondType, UInt8Type, UInt16Type, UInt32Type, UInt64Type,
};
use arrow_array::{Array, ArrayRef, ListArray, StructArray};
use cel::ExecutionError;
use cel::common::traits::Indexer;
use cel::common::types::{
    CelBool, CelBytes, CelDouble, CelDuration, CelInt, CelList, CelMap, CelMapKey, CelNull, CelString,
    CelTimestamp, CelUInt, Type,
};
use cel::common::value::{CowVal, Val};
use cel::context::VariableResolver;
use chrono::{DateTime, TimeDelta};
use towpath_record::ColumnType;

/// What stands in an error for a value that the source did not send. The field stands in its place for a message.
pub(super) const NOT_SENT: &str = "value that was not sent";

static ROW: Type = Type::new_unspecified_type("row");

/// Columns by their names.
pub(super) type Members<'a> = BTreeMap<&'a str, (&'a ColumnType, &'a ArrayRef)>;

/// The rows of a batch, one of which is looked at.
pub(super) struct Rows<'a> {
    columns: Members<'a>,
    /// Which rows there are at all.
    within: Option<&'a StructArray>,
    /// The names of the fields that the source did not send, and the rows before, where their values may be found.
    unchanged: Option<(&'a ListArray, Option<&'a Rows<'a>>)>,
    at: AtomicUsize,
}

impl<'a> Rows<'a> {
    pub(super) fn new(columns: Members<'a>) -> Self {
        Self { columns, within: None, unchanged: None, at: AtomicUsize::new(0) }
    }

    /// Rows that are there only where these structs are.
    pub(super) fn within(self, structs: &'a StructArray) -> Self {
        Self { within: Some(structs), ..self }
    }

    /// Rows of which the source did not send everything. What it did not send may stand in the row before.
    pub(super) fn with_unchanged(self, names: &'a ListArray, before: Option<&'a Self>) -> Self {
        Self { unchanged: Some((names, before)), ..self }
    }

    /// Looks at a row from now on. Says whether it is there.
    pub(super) fn look_at(&self, row: usize) -> bool {
        self.at.store(row, Ordering::Relaxed);
        self.within.is_none_or(|structs| structs.is_valid(row))
    }

    fn get_field<'v>(&self, name: &str) -> Result<Box<dyn Val + 'v>, ExecutionError>
    where
        'a: 'v,
    {
        let row = self.at.load(Ordering::Relaxed);
        if let Some((names, before)) = self.unchanged
            && lists(names, row, name)
        {
            let before = before.and_then(|before| before.find(name, row));
            let (of, values) = before.ok_or_else(|| ExecutionError::function_error(NOT_SENT, name))?;
            return value(of, values, row);
        }
        let (of, values) = *self.columns.get(name).ok_or_else(|| ExecutionError::no_such_key(name))?;
        value(of, values, row)
    }

    /// The column, if it has a value in this row.
    fn find(&self, name: &str, row: usize) -> Option<(&'a ColumnType, &'a ArrayRef)> {
        let found = self.columns.get(name).copied().filter(|(_, values)| values.is_valid(row));
        found.filter(|_| self.within.is_none_or(|structs| structs.is_valid(row)))
    }
}

/// Whether the list in this row has the name.
fn lists(names: &ListArray, row: usize, name: &str) -> bool {
    if names.is_null(row) || names.value_length(row) == 0 {
        return false;
    }
    let offsets = names.value_offsets();
    let items = names.values().as_string::<i32>();
    (offsets[row]..offsets[row + 1]).any(|item| items.value(item.unsigned_abs() as usize) == name)
}

impl fmt::Debug for Rows<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Rows")
    }
}

impl VariableResolver for Rows<'_> {
    fn resolve<'b>(&'b self, variable: &str) -> Option<CowVal<'b, 'b>> {
        (variable == ROW.name()).then_some(CowVal::Borrowed(self))
    }
}

impl Val for Rows<'_> {
    fn get_type(&self) -> &Type {
        &ROW
    }

    fn cel_type() -> &'static Type {
        &ROW
    }

    fn as_indexer<'b, 'v>(&'b self) -> Option<&'b (dyn Indexer + 'v)>
    where
        Self: 'v,
    {
        Some(self)
    }

    fn clone_as_boxed<'v>(&self) -> Box<dyn Val + 'v>
    where
        Self: 'v,
    {
        let at = AtomicUsize::new(self.at.load(Ordering::Relaxed));
        Box::new(Self { columns: self.columns.clone(), within: self.within, unchanged: self.unchanged, at })
    }
}

impl Indexer for Rows<'_> {
    fn get<'b, 'v>(&'b self, index: &dyn Val) -> Result<CowVal<'b, 'v>, ExecutionError>
    where
        Self: 'v,
    {
        let name = index.downcast_ref::<CelString<'_>>().ok_or_else(|| ExecutionError::UnexpectedType {
            got: index.get_type().name().to_owned(),
            want: "string".to_owned(),
        })?;
        self.get_field(name.inner()).map(CowVal::Owned)
    }

    fn steal<'v>(self: Box<Self>, index: &dyn Val) -> Result<Box<dyn Val + 'v>, ExecutionError>
    where
        Self: 'v,
    {
        self.get(index).map(CowVal::into_owned)
    }
}

/// One value as a filter sees it.
fn value<'v>(
    of: &'v ColumnType,
    values: &'v ArrayRef,
    row: usize,
) -> Result<Box<dyn Val + 'v>, ExecutionError> {
    use ColumnType as T;
    if values.is_null(row) {
        return Ok(Box::new(CelNull));
    }
    let int = |value: i64| -> Result<Box<dyn Val + 'v>, ExecutionError> { Ok(Box::new(CelInt::from(value))) };
    let double =
        |value: f64| -> Result<Box<dyn Val + 'v>, ExecutionError> { Ok(Box::new(CelDouble::from(value))) };
    match of {
        T::Boolean => Ok(Box::new(CelBool::from(values.as_boolean().value(row)))),
        T::Int8 => int(values.as_primitive::<Int8Type>().value(row).into()),
        T::Int16 => int(values.as_primitive::<Int16Type>().value(row).into()),
        T::Int32 => int(values.as_primitive::<Int32Type>().value(row).into()),
        T::Int64 => int(values.as_primitive::<Int64Type>().value(row)),
        T::Uint8 => int(values.as_primitive::<UInt8Type>().value(row).into()),
        T::Uint16 => int(values.as_primitive::<UInt16Type>().value(row).into()),
        T::Uint32 => int(values.as_primitive::<UInt32Type>().value(row).into()),
        T::Uint64 => Ok(Box::new(CelUInt::from(values.as_primitive::<UInt64Type>().value(row)))),
        T::Float32 => double(values.as_primitive::<Float32Type>().value(row).into()),
        T::Float64 => double(values.as_primitive::<Float64Type>().value(row)),
        T::Decimal { scale, .. } => {
            let digits = values.as_primitive::<Decimal128Type>().value(row);
            double(digits as f64 / 10_f64.powi((*scale).into()))
        }
        T::String => Ok(Box::new(CelString::from(values.as_string::<i32>().value(row)))),
        T::Binary => Ok(Box::new(CelBytes::from(values.as_binary::<i32>().value(row)))),
        T::Date => instant(i64::from(values.as_primitive::<Date32Type>().value(row)).checked_mul(DAY_US)),
        T::LocalTimestamp | T::Timestamp => {
            instant(Some(values.as_primitive::<TimestampMicrosecondType>().value(row)))
        }
        T::Time => {
            let since = TimeDelta::microseconds(values.as_primitive::<Time64MicrosecondType>().value(row));
            Ok(Box::new(CelDuration::from(since)))
        }
        T::Interval => Err(ExecutionError::function_error("row", "an interval cannot be read")),
        T::List(item) => {
            let lists = values.as_list::<i32>();
            let offsets = lists.value_offsets();
            let places = offsets[row].unsigned_abs() as usize..offsets[row + 1].unsigned_abs() as usize;
            let items = places.map(|place| value(&item.column_type, lists.values(), place));
            Ok(Box::new(CelList::from(items.collect::<Result<Vec<_>, _>>()?)))
        }
        T::Struct(members) => {
            let columns = members.iter().zip(values.as_struct().columns());
            let members = columns.map(|(member, values)| {
                Ok((CelMapKey::from(member.name.as_str()), value(&member.column_type, values, row)?))
            });
            Ok(Box::new(CelMap::from(members.collect::<Result<HashMap<_, _>, _>>()?)))
        }
    }
}

const DAY_US: i64 = 86_400_000_000;

fn instant<'v>(us: Option<i64>) -> Result<Box<dyn Val + 'v>, ExecutionError> {
    let instant = us.and_then(DateTime::from_timestamp_micros);
    let instant = instant.ok_or_else(|| ExecutionError::function_error("row", "a time is out of range"))?;
    Ok(Box::new(CelTimestamp::from(instant.fixed_offset())))
}
