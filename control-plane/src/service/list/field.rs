//! A field of a resource, as a filter names it.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::LazyLock;

use serde_json::Value;
use towpath_resource::{Kind, nearest, schema};

/// The schemas of what can be named of each kind: of its spec, and of its status if it has one. Made once, since to make
/// one takes longer than to look at many resources.
static SCHEMAS: LazyLock<BTreeMap<Kind, (Value, Option<Value>)>> = LazyLock::new(|| {
    let of = |kind| (schema::of(kind)["properties"]["spec"].take(), schema::status(kind));
    Kind::ALL.into_iter().map(|kind| (kind, of(kind))).collect()
});

/// A field of a resource.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Field {
    /// `name`
    Name,
    /// `labels.KEY`; whatever stands behind the first dot is the key, dots included.
    Label(String),
    /// `spec.PATH`
    Spec(Vec<String>),
    /// `status.PATH`
    Status(Vec<String>),
}

impl Field {
    /// Reads a field's name. Whether a kind has it, [`Field::check`] says.
    pub(super) fn read(text: &str) -> Result<Self, String> {
        let heads = ["name", "labels", "spec", "status"];
        let (head, rest) = text.split_once('.').map_or((text, None), |(head, rest)| (head, Some(rest)));
        let path = |rest: &str| rest.split('.').map(str::to_owned).collect::<Vec<_>>();
        let whole = |parts: &[String]| parts.iter().all(|part| !part.is_empty());
        match (head, rest) {
            ("name", None) => Ok(Self::Name),
            ("labels", Some(key)) if !key.is_empty() => Ok(Self::Label(key.to_owned())),
            ("spec", Some(rest)) if whole(&path(rest)) => Ok(Self::Spec(path(rest))),
            ("status", Some(rest)) if whole(&path(rest)) => Ok(Self::Status(path(rest))),
            _ => {
                let near = nearest(head, heads).filter(|near| *near != head);
                let hint = near.map(|near| format!("; did you mean `{near}`?")).unwrap_or_default();
                Err(format!("`{text}` is no field; write name, labels.KEY, spec.FIELD or status.FIELD{hint}"))
            }
        }
    }

    /// Whether it can be looked at without making JSON of a resource.
    pub(super) fn is_at_hand(&self) -> bool {
        matches!(self, Self::Name | Self::Label(_))
    }

    /// Whether resources of this kind have the field, as far as their schema says.
    pub(super) fn check(&self, kind: Kind) -> Result<(), String> {
        let (spec, status) = &SCHEMAS[&kind];
        let (part, schema, path) = match self {
            Self::Name | Self::Label(_) => return Ok(()),
            Self::Spec(path) => ("spec", Some(spec), path),
            Self::Status(path) => ("status", status.as_ref(), path),
        };
        let Some(schema) = schema else {
            return Err(format!("nothing is observed of a {kind}, so that it has no status"));
        };
        let mut here = schema;
        for (depth, step) in path.iter().enumerate() {
            // Behind what the schema leaves open, such as an adapter's settings, any name may stand.
            let Some(known) = here.get("properties").and_then(Value::as_object) else { return Ok(()) };
            here = known.get(step).ok_or_else(|| {
                let near = nearest(step, known.keys().map(String::as_str));
                let hint = near.map(|near| format!("; did you mean `{near}`?")).unwrap_or_default();
                format!("a {kind} has no field {part}.{}{hint}", path[..=depth].join("."))
            })?;
        }
        Ok(())
    }
}

/// Whether a value at the path, or one of them where the path leads through lists, is written like this text.
pub(super) fn holds(value: &Value, path: &[String], text: &str) -> bool {
    match (value, path.split_first()) {
        (Value::Array(items), _) => items.iter().any(|item| holds(item, path, text)),
        (Value::Object(members), Some((step, rest))) => {
            members.get(step).is_some_and(|member| holds(member, rest, text))
        }
        (Value::String(found), None) => found == text,
        (Value::Bool(found), None) => text.parse() == Ok(*found),
        (Value::Number(found), None) => found.to_string() == text,
        _ => false,
    }
}

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name => f.write_str("name"),
            Self::Label(key) => write!(f, "labels.{key}"),
            Self::Spec(path) => write!(f, "spec.{}", path.join(".")),
            Self::Status(path) => write!(f, "status.{}", path.join(".")),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_field_that_no_such_resource_has_is_refused_with_the_nearest() {
        let said = |text: &str, kind| Field::read(text).unwrap().check(kind).unwrap_err();
        assert!(said("spec.agnt", Kind::Source).contains("did you mean `agent`?"));
        assert!(said("spec.capture.max_row", Kind::Source).contains("did you mean `max_rows`?"));
        assert!(said("status.conditon", Kind::Route).contains("did you mean `condition`?"));
        assert!(said("status.condition", Kind::Role).contains("nothing is observed"));
        assert!(Field::read("spec.config.any.thing").unwrap().check(Kind::Source).is_ok());
        assert!(Field::read("status.spool.bytes").unwrap().check(Kind::Agent).is_ok());
        assert!(Field::read("label.env").unwrap_err().contains("did you mean `labels`?"));
        for text in ["", "name.x", "labels", "labels.", "spec", "spec..a", "status."] {
            assert!(Field::read(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_path_leads_through_lists_and_numbers_are_compared_as_they_are_written() {
        let value = json!({ "streams": ["erp.a", "erp.b"], "n": 5, "on": true, "by": [{ "user": "ada" }] });
        let at = |path: &str, text: &str| {
            let path: Vec<_> = path.split('.').map(str::to_owned).collect();
            holds(&value, &path, text)
        };
        assert!(at("streams", "erp.b") && at("n", "5") && at("on", "true") && at("by.user", "ada"));
        assert!(!at("streams", "erp.c") && !at("n", "5.0") && !at("by", "ada") && !at("gone", ""));
    }
}
