//! The JSON Schema of each kind, from which help, editors and the OpenAPI document follow.

use schemars::SchemaGenerator;
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};

use crate::api::{AgentStatus, RouteStatus, SinkStatus, SiteStatus, SourceStatus};
use crate::kind::Kind;
use crate::kind_of;
use crate::manifest::{API_VERSION, Metadata};

/// The JSON Schema of manifests of this kind, complete in itself.
pub fn of(kind: Kind) -> Value {
    let mut generator = generator();
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

/// The JSON Schema of resources of this kind as they are shown: the manifest with what the catalog and the data path add.
pub fn shown(kind: Kind) -> Value {
    let mut schema = of(kind);
    if let Some(members) = schema.as_object_mut() {
        members.shift_remove("$schema");
    }
    if let Some(metadata) = schema["properties"]["metadata"].as_object_mut() {
        let Value::Object(stamped) = json!({
            "id": { "type": "string", "format": "uuid", "description": "Its identity: one that was deleted and created again has another." },
            "generation": { "type": "integer", "minimum": 1, "description": "The number of the change that made it as it is; also its `ETag`." },
            "created_at": { "type": "string", "format": "date-time", "description": "When it was created." },
            "updated_at": { "type": "string", "format": "date-time", "description": "When it was last changed." },
        }) else {
            unreachable!("it is written as an object")
        };
        let names: Vec<Value> = stamped.keys().map(|name| name.as_str().into()).collect();
        if let Some(properties) = metadata.get_mut("properties").and_then(Value::as_object_mut) {
            properties.extend(stamped);
        }
        if let Some(required) = metadata.get_mut("required").and_then(Value::as_array_mut) {
            required.extend(names);
        }
    }
    schema["required"] = json!(["apiVersion", "kind", "metadata", "spec"]);
    match status(kind) {
        Some(status) => schema["properties"]["status"] = status,
        None => drop(schema["properties"].as_object_mut().map(|members| members.shift_remove("status"))),
    }
    schema
}

/// The JSON Schema of what is observed of resources of this kind, if anything is.
pub fn status(kind: Kind) -> Option<Value> {
    let mut generator = generator();
    let schema = match kind {
        Kind::Site => generator.root_schema_for::<SiteStatus>(),
        Kind::Agent => generator.root_schema_for::<AgentStatus>(),
        Kind::Source => generator.root_schema_for::<SourceStatus>(),
        Kind::Sink => generator.root_schema_for::<SinkStatus>(),
        Kind::Route => generator.root_schema_for::<RouteStatus>(),
        _ => return None,
    };
    let mut schema = schema.to_value();
    schema.as_object_mut().map(|members| members.shift_remove("$schema"));
    Some(schema)
}

fn generator() -> SchemaGenerator {
    SchemaSettings::draft2020_12().with(|settings| settings.inline_subschemas = true).into_generator()
}

/// The schemas of all kinds by name.
pub fn all() -> Map<String, Value> {
    Kind::ALL.into_iter().map(|kind| (kind.as_str().to_owned(), of(kind))).collect()
}
