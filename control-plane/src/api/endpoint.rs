//! An endpoint and what the OpenAPI document says of it, in one place, so that neither can go without the other.

use axum::http::{Method, StatusCode};
use axum::routing::MethodRouter;
use schemars::{JsonSchema, SchemaGenerator};
use serde_json::{Value, json};
use towpath_catalog::Interface;
use towpath_resource::schema;

use super::problem_type::ProblemType;
use crate::service::{Need, Service};

/// The JSON Schema of a type, from a generator that collects what it refers to.
pub(super) type SchemaOf = Box<dyn FnOnce(&mut SchemaGenerator) -> Value>;

/// An endpoint.
pub(super) struct Endpoint {
    pub(super) need: Need,
    /// Whether the guard stands before it. Else its handler finds out who asks.
    pub(super) guarded: bool,
    /// The interface that it is part of.
    pub(super) interface: Interface,
    pub(super) method: Method,
    pub(super) path: String,
    pub(super) handler: MethodRouter<Service>,
    pub(super) topic: &'static str,
    pub(super) name: String,
    pub(super) summary: String,
    pub(super) arguments: Vec<Argument>,
    pub(super) takes: Option<Content>,
    pub(super) answers: Option<Content>,
    pub(super) status: StatusCode,
    /// Other statuses with which the same body can come.
    pub(super) also: Vec<StatusCode>,
    /// Statuses without a body, with when they come.
    pub(super) bare: Vec<(StatusCode, &'static str)>,
    /// The headers it reads.
    pub(super) headers: Vec<Argument>,
    /// The headers of its answer, with what they say.
    pub(super) answers_with: Vec<(&'static str, &'static str)>,
    /// The problems it has beside those that every endpoint has.
    pub(super) problems: Vec<ProblemType>,
}

/// An argument behind the `?` of the address, or a header.
pub(super) struct Argument {
    pub(super) name: &'static str,
    pub(super) about: &'static str,
    pub(super) schema: Value,
    /// Whether nothing can be answered without it.
    pub(super) required: bool,
}

/// A body.
pub(super) struct Content {
    pub(super) types: Vec<&'static str>,
    pub(super) schema: SchemaOf,
    pub(super) example: Option<Value>,
    /// The content type of a stream that can come in its place.
    pub(super) or_stream: Option<&'static str>,
}

pub(super) const JSON: &str = "application/json";
pub(super) const YAML: &str = "application/yaml";
pub(super) const LINES: &str = "application/x-ndjson";
pub(super) const MERGE_PATCH: &str = "application/merge-patch+json";
pub(super) const EVENT_STREAM: &str = "text/event-stream";

impl Endpoint {
    /// An endpoint that answers 200. `name` is the operation's id in the document.
    pub(super) fn new(
        need: impl Into<Need>,
        method: Method,
        path: impl Into<String>,
        handler: MethodRouter<Service>,
        topic: &'static str,
        name: impl Into<String>,
        summary: impl Into<String>,
    ) -> Self {
        Self {
            need: need.into(),
            guarded: true,
            interface: Interface::Rest,
            method,
            path: path.into(),
            handler,
            topic,
            name: name.into(),
            summary: summary.into(),
            arguments: Vec::new(),
            takes: None,
            answers: None,
            status: StatusCode::OK,
            also: Vec::new(),
            bare: Vec::new(),
            headers: Vec::new(),
            answers_with: Vec::new(),
            problems: Vec::new(),
        }
    }

    /// As part of another interface than REST.
    pub(super) fn over(self, interface: Interface) -> Self {
        Self { interface, ..self }
    }

    /// Finds out itself who asks, maybe later than in the request.
    pub(super) fn unguarded(self) -> Self {
        Self { guarded: false, ..self }
    }

    /// Takes an argument of this JSON Schema.
    pub(super) fn argument(mut self, name: &'static str, about: &'static str, schema: Value) -> Self {
        self.arguments.push(Argument { name, about, schema, required: false });
        self
    }

    /// Needs an argument of this JSON Schema.
    pub(super) fn needs(mut self, name: &'static str, about: &'static str, schema: Value) -> Self {
        self.arguments.push(Argument { name, about, schema, required: true });
        self
    }

    /// Takes a body of JSON.
    pub(super) fn takes<T: JsonSchema>(self) -> Self {
        self.takes_as(vec![JSON], Box::new(|generator| generator.subschema_for::<T>().to_value()))
    }

    /// Takes a body of these content types.
    pub(super) fn takes_as(mut self, types: Vec<&'static str>, schema: SchemaOf) -> Self {
        self.takes = Some(Content { types, schema, example: None, or_stream: None });
        self
    }

    /// Answers with JSON.
    pub(super) fn answers<T: JsonSchema>(self) -> Self {
        self.answers_as(vec![JSON], Box::new(|generator| generator.subschema_for::<T>().to_value()))
    }

    /// Answers with a body of these content types.
    pub(super) fn answers_as(mut self, types: Vec<&'static str>, schema: SchemaOf) -> Self {
        self.answers = Some(Content { types, schema, example: None, or_stream: None });
        self
    }

    /// Answers the same body with this status too.
    pub(super) fn also(mut self, status: StatusCode) -> Self {
        self.also.push(status);
        self
    }

    /// Answers without a body with this status too.
    pub(super) fn bare(mut self, status: StatusCode, when: &'static str) -> Self {
        self.bare.push((status, when));
        self
    }

    /// Reads a header of this JSON Schema.
    pub(super) fn header(mut self, name: &'static str, about: &'static str, schema: Value) -> Self {
        self.headers.push(Argument { name, about, schema, required: false });
        self
    }

    /// Answers with a header.
    pub(super) fn answers_with(mut self, name: &'static str, about: &'static str) -> Self {
        self.answers_with.push((name, about));
        self
    }

    /// Can be refused with this problem, beside those that every endpoint has.
    pub(super) fn refuses(mut self, problem: ProblemType) -> Self {
        self.problems.push(problem);
        self
    }

    /// Answers with a stream of this content type in place of the body, if that is asked for.
    pub(super) fn or_streams(mut self, kind: &'static str) -> Self {
        if let Some(content) = &mut self.answers {
            content.or_stream = Some(kind);
        }
        self
    }

    /// With an example of the body it takes and of the one it answers.
    pub(super) fn example(mut self, takes: Option<Value>, answers: Option<Value>) -> Self {
        if let Some(content) = &mut self.takes {
            content.example = takes;
        }
        if let Some(content) = &mut self.answers {
            content.example = answers;
        }
        self
    }

    /// Answers with another status than 200.
    pub(super) fn status(mut self, status: StatusCode) -> Self {
        self.status = status;
        self
    }
}

/// The JSON Schema of a type that is as short as a word.
pub(super) fn word<T: JsonSchema>() -> Value {
    let settings = schema::settings().with(|settings| settings.inline_subschemas = true);
    settings.into_generator().subschema_for::<T>().to_value()
}

/// The JSON Schema of the number of an event, or of a count.
pub(super) fn number() -> Value {
    json!({ "type": "integer", "minimum": 0, "maximum": u64::MAX })
}

/// The JSON Schema of an argument that is a place in a log.
pub(super) fn place() -> Value {
    json!({ "anyOf": [
        { "enum": ["earliest", "latest"] },
        { "type": "string", "pattern": "^[0-9]{1,19}$", "description": "An offset." },
        { "type": "string", "format": "date-time" },
    ] })
}

/// A schema that is named in the document's components.
pub(super) fn named(name: &str) -> SchemaOf {
    let reference = format!("#/components/schemas/{name}");
    Box::new(move |_| json!({ "$ref": reference }))
}
