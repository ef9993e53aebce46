//! The JSON Schema of each kind, from which help, editors and the OpenAPI document follow.

use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};

use crate::kind::Kind;
use crate::kind_of;
use crate::manifest::{API_VERSION, Metadata};

/// The JSON Schema of manifests of this kind, complete in itself.
pub fn of(kind: Kind) -> Value {
    let mut generator =
        SchemaSettings::draft2020_12().with(|settings| settings.inline_subschemas = true).into_generator();
    let spec = kind_of!(kind, S => generator.root_schema_for::<S>());
    let metadata = generator.root_schema_for::<Metadata>();
    let mut spec = spec.to_value();
    let about = spec.get("description").cloned().unwrap_or_default();
    let mut metadata = metadata.to_value();
    for part in [&mut spec, &mut metadata] {
        part.as_object_mut().map(|members| members.shift_remove("$schema"));
    }
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": kind.as_str(),
        "description": about,
        "type": "object",
        "properties": {
            "apiVersion": { "const": API_VERSION, "description": "The version of the resource model." },
            "kind": { "const": kind.as_str(), "description": "The kind of resource." },
            "metadata": metadata,
            "spec": spec,
            "status": { "type": "object", "description": "What was observed. Not taken from manifests." },
        },
        "required": ["apiVersion", "kind", "metadata"],
        "additionalProperties": false,
    })
}

/// The schemas of all kinds by name.
pub fn all() -> Map<String, Value> {
    Kind::ALL.into_iter().map(|kind| (kind.as_str().to_owned(), of(kind))).collect()
}
