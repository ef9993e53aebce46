//! JSON as protobuf's well-known types, and back.
//!
//! Their numbers are doubles, which hold integers exactly only up to 2^53. A larger one travels as its decimal text, as
//! protobuf's own JSON mapping has it; an integral number within those bounds comes back as an integer.

use prost_types::value::Kind;
use prost_types::{ListValue, Struct, Value as Carried};
use serde_json::{Map, Number, Value};

/// Doubles hold every integer up to here.
const LARGEST_EXACT: i64 = 1 << 53;

/// Members of an object as a struct.
pub(super) fn to_struct(members: Map<String, Value>) -> Struct {
    Struct { fields: members.into_iter().map(|(name, value)| (name, to_value(value))).collect() }
}

/// A struct as members of an object.
pub(super) fn from_struct(carried: Struct) -> Map<String, Value> {
    carried.fields.into_iter().map(|(name, value)| (name, from_value(value))).collect()
}

fn to_value(value: Value) -> Carried {
    let kind = match value {
        Value::Null => Kind::NullValue(0),
        Value::Bool(truth) => Kind::BoolValue(truth),
        Value::Number(number) => to_number(&number),
        Value::String(text) => Kind::StringValue(text),
        Value::Array(items) => {
            Kind::ListValue(ListValue { values: items.into_iter().map(to_value).collect() })
        }
        Value::Object(members) => Kind::StructValue(to_struct(members)),
    };
    Carried { kind: Some(kind) }
}

fn to_number(number: &Number) -> Kind {
    let too_large = match (number.as_i64(), number.as_u64()) {
        (Some(integer), _) => integer.unsigned_abs() > LARGEST_EXACT.unsigned_abs(),
        (None, Some(_)) => true,
        (None, None) => false,
    };
    match number.as_f64() {
        Some(double) if !too_large => Kind::NumberValue(double),
        _ => Kind::StringValue(number.to_string()),
    }
}

fn from_value(carried: Carried) -> Value {
    match carried.kind {
        None | Some(Kind::NullValue(_)) => Value::Null,
        Some(Kind::BoolValue(truth)) => Value::Bool(truth),
        Some(Kind::NumberValue(double)) => from_number(double),
        Some(Kind::StringValue(text)) => Value::String(text),
        Some(Kind::ListValue(list)) => Value::Array(list.values.into_iter().map(from_value).collect()),
        Some(Kind::StructValue(inner)) => Value::Object(from_struct(inner)),
    }
}

fn from_number(double: f64) -> Value {
    let is_exact = double.fract() == 0.0 && double.abs() <= LARGEST_EXACT as f64;
    // The cast is exact within those bounds.
    #[allow(clippy::cast_possible_truncation)]
    if is_exact { Value::from(double as i64) } else { Value::from(double) }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn there_and_back(value: &Value) -> Value {
        from_value(to_value(value.clone()))
    }

    #[test]
    fn what_goes_out_comes_back() {
        let exact = json!({ "n": null, "b": true, "i": -7, "most": LARGEST_EXACT, "f": 2.5, "t": "ü", "l": [1, [], {}] });
        assert_eq!(there_and_back(&exact), exact);
    }

    #[test]
    fn an_integer_that_a_double_cannot_hold_travels_as_text() {
        assert_eq!(there_and_back(&json!(LARGEST_EXACT + 1)), json!("9007199254740993"));
        assert_eq!(there_and_back(&json!(u64::MAX)), json!("18446744073709551615"));
        assert_eq!(there_and_back(&json!(i64::MIN)), json!("-9223372036854775808"));
    }
}
