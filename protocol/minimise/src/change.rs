//! What becomes of values, column by column. An absent value stays absent, whatever becomes of the others.

mod mask;
mod bucket;
mod canonical;
mod hash;
mod token;

use std::fmt::Write;
use std::sync::Arc;

use arrow_array::builder::{ListBuilder, StringBuilder};
use arrow_array::cast::AsArray;
use arrow_array::types::{
    ArrowPrimitiveType, Int8Type, Int16Type, Int32Type, Int64Type, UInt8Type, UInt16Type, UInt32Type,
    UInt64Type,
};
use arrow_array::{Array, ArrayRef, ListArray, StringArray};
use arrow_schema::DataType;
use towpath_record::ColumnType;
use towpath_resource::{Bucket, Mask, Treatment};

use crate::key::{KeyError, Keys};
use hash::Hasher;
pub use token::{NotReversible, Tokeniser};

/// What becomes of the values of one column. Whether it can become of them was decided before.
pub(crate) enum Change {
    Mask(Mask),
    Bucket(Bucket),
    Hash(Hasher),
    Tokenise(Box<Tokeniser>),
}

impl Change {
    /// The change that a treatment is to values of a type; none if they stay as they are.
    pub(crate) fn new(
        treatment: &Treatment,
        of: &ColumnType,
        keys: &dyn Keys,
    ) -> Result<Option<Self>, KeyError> {
        Ok(Some(match treatment {
            Treatment::Mask(mask) => Self::Mask(*mask),
            Treatment::Bucket(bucket) => Self::Bucket(*bucket),
            Treatment::Hash(hash) => Self::Hash(Hasher::new(&keys.key(&hash.key)?, of)),
            Treatment::Tokenise(tokenise) => {
                Self::Tokenise(Box::new(Tokeniser::new(&keys.key(&tokenise.key)?)))
            }
            Treatment::Allow | Treatment::Encrypt(_) | Treatment::Drop | Treatment::Block => return Ok(None),
        }))
    }

    /// The values as they may stand.
    pub(crate) fn apply(&self, values: &ArrayRef) -> ArrayRef {
        match self {
            Self::Mask(Mask::All) => Arc::new(mask::all(values)),
            Self::Mask(mask) => Arc::new(change_text(values, |value, out| mask::part(*mask, value, out))),
            Self::Bucket(bucket) => bucket::apply(*bucket, values),
            Self::Hash(hasher) => Arc::new(hasher.apply(values)),
            Self::Tokenise(tokeniser) => {
                Arc::new(change_text(values, |value, out| tokeniser.append_token(value, out)))
            }
        }
    }
}

/// Changes text, or whole numbers as they are written. One buffer serves all rows.
fn change_text(values: &ArrayRef, mut change: impl FnMut(&str, &mut String)) -> StringArray {
    let mut builder = StringBuilder::with_capacity(values.len(), 16 * values.len());
    let mut out = String::new();
    let mut append = |value: Option<&str>| match value {
        None => builder.append_null(),
        Some(value) => {
            out.clear();
            change(value, &mut out);
            builder.append_value(&out);
        }
    };
    match values.data_type() {
        DataType::Int8 => each_number::<Int8Type>(values, append),
        DataType::Int16 => each_number::<Int16Type>(values, append),
        DataType::Int32 => each_number::<Int32Type>(values, append),
        DataType::Int64 => each_number::<Int64Type>(values, append),
        DataType::UInt8 => each_number::<UInt8Type>(values, append),
        DataType::UInt16 => each_number::<UInt16Type>(values, append),
        DataType::UInt32 => each_number::<UInt32Type>(values, append),
        DataType::UInt64 => each_number::<UInt64Type>(values, append),
        _ => values.as_string::<i32>().iter().for_each(&mut append),
    }
    builder.finish()
}

fn each_number<T: ArrowPrimitiveType<Native: std::fmt::Display>>(
    values: &ArrayRef,
    mut each: impl FnMut(Option<&str>),
) {
    let mut text = String::new();
    for value in values.as_primitive::<T>() {
        let Some(value) = value else {
            each(None);
            continue;
        };
        text.clear();
        write!(text, "{value}").expect("text takes all that is written to it");
        each(Some(&text));
    }
}

/// Lists of names with only those names that are kept.
pub(crate) fn keep_names(lists: &ListArray, is_kept: impl Fn(&str) -> bool) -> ListArray {
    let DataType::List(item) = lists.data_type() else { unreachable!("a list array has the type of a list") };
    let mut left = ListBuilder::new(StringBuilder::new()).with_field(item.clone());
    for names in lists.iter() {
        if let Some(names) = &names {
            let names = names.as_string::<i32>().iter().flatten();
            names.filter(|name| is_kept(name)).for_each(|name| left.values().append_value(name));
        }
        left.append(names.is_some());
    }
    left.finish()
}
