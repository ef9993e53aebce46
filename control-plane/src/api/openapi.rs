//! The OpenAPI document, made from the endpoints themselves and the JSON Schemas of the types they speak.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use axum::{Router, routing};
use schemars::SchemaGenerator;
use serde_json::{Map, Value, json};
use towpath_record::{ResourceName, StreamName};
use towpath_resource::api::problem::{self, Problem};
use towpath_resource::{Kind, schema};

use super::endpoint::{Argument, Content, Endpoint, JSON, word};
use super::problem_type::ProblemType;
use crate::service::{Need, Service};

/// The problems that every endpoint has.
const OF_ALL: [ProblemType; 7] = [
    ProblemType::Malformed,
    ProblemType::Unauthorized,
    ProblemType::Denied,
    ProblemType::RateLimited,
    ProblemType::Internal,
    ProblemType::Unavailable,
    ProblemType::Timeout,
];
/// The problems of endpoints that take a body.
const OF_BODIES: [ProblemType; 4] =
    [ProblemType::SlowBody, ProblemType::TooLarge, ProblemType::MediaType, ProblemType::Invalid];

pub(super) fn routes() -> Router<Service> {
    static DOCUMENT: LazyLock<String> = LazyLock::new(|| document().to_string());
    Router::new().route(
        "/openapi.json",
        routing::get(|| async { ([(CONTENT_TYPE, JSON)], DOCUMENT.as_str()).into_response() }),
    )
}

/// The OpenAPI 3.1 document of the API.
pub fn document() -> Value {
    let settings = schema::settings().with(|settings| {
        settings.definitions_path = "/components/schemas".into();
        settings.meta_schema = None;
    });
    let mut generator = settings.into_generator();
    let problem = generator.subschema_for::<Problem>().to_value();
    let mut paths = Map::new();
    let mut topics = Vec::new();
    for endpoint in super::endpoints() {
        if !topics.contains(&endpoint.topic) {
            topics.push(endpoint.topic);
        }
        let (path, method) = (endpoint.path.clone(), endpoint.method.as_str().to_ascii_lowercase());
        let operation = operation(endpoint, &mut generator);
        let entry = paths.entry(path).or_insert_with(|| json!({}));
        entry[method] = operation;
    }
    let mut schemas = generator.take_definitions(true);
    for kind in Kind::ALL {
        schemas.insert(format!("{}Manifest", kind.as_str()), schema::taken(kind));
        schemas.insert(format!("{}Patch", kind.as_str()), schema::patch(kind));
        schemas.insert(kind.as_str().to_owned(), schema::shown(kind));
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Towpath",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "The control plane's admin API. Every refusal is a problem as in RFC 9457.",
            "license": { "name": "Apache-2.0", "identifier": "Apache-2.0" },
        },
        "servers": [{ "url": "/" }],
        "tags": topics.iter().map(|topic| json!({ "name": topic })).collect::<Vec<_>>(),
        "security": [{ "bearer": [] }],
        "paths": paths,
        "components": {
            "securitySchemes": { "bearer": security_scheme() },
            "headers": { "X-Request-Id": request_id() },
            "responses": responses(&problem),
            "schemas": schemas,
        },
    })
}

fn security_scheme() -> Value {
    json!({
        "type": "http",
        "scheme": "bearer",
        "description": "The token of an admin, shown once when the control plane first starts, or another that it gave.",
    })
}

fn request_id() -> Value {
    let about = "The request's id, which problems, log lines and the audit trail bear too.";
    json!({ "description": about, "schema": { "type": "string", "format": "uuid" } })
}

/// One response for each status with which problems come.
fn responses(problem: &Value) -> Map<String, Value> {
    let mut by_status: BTreeMap<u16, Vec<ProblemType>> = BTreeMap::new();
    for kind in ProblemType::ALL {
        by_status.entry(kind.status().as_u16()).or_default().push(*kind);
    }
    let content = json!({ problem::CONTENT_TYPE: { "schema": problem } });
    let headers = json!({ "X-Request-Id": { "$ref": "#/components/headers/X-Request-Id" } });
    let response = |about: String| json!({ "description": about, "headers": headers, "content": content });
    let mut responses = Map::new();
    for (status, kinds) in by_status {
        let about: Vec<_> =
            kinds.iter().map(|kind| format!("`{}`: {}", kind.uri(), kind.meaning())).collect();
        let mut response = response(about.join("\n\n"));
        if kinds.contains(&ProblemType::PartlyRefused) {
            // The report of `/v1/apply` comes in the same document.
            response["content"][problem::CONTENT_TYPE]["schema"] = json!({ "allOf": [problem] });
        }
        responses.insert(name_of(status), response);
    }
    responses.insert("Problem".to_owned(), response("Why the request was refused.".to_owned()));
    responses
}

