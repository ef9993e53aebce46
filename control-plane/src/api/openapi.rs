//! The OpenAPI document, made from the endpoints themselves and the JSON Schemas of the types they speak.

use std::sync::LazyLock;

use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use axum::{Router, routing};
use schemars::SchemaGenerator;
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};
use towpath_resource::api::problem::{self, Problem};

use super::endpoint::{Content, Endpoint, JSON};
use crate::service::Service;

pub(super) fn routes() -> Router<Service> {
    static DOCUMENT: LazyLock<String> = LazyLock::new(|| document().to_string());
    Router::new().route(
        "/openapi.json",
        routing::get(|| async { ([(CONTENT_TYPE, JSON)], DOCUMENT.as_str()).into_response() }),
    )
}

/// The document.
pub(super) fn document() -> Value {
    let settings = SchemaSettings::draft2020_12().with(|settings| {
        settings.definitions_path = "/components/schemas".into();
        settings.meta_schema = None;
    });
    let mut generator = settings.into_generator();
    let problem = generator.subschema_for::<Problem>().to_value();
    let mut paths = Map::new();
    for endpoint in super::endpoints() {
        let (path, method) = (endpoint.path.clone(), endpoint.method.as_str().to_ascii_lowercase());
        let operation = operation(endpoint, &mut generator);
        let entry = paths.entry(path).or_insert_with(|| json!({}));
        entry[method] = operation;
    }
    let mut schemas = generator.take_definitions(true);
    for (kind, mut schema) in towpath_resource::schema::all() {
        schema.as_object_mut().map(|members| members.shift_remove("$schema"));
        schemas.insert(kind, schema);
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Towpath",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "The control plane's admin API. Every refusal is a problem as in RFC 9457.",
            "license": { "name": "Apache-2.0", "identifier": "Apache-2.0" },
        },
        "security": [{ "admin": [] }],
        "paths": paths,
        "components": {
            "securitySchemes": {
                "admin": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "The admin token, shown once when the control plane first starts.",
                },
            },
            "responses": {
                "Problem": {
                    "description": "Why the request was refused.",
                    "content": { problem::CONTENT_TYPE: { "schema": problem } },
                },
            },
            "schemas": schemas,
        },
    })
}

fn operation(endpoint: Endpoint, generator: &mut SchemaGenerator) -> Value {
    let in_path = endpoint.path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'));
    let mut parameters: Vec<_> = in_path
        .map(|name| json!({ "name": name, "in": "path", "required": true, "schema": { "type": "string" } }))
        .collect();
    parameters.extend(endpoint.arguments.into_iter().map(
        |argument| json!({ "name": argument.name, "in": "query", "description": argument.about, "schema": argument.schema }),
    ));
    let mut answer = json!({ "description": "Done." });
    if let Some(answers) = endpoint.answers {
        answer["content"] = content(answers, generator);
    }
    let mut operation = json!({
        "operationId": endpoint.name,
        "summary": endpoint.summary,
        "tags": [endpoint.topic],
        "parameters": parameters,
        "responses": {
            endpoint.status.as_str(): answer,
            "default": { "$ref": "#/components/responses/Problem" },
        },
    });
    if let Some(also) = endpoint.also {
        operation["responses"][also.as_str()] = operation["responses"][endpoint.status.as_str()].clone();
    }
    if let Some(takes) = endpoint.takes {
        operation["requestBody"] = json!({ "required": true, "content": content(takes, generator) });
    }
    operation
}

fn content(content: Content, generator: &mut SchemaGenerator) -> Value {
    let schema = (content.schema)(generator);
    let by_type = content.types.into_iter().map(|kind| (kind.to_owned(), json!({ "schema": schema })));
    Value::Object(by_type.collect())
}
