//! What a JSON Schema says of a value, as far as GraphQL can say it too. Pure.
//!
//! An object whose fields are all known is an object, a list a list, and a choice of words an enum. What GraphQL has no
//! type for, such as the free-form configuration of an adapter, is any JSON; an integer is a `Long`, since GraphQL's
//! `Int` has only 32 bits.

use std::collections::BTreeSet;

use async_graphql::dynamic::TypeRef;
use serde_json::{Map, Value};

/// The scalar of any JSON.
pub(super) const JSON: &str = "JSON";
/// The scalar of integers of up to 64 bits.
pub(super) const LONG: &str = "Long";

/// What a JSON Schema says of a value.
#[derive(PartialEq, Debug)]
pub(super) enum Shape<'a> {
    /// An object with these fields, of which the named ones are always there.
    Object(&'a Map<String, Value>, BTreeSet<&'a str>),
    /// A list of such items.
    List(&'a Value),
    /// One of these words, each with what it means, if that is said.
    Words(Vec<(&'a str, Option<&'a str>)>),
    /// A value of this scalar.
    Scalar(&'static str),
}

impl<'a> Shape<'a> {
    /// The shape of values of this schema, null aside.
    pub(super) fn of(schema: &'a Value) -> Self {
        let schema = without_null(schema);
        if let Some(words) = words(schema) {
            return Self::Words(words);
        }
        match kind(schema) {
            Some("object") => object(schema),
            Some("array") if schema["items"].is_object() => Self::List(&schema["items"]),
            Some("string") => Self::Scalar(TypeRef::STRING),
            Some("boolean") => Self::Scalar(TypeRef::BOOLEAN),
            Some("integer") => Self::Scalar(LONG),
            Some("number") => Self::Scalar(TypeRef::FLOAT),
            _ if schema["const"].is_string() => Self::Scalar(TypeRef::STRING),
            _ => Self::Scalar(JSON),
        }
    }

    /// Whether a value of this shape is told as it is: it is no object of which parts are selected, nor a list of such.
    pub(super) fn is_leaf(&self) -> bool {
        match self {
            Self::Object(..) => false,
            Self::List(items) => Self::of(items).is_leaf(),
            Self::Words(_) | Self::Scalar(_) => true,
        }
    }
}

/// An object whose fields are all known and have names that GraphQL can have.
fn object(schema: &Value) -> Shape<'_> {
    let is_open = !matches!(schema.get("additionalProperties"), None | Some(Value::Bool(false)));
    match schema["properties"].as_object() {
        Some(fields) if !is_open && !fields.is_empty() && fields.keys().all(|name| is_name(name)) => {
            let required = schema["required"].as_array().into_iter().flatten();
            Shape::Object(fields, required.filter_map(Value::as_str).collect())
        }
        _ => Shape::Scalar(JSON),
    }
}

/// The one type of a schema beside null.
fn kind(schema: &Value) -> Option<&str> {
    match &schema["type"] {
        Value::String(kind) => Some(kind),
        Value::Array(kinds) => {
            let mut others = kinds.iter().filter_map(Value::as_str).filter(|kind| *kind != "null");
            others.next().filter(|_| others.next().is_none())
        }
        _ => None,
    }
}

/// Of a choice between something and null, the something.
fn without_null(schema: &Value) -> &Value {
    let choices = schema["anyOf"].as_array().map(Vec::as_slice).unwrap_or_default();
    let mut others = choices.iter().filter(|choice| choice["type"] != "null");
    match (others.next(), others.next()) {
        (Some(only), None) => only,
        _ => schema,
    }
}

/// The words that a schema leaves the choice of, if it is about words alone.
fn words(schema: &Value) -> Option<Vec<(&str, Option<&str>)>> {
    let listed = match (schema["enum"].as_array(), schema["oneOf"].as_array()) {
        (Some(words), _) => plain_words(words),
        (None, Some(choices)) => {
            choices.iter().map(one_choice).collect::<Option<Vec<_>>>().map(|all| all.concat())
        }
        (None, None) => None,
    }?;
    let can_be_names =
        listed.iter().all(|(word, _)| is_name(word) && !matches!(*word, "true" | "false" | "null"));
    (can_be_names && !listed.is_empty()).then_some(listed)
}

fn plain_words(words: &[Value]) -> Option<Vec<(&str, Option<&str>)>> {
    words.iter().filter(|word| !word.is_null()).map(|word| Some((word.as_str()?, None))).collect()
}

/// The words of one choice: one with its meaning, or several without.
fn one_choice(choice: &Value) -> Option<Vec<(&str, Option<&str>)>> {
    match (choice["const"].as_str(), choice["enum"].as_array()) {
        (Some(word), _) => Some(vec![(word, choice["description"].as_str())]),
        (None, Some(words)) => plain_words(words),
        (None, None) => None,
    }
}

fn is_name(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    text.bytes().all(plain)
        && text.bytes().next().is_some_and(|first| !first.is_ascii_digit())
        && !text.starts_with("__")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_graphql_has_a_type_for_has_it_and_the_rest_is_json() {
        let closed = json!({ "type": "object", "properties": { "a": {} }, "additionalProperties": false });
        assert!(matches!(Shape::of(&closed), Shape::Object(fields, _) if fields.len() == 1));
        let scalars = [
            (json!({ "type": "string" }), TypeRef::STRING),
            (json!({ "type": ["string", "null"] }), TypeRef::STRING),
            (json!({ "anyOf": [{ "type": "boolean" }, { "type": "null" }] }), TypeRef::BOOLEAN),
            (json!({ "type": "integer", "format": "uint16" }), LONG),
            (json!({ "type": "number" }), TypeRef::FLOAT),
            (json!({ "const": "towpath/v1" }), TypeRef::STRING),
            (json!({ "type": "object", "additionalProperties": { "type": "string" } }), JSON),
            (json!({ "type": "object", "properties": { "a-b": {} } }), JSON),
            (json!({ "type": ["string", "integer"] }), JSON),
            (json!({ "oneOf": [{ "type": "object" }, { "const": "none" }] }), JSON),
            (json!({ "enum": ["not-a-name"] }), JSON),
            (json!(true), JSON),
        ];
        for (schema, scalar) in scalars {
            assert_eq!(Shape::of(&schema), Shape::Scalar(scalar), "{schema}");
        }
    }

    #[test]
    fn words_keep_what_they_mean() {
        let schema = json!({ "oneOf": [{ "const": "keep", "description": "It stays." }, { "enum": ["drop", "mask"] }] });
        let words = vec![("keep", Some("It stays.")), ("drop", None), ("mask", None)];
        assert_eq!(Shape::of(&schema), Shape::Words(words));
    }

    #[test]
    fn a_list_is_told_as_it_is_if_its_items_are() {
        let of = |items: Value| json!({ "type": "array", "items": items });
        assert!(Shape::of(&of(json!({ "type": "string" }))).is_leaf());
        let object = json!({ "type": "object", "properties": { "a": {} } });
        assert!(!Shape::of(&of(of(object))).is_leaf());
    }
}