fn name_of(status: u16) -> String {
    format!("Problem{status}")
}

fn operation(endpoint: Endpoint, generator: &mut SchemaGenerator) -> Value {
    let problems = problems(&endpoint);
    let parameters = parameters(&endpoint);
    let mut answer = json!({
        "description": "Done.",
        "headers": { "X-Request-Id": { "$ref": "#/components/headers/X-Request-Id" } },
    });
    for (name, about) in &endpoint.answers_with {
        answer["headers"][name] = json!({ "description": about, "schema": { "type": "string" } });
    }
    let mut responses = Map::new();
    for (status, when) in &endpoint.bare {
        let mut bare = answer.clone();
        bare["description"] = (*when).into();
        responses.insert(status.as_str().to_owned(), bare);
    }
    if let Some(answers) = endpoint.answers {
        answer["content"] = content(answers, generator);
    }
    for status in std::iter::once(endpoint.status).chain(endpoint.also) {
        responses.insert(status.as_str().to_owned(), answer.clone());
    }
    for status in problems {
        let reference = format!("#/components/responses/{}", name_of(status));
        responses.insert(status.to_string(), json!({ "$ref": reference }));
    }
    responses.insert("default".to_owned(), json!({ "$ref": "#/components/responses/Problem" }));
    let mut operation = json!({
        "operationId": endpoint.name,
        "summary": endpoint.summary,
        "tags": [endpoint.topic],
        "x-permission": match endpoint.need {
            Need::Permission(permission) => permission.to_string(),
            Need::DecidedByContent => "as the content needs".to_owned(),
            Need::ToBeKnown => "to be known".to_owned(),
            Need::Nothing => "none".to_owned(),
        },
        "parameters": parameters,
        "responses": responses,
    });
    if endpoint.need == Need::Nothing {
        operation["security"] = json!([]);
    } else if !endpoint.guarded {
        operation["security"] = json!([{}, { "bearer": [] }]);
    }
    if let Some(takes) = endpoint.takes {
        operation["requestBody"] = json!({ "required": true, "content": content(takes, generator) });
    }
    operation
}

/// The statuses of an endpoint's problems, in order.
fn problems(endpoint: &Endpoint) -> Vec<u16> {
    let mut kinds = [&OF_ALL[..], &endpoint.problems].concat();
    if endpoint.path.contains('{') {
        kinds.push(ProblemType::NotFound);
    }
    if endpoint.takes.is_some() {
        kinds.extend(OF_BODIES);
    }
    if !endpoint.arguments.is_empty() {
        kinds.push(ProblemType::Invalid);
    }
    let mut statuses: Vec<_> = kinds.into_iter().map(|kind| kind.status().as_u16()).collect();
    statuses.sort_unstable();
    statuses.dedup();
    statuses
}

fn parameters(endpoint: &Endpoint) -> Vec<Value> {
    let in_path = endpoint.path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'));
    let mut parameters: Vec<_> = in_path
        .map(|name| {
            let schema = match name {
                "name" => word::<ResourceName>(),
                "stream" => word::<StreamName>(),
                "kind" => json!({ "type": "string", "enum": Kind::ALL.map(Kind::plural) }),
                _ => json!({ "type": "string", "minLength": 1, "maxLength": 255 }),
            };
            json!({ "name": name, "in": "path", "required": true, "schema": schema })
        })
        .collect();
    for (place, arguments) in [("query", &endpoint.arguments), ("header", &endpoint.headers)] {
        let described = arguments.iter().map(
            |Argument { name, about, schema, required }| json!({ "name": name, "in": place, "description": about, "required": required, "schema": schema }),
        );
        parameters.extend(described);
    }
    parameters
}

fn content(content: Content, generator: &mut SchemaGenerator) -> Value {
    let schema = (content.schema)(generator);
    let described = |kind: &str| {
        let mut media = json!({ "schema": schema });
        if let Some(example) = &content.example {
            media["example"] = example.clone();
        }
        (kind.to_owned(), media)
    };
    let mut by_type: Map<_, _> = content.types.iter().map(|kind| described(kind)).collect();
    if let Some(stream) = content.or_stream {
        by_type.insert(stream.to_owned(), json!({ "schema": { "type": "string" } }));
    }
    Value::Object(by_type)
}
