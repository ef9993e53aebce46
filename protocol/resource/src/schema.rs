//! The JSON Schema of each kind, from which help, forms, editors and the OpenAPI document follow.

use schemars::generate::SchemaSettings;
use schemars::transform::RecursiveTransform;
use schemars::{Schema, SchemaGenerator};
use serde_json::{Map, Value, json};

use crate::kind::Kind;
use crate::kind_of;
use crate::manifest::{API_VERSION, Metadata};
use crate::spec::Spec;

/// How schemas are made everywhere: of the draft that OpenAPI 3.1 names, and with the bounds that whole numbers have in Rust.
pub fn settings() -> SchemaSettings {
    SchemaSettings::draft2020_12().with_transform(RecursiveTransform(bounded))
}

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
    let needs_spec = spec["required"].as_array().is_some_and(|fields| !fields.is_empty());
    let required = ["apiVersion", "kind", "metadata"].into_iter().chain(needs_spec.then_some("spec"));
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
            "status": { "description": "What was observed. Not taken from manifests." },
        },
        "required": required.collect::<Vec<_>>(),
        "additionalProperties": false,
    })
}

/// The JSON Schema of manifests of this kind as the API takes them: what it added when it showed a resource may stand
/// there still, and is passed over.
pub fn taken(kind: Kind) -> Value {
    let mut schema = within_another(of(kind));
    let metadata = &mut schema["properties"]["metadata"]["properties"];
    for (name, _) in stamped() {
        metadata[&name] = json!({ "description": "As it was shown. Passed over." });
    }
    // In YAML, a key with nothing behind it is `null`.
    let may_be_empty = !schema["required"].as_array().is_some_and(|names| names.contains(&"spec".into()));
    if may_be_empty {
        schema["properties"]["spec"]["type"] = json!(["object", "null"]);
    }
    schema
}

/// The JSON Schema of merge patches (RFC 7396) of manifests of this kind: any part of one, and `null` for what need not be
/// there.
pub fn patch(kind: Kind) -> Value {
    let mut schema = partial(&taken(kind));
    schema["description"] = "The fields to change; `null` takes one out.".into();
    schema
}

/// The JSON Schema of resources of this kind as they are shown: the manifest with what the catalog and the data path add.
pub fn shown(kind: Kind) -> Value {
    let mut schema = within_another(of(kind));
    let stamped = stamped();
    if let Some(metadata) = schema["properties"]["metadata"].as_object_mut() {
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
    kind_of!(kind, S => S::status_schema(&mut generator)).map(|schema| within_another(schema.to_value()))
}

/// The schemas of all kinds by name.
pub fn all() -> Map<String, Value> {
    Kind::ALL.into_iter().map(|kind| (kind.as_str().to_owned(), of(kind))).collect()
}

/// What the catalog adds to the metadata of a resource.
fn stamped() -> Map<String, Value> {
    let Value::Object(stamped) = json!({
        "id": { "type": "string", "format": "uuid", "description": "Its identity: one that was deleted and created again has another." },
        "generation": { "type": "integer", "minimum": 1, "description": "The number of the change that made it as it is; also its `ETag`." },
        "created_at": { "type": "string", "format": "date-time", "description": "When it was created." },
        "updated_at": { "type": "string", "format": "date-time", "description": "When it was last changed." },
    }) else {
        unreachable!("it is written as an object")
    };
    stamped
}

/// A schema that stands within another and so does not say of which draft it is.
fn within_another(mut schema: Value) -> Value {
    schema.as_object_mut().map(|members| members.shift_remove("$schema"));
    schema
}

/// Any part of what the schema describes. Members that it demands can be left out but not taken out.
fn partial(schema: &Value) -> Value {
    let mut schema = schema.clone();
    let required = schema.as_object_mut().and_then(|members| members.shift_remove("required"));
    let required = required.as_ref().and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    let members = schema.get_mut("properties").and_then(Value::as_object_mut);
    for (name, member) in members.into_iter().flatten() {
        let part = partial(member);
        *member = if required.iter().any(|one| one == name) { part } else { or_null(part) };
    }
    if let Some(any) = schema.get_mut("additionalProperties").filter(|any| any.is_object()) {
        *any = or_null(any.take());
    }
    schema
}

/// What the schema describes, or nothing. Its description stays in front, where tools look for it.
fn or_null(mut schema: Value) -> Value {
    let about = schema.as_object_mut().and_then(|members| members.shift_remove("description"));
    let mut either = json!({ "anyOf": [schema, { "type": "null" }] });
    if let Some(about) = about {
        either["description"] = about;
    }
    either
}

/// Gives a whole number the bounds of its type, which its format names, and no document needs to be told.
fn bounded(schema: &mut Schema) {
    let most = match schema.get("format").and_then(Value::as_str) {
        Some("uint32") => u64::from(u32::MAX),
        Some("uint64" | "uint") => u64::MAX,
        _ => return,
    };
    if schema.get("maximum").is_none() {
        schema.insert("maximum".to_owned(), most.into());
    }
}

fn generator() -> SchemaGenerator {
    settings().with(|settings| settings.inline_subschemas = true).into_generator()
}
