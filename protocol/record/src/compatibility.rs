//! Which schemas understand which: the rules by which two versions of a stream's schema are compatible.
//!
//! A schema *reads* another when each row that the other allows has exactly one meaning in it and loses none of the
//! values of their common columns:
//!
//! * a column of both has a type that holds every value of the other's ([`Fit::Same`] or [`Fit::Widens`]), and
//!   allows absence where the other does;
//! * a column that the other lacks allows absence, and is absent;
//! * a column that only the other has is passed over;
//! * both have the same key columns.
//!
//! Columns are told apart by name, so a renamed column is one that is gone and one that is new. Order, comments and
//! classes do not count. From this the levels follow, in the words that registries of event schemas use.

use std::collections::BTreeSet;
use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::column::{Column, ColumnType};
use crate::schema::StreamSchema;

/// How much a new version of a schema may differ from the one before it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Compatibility {
    /// In any way.
    None,
    /// The new version reads rows of the old one: columns may go, and new ones must allow absence.
    #[default]
    Backward,
    /// The old version reads rows of the new one: columns may come, and only those that allow absence may go.
    Forward,
    /// Each reads rows of the other.
    Full,
}

impl Compatibility {
    /// The word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Backward => "backward",
            Self::Forward => "forward",
            Self::Full => "full",
        }
    }

    /// Whether `new` may follow `old`.
    pub fn allows(self, old: &StreamSchema, new: &StreamSchema) -> bool {
        compare(old, new).iter().all(|change| !change.breaks(self))
    }
}

impl fmt::Display for Compatibility {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One difference between two versions.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Change {
    /// The column, with a point before each level of nesting; empty for the key.
    pub column: String,
    /// What happened to it, in words.
    pub what: String,
    /// Whether the new version still reads rows of the old one.
    pub backward: bool,
    /// Whether the old version still reads rows of the new one.
    pub forward: bool,
}

impl Change {
    /// Whether this level forbids it.
    pub fn breaks(&self, level: Compatibility) -> bool {
        match level {
            Compatibility::None => false,
            Compatibility::Backward => !self.backward,
            Compatibility::Forward => !self.forward,
            Compatibility::Full => !(self.backward && self.forward),
        }
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.column.is_empty() {
            f.write_str(&self.what)
        } else {
            write!(f, "column `{}` {}", self.column, self.what)
        }
    }
}

/// Every difference that has a meaning, column by column in the order of the old version, then what is new.
pub fn compare(old: &StreamSchema, new: &StreamSchema) -> Vec<Change> {
    let mut changes = Vec::new();
    let keys = |schema: &StreamSchema| schema.key().iter().cloned().collect::<BTreeSet<_>>();
    if keys(old) != keys(new) {
        changes.push(Change {
            column: String::new(),
            what: format!("the key was {} and is {}", key_text(old), key_text(new)),
            backward: false,
            forward: false,
        });
    }
    compare_columns("", old.columns(), new.columns(), &mut changes);
    changes
}

/// How values of one type fit into another.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Fit {
    /// It is the same type.
    Same,
    /// Each value has exactly one form there.
    Widens,
    /// Some values have a form there, and others do not.
    Narrows,
    /// It is another kind of value, such as text for a number: what can be told in that form has one.
    Converts,
    /// No value but absence has a form there.
    Never,
}

impl Fit {
    /// Whether a reader of the second type understands every value of the first.
    pub const fn is_readable(self) -> bool {
        matches!(self, Self::Same | Self::Widens)
    }
}

/// How values of type `from` fit into `to`.
pub fn fit(from: &ColumnType, to: &ColumnType) -> Fit {
    use ColumnType as T;
    if from == to {
        return Fit::Same;
    }
    match (from, to) {
        (T::List(from), T::List(to)) => fit_column(from, to),
        (T::Struct(from), T::Struct(to)) => fit_struct(from, to),
        (T::Date, T::LocalTimestamp) | (T::LocalTimestamp, T::Date) => Fit::Converts,
        (T::String, to) if has_text(to) => Fit::Converts,
        (from, T::String) if has_text(from) => Fit::Converts,
        _ => fit_numbers(from, to),
    }
}

/// Whether a value has a form as text that can be read back: what people write, and bytes that are text.
fn has_text(column_type: &ColumnType) -> bool {
    use ColumnType as T;
    !matches!(column_type, T::Interval | T::List(_) | T::Struct(_))
}

/// The decimal digits that whole numbers of a type may have, and the bits that floats need for all of them.
fn whole(column_type: &ColumnType) -> Option<(u8, u8)> {
    use ColumnType as T;
    Some(match column_type {
        T::Int8 => (3, 7),
        T::Int16 => (5, 15),
        T::Int32 => (10, 31),
        T::Int64 => (19, 63),
        T::Uint8 => (3, 8),
        T::Uint16 => (5, 16),
        T::Uint32 => (10, 32),
        T::Uint64 => (20, 64),
        _ => return None,
    })
}

