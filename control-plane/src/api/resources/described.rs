//! The endpoints of a kind, with what the OpenAPI document says of them.

use axum::http::{Method, StatusCode};
use axum::routing;
use serde_json::{Value, json};
use towpath_resource::{Kind, Object, Permission};

use super::super::endpoint::{EVENT_STREAM, Endpoint, JSON, MERGE_PATCH, YAML, named};
use super::super::problem_type::ProblemType;
use super::{delete, list, patch, put, show};
use crate::service::{DEFAULT_PAGE, MOST_ON_PAGE};

pub(super) fn of_kind(kind: Kind) -> [Endpoint; 5] {
    [list_of(kind), show_of(kind), put_of(kind), patch_of(kind), delete_of(kind)]
}

fn read(kind: Kind) -> Permission {
    Permission::read(Object::Resource(kind))
}

fn write(kind: Kind) -> Permission {
    Permission::write(Object::Resource(kind))
}

fn each(kind: Kind) -> String {
    format!("/v1/{}/{{name}}", kind.plural())
}

fn list_of(kind: Kind) -> Endpoint {
    let (many, schema) = (kind.plural(), kind.as_str());
    let handler = routing::get(move |state, asker, headers, args| list(kind, state, asker, headers, args));
    let items = json!({
        "type": "object",
        "properties": {
            "items": { "type": "array", "items": { "$ref": format!("#/components/schemas/{schema}") } },
            "next_cursor": { "type": "string", "description": "Leads to the next page: the argument `cursor`. Absent at the end." },
        },
        "required": ["items"],
    });
    let text = || json!({ "type": "string" });
    let page = json!({ "type": "integer", "minimum": 1, "maximum": MOST_ON_PAGE, "default": DEFAULT_PAGE });
    let event = json!({ "type": "integer", "minimum": 0 });
    let summary = format!("Lists the {many}, page by page, or follows them.");
    Endpoint::new(read(kind), Method::GET, format!("/v1/{many}"), handler, many, format!("list_{many}"), summary)
        .argument("limit", "Most resources on the page.", page)
        .argument("cursor", "`next_cursor` of the page before, with the same `sort` and `filter`.", text())
        .argument(
            "sort",
            "The order: `name`, `generation`, `created_at`, `updated_at` or `label:KEY`, with `-` before it from the last to the first. Default: `name`.",
            json!({ "type": "string", "pattern": "^-?(name|generation|created_at|updated_at|label:.+)$" }),
        )
        .argument(
            "filter",
            "Those for which every term holds: `name=X`, `labels.KEY=X`, `spec.FIELD=X` or `status.FIELD=X`, or `!=`, with commas between. A value with a comma stands in double quotes.",
            text(),
        )
        .argument(
            "watch",
            "Whether to follow the resources: server-sent events, first `snapshot`, then `applied` and `deleted`.",
            json!({ "type": "boolean", "default": false }),
        )
        .argument("since", "With `watch`: the number of the last event that was seen.", event.clone())
        .header("Last-Event-ID", "With `watch`: as `since`, and counts before it.", event)
        .refuses(ProblemType::Invalid)
        .refuses(ProblemType::Gone)
        .refuses(ProblemType::TooMany)
        .answers_as(vec![JSON], Box::new(|_| items))
        .or_streams(EVENT_STREAM)
}

fn show_of(kind: Kind) -> Endpoint {
    let handler = routing::get(move |state, asker, known, name| show(kind, state, asker, known, name));
    let (one, many) = (kind.noun(), kind.plural());
    let summary = format!("Shows a {one}, with its status.");
    Endpoint::new(read(kind), Method::GET, each(kind), handler, many, format!("get_{one}"), summary)
        .header(
            "If-None-Match",
            "Entity tags; if the resource has one of them, 304 comes without a body.",
            tags(),
        )
        .bare(StatusCode::NOT_MODIFIED, "The resource has one of the tags in `If-None-Match`.")
        .answers_with("ETag", TAG)
        .answers_as(vec![JSON], named(kind.as_str()))
        .refuses(ProblemType::Invalid)
}

fn put_of(kind: Kind) -> Endpoint {
    let handler = routing::put(move |state, asker, meant, name, args, text| {
        put(kind, state, asker, meant, name, args, text)
    });
    let (one, many, schema) = (kind.noun(), kind.plural(), kind.as_str());
    let summary = format!("Creates or replaces a {one}.");
    let endpoint =
        Endpoint::new(write(kind), Method::PUT, each(kind), handler, many, format!("put_{one}"), summary)
            .takes_as(vec![JSON, YAML], named(&format!("{schema}Manifest")))
            .answers_as(vec![JSON], named(schema))
            .also(StatusCode::CREATED)
            .answers_with("ETag", TAG)
            .example(example(kind), None);
    conditional(endpoint).header(
        "If-None-Match",
        "`*`: create, but replace nothing.",
        json!({ "type": "string", "const": "*" }),
    )
}

fn patch_of(kind: Kind) -> Endpoint {
    let handler = routing::patch(move |state, asker, meant, name, args, body| {
        patch(kind, state, asker, meant, name, args, body)
    });
    let (one, many) = (kind.noun(), kind.plural());
    let summary = format!(
        "Changes the fields of a {one} that the patch names (RFC 7396). Lists are replaced as a whole."
    );
    let patches = json!({ "type": "object", "description": "The fields to change; `null` takes one out." });
    let endpoint =
        Endpoint::new(write(kind), Method::PATCH, each(kind), handler, many, format!("patch_{one}"), summary)
            .takes_as(vec![MERGE_PATCH], Box::new(|_| patches))
            .example(Some(json!({ "metadata": { "labels": { "env": "prod" } } })), None)
            .answers_as(vec![JSON], named(kind.as_str()))
            .answers_with("ETag", TAG);
    conditional(endpoint)
}

fn delete_of(kind: Kind) -> Endpoint {
    let handler =
        routing::delete(move |state, asker, meant, name, args| delete(kind, state, asker, meant, name, args));
    let (one, many) = (kind.noun(), kind.plural());
    let summary = format!("Deletes a {one} that no other resource needs.");
    let endpoint = Endpoint::new(
        write(kind),
        Method::DELETE,
        each(kind),
        handler,
        many,
        format!("delete_{one}"),
        summary,
    )
    .status(StatusCode::NO_CONTENT)
    .refuses(ProblemType::Conflict);
    conditional(endpoint)
}

const TAG: &str = "The state of the resource: its generation, in quotes.";

/// A change that can be tried, and made only in a certain state.
fn conditional(endpoint: Endpoint) -> Endpoint {
    endpoint
        .argument("dry_run", "Whether to check only.", json!({ "type": "boolean", "default": false }))
        .header("If-Match", "Entity tags; the change is made only if the resource has one of them.", tags())
        .refuses(ProblemType::Stale)
        .refuses(ProblemType::Invalid)
}

fn tags() -> Value {
    json!({ "type": "string", "pattern": r#"^(\*|(W/)?"[^",]*"( *, *(W/)?"[^",]*")*)$"# })
}

/// One such resource as an admin writes it.
fn example(kind: Kind) -> Option<Value> {
    serde_saphyr::from_str(kind.example()).ok()
}
