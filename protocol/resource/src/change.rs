//! What is different between two versions of a resource, field by field.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::manifest::AnyManifest;

/// A field that is different. Lists are one value.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct FieldChange {
    /// Its path, such as `spec.retry.first`.
    pub field: String,
    /// What it was, if it was there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<Value>,
    /// What it is, if it is there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<Value>,
}

/// The fields that are different, in the order of their paths. Without a manifest there is no field.
pub fn field_changes(before: Option<&AnyManifest>, after: Option<&AnyManifest>) -> Vec<FieldChange> {
    let (mut before, mut after) = (fields(before), fields(after));
    let mut paths: Vec<_> = before.keys().chain(after.keys()).cloned().collect();
    paths.sort();
    paths.dedup();
    let changes = paths.into_iter().map(|field| {
        let (from, to) = (before.remove(&field), after.remove(&field));
        FieldChange { field, from, to }
    });
    changes.filter(|change| change.from != change.to).collect()
}

fn fields(manifest: Option<&AnyManifest>) -> BTreeMap<String, Value> {
    let mut fields = BTreeMap::new();
    if let Some(manifest) = manifest {
        let json = serde_json::to_value(manifest).expect("a manifest is always JSON");
        for (path, pointer) in [("metadata.labels", "/metadata/labels"), ("spec", "/spec")] {
            if let Some(value) = json.pointer(pointer) {
                flatten(path, value, &mut fields);
            }
        }
    }
    fields
}

fn flatten(path: &str, value: &Value, fields: &mut BTreeMap<String, Value>) {
    match value {
        Value::Object(members) => {
            for (name, member) in members {
                flatten(&format!("{path}.{name}"), member, fields);
            }
        }
        other => drop(fields.insert(path.to_owned(), other.clone())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::document::parse_documents;

    fn manifest(labels: &str, spec: &str) -> AnyManifest {
        let text = format!(
            "apiVersion: towpath/v1\nkind: Route\nmetadata: {{name: r, labels: {labels}}}\nspec: {spec}\n"
        );
        parse_documents(&text).unwrap().remove(0).manifest.unwrap()
    }

    #[test]
    fn each_field_that_differs_is_named_with_both_values_and_no_other() {
        let before = manifest("{tier: test}", "{streams: [a, b], sink: crm}");
        let after = manifest("{}", "{streams: [a], sink: crm}");
        let changes = field_changes(Some(&before), Some(&after));
        let named: Vec<_> = changes.iter().map(|change| change.field.as_str()).collect();
        assert_eq!(named, ["metadata.labels.tier", "spec.streams"]);
        assert_eq!((&changes[0].from, &changes[0].to), (&Some("test".into()), &None));
        assert_eq!(changes[1].to, Some(serde_json::json!(["a"])));
        assert_eq!(field_changes(Some(&before), Some(&before)), []);
        assert!(field_changes(None, Some(&after)).iter().all(|change| change.from.is_none()));
    }
}