fn is_signed(column_type: &ColumnType) -> bool {
    use ColumnType as T;
    matches!(column_type, T::Int8 | T::Int16 | T::Int32 | T::Int64)
}

/// Bits of the mantissa.
fn float(column_type: &ColumnType) -> Option<u8> {
    match column_type {
        ColumnType::Float32 => Some(24),
        ColumnType::Float64 => Some(53),
        _ => None,
    }
}

fn fit_numbers(from: &ColumnType, to: &ColumnType) -> Fit {
    use ColumnType as T;
    let widens_if = |holds: bool| if holds { Fit::Widens } else { Fit::Narrows };
    match (from, to) {
        (T::Decimal { precision: p, scale: s }, T::Decimal { precision, scale }) => {
            widens_if(s <= scale && p - s <= precision - scale)
        }
        (T::Decimal { precision, scale }, to) => match (whole(to), float(to)) {
            // A whole number of the type's most digits may be too large for it: 99 for three digits' Int8, but not 999.
            (Some((digits, _)), _) => widens_if(*scale == 0 && *precision < digits && is_signed(to)),
            (None, Some(_)) => Fit::Converts,
            (None, None) => Fit::Never,
        },
        (from, T::Decimal { precision, scale }) => match (whole(from), float(from)) {
            (Some((digits, _)), _) => widens_if(digits <= precision - scale),
            (None, Some(_)) => Fit::Converts,
            (None, None) => Fit::Never,
        },
        _ => match (whole(from), float(from), whole(to), float(to)) {
            (Some((_, have)), _, Some((_, room)), _) => {
                widens_if(have <= room && (is_signed(to) || !is_signed(from)))
            }
            (Some((_, have)), _, _, Some(room)) => widens_if(have <= room),
            (_, Some(have), _, Some(room)) => widens_if(have <= room),
            (_, Some(_), Some(_), _) => Fit::Narrows,
            _ => Fit::Never,
        },
    }
}

/// How values of one column fit into another, absence included.
pub fn fit_column(from: &Column, to: &Column) -> Fit {
    let values = fit(&from.column_type, &to.column_type);
    let loses_absence = from.nullable && !to.nullable;
    if loses_absence { values.max(Fit::Narrows) } else { values }
}

fn fit_struct(from: &[Column], to: &[Column]) -> Fit {
    let fields = to.iter().map(|to| match from.iter().find(|from| from.name == to.name) {
        Some(from) => fit_column(from, to),
        None if to.nullable => Fit::Widens,
        None => Fit::Never,
    });
    // Fields that are passed over are no loss of the common ones, but the value is not the same.
    fields.max().unwrap_or(Fit::Widens).max(Fit::Widens)
}

fn compare_columns(prefix: &str, old: &[Column], new: &[Column], changes: &mut Vec<Change>) {
    let path = |column: &Column| format!("{prefix}{}", column.name);
    for before in old {
        let Some(after) = new.iter().find(|after| after.name == before.name) else {
            let what = format!("is gone; it was {}", described(before));
            changes.push(Change { column: path(before), what, backward: true, forward: before.nullable });
            continue;
        };
        compare_column(&path(before), before, after, changes);
    }
    for after in new.iter().filter(|after| old.iter().all(|before| before.name != after.name)) {
        let what = format!("is new: {}", described(after));
        changes.push(Change { column: path(after), what, backward: after.nullable, forward: true });
    }
}

fn compare_column(path: &str, before: &Column, after: &Column, changes: &mut Vec<Change>) {
    match (&before.column_type, &after.column_type) {
        (ColumnType::Struct(old), ColumnType::Struct(new)) => {
            compare_columns(&format!("{path}."), old, new, changes);
        }
        (ColumnType::List(old), ColumnType::List(new)) => {
            compare_column(&format!("{path}.[]"), old, new, changes);
        }
        (old, new) if old != new => {
            let (onward, back) = (fit(old, new), fit(new, old));
            let verb = match (onward.is_readable(), back.is_readable()) {
                (true, _) => "was widened",
                (false, true) => "was narrowed",
                (false, false) => "was retyped",
            };
            changes.push(Change {
                column: path.to_owned(),
                what: format!("{verb} from {old} to {new}"),
                backward: onward.is_readable(),
                forward: back.is_readable(),
            });
        }
        _ => {}
    }
    if before.nullable != after.nullable {
        let what = if after.nullable { "may be absent now" } else { "must be present now" };
        changes.push(Change {
            column: path.to_owned(),
            what: what.to_owned(),
            backward: after.nullable,
            forward: before.nullable,
        });
    }
}

/// A column's type, and whether it must be present.
fn described(column: &Column) -> String {
    let required = if column.nullable { "" } else { ", required" };
    format!("{}{required}", column.column_type)
}

fn key_text(schema: &StreamSchema) -> String {
    if schema.key().is_empty() { "none".to_owned() } else { format!("`{}`", schema.key().join("`, `")) }
}
