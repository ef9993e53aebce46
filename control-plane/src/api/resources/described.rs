//! The endpoints of a kind, with what the OpenAPI document says of them.

use axum::http::{Method, StatusCode};
use axum::routing;
use serde_json::{Value, json};
use towpath_resource::{Kind, Object, Permission};

use super::super::endpoint::{EVENT_STREAM, Endpoint, JSON, MERGE_PATCH, YAML, named, number};
use super::super::limit::Limit;
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
    let page = Limit { default: DEFAULT_PAGE, most: MOST_ON_PAGE }.schema();
    let summary = format!("Lists the {many}, page by page, or follows them.");
    Endpoint::new(read(kind), Method::GET, format!("/v1/{many}"), handler, many, format!("list_{many}"), summary)
        .argument("limit", "Most resources on the page. Not with `watch`.", page)
        .argument("cursor", "`next_cursor` of the page before, with the same `sort` and `filter`. Not with `watch`.", text())
        .argument(
            "sort",
            "The order: `name`, `generation`, `created_at`, `updated_at` or `label:KEY`, with `-` before it from the last to the first. Default: `name`. Not with `watch`.",
            json!({ "type": "string", "pattern": "^-?(name|generation|created_at|updated_at|label:.+)$" }),
        )
        .argument(
            "filter",
            "Those for which every term holds: `name=X`, `labels.KEY=X`, `spec.FIELD=X` or `status.FIELD=X`, or `!=`, with commas between. A value with a comma stands in double quotes.",
            json!({ "type": "string", "pattern": FILTER }),
        )
        .argument(
            "watch",
            "Whether to follow the resources: server-sent events, first `snapshot`, then `applied` and `deleted`.",
            json!({ "type": "boolean", "default": false }),
        )
        .argument("since", "With `watch` only: the number of the last event that was seen.", number())
        .header("Last-Event-ID", "With `watch` only: as `since`, and counts before it.", number())
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
    let endpoint =
        Endpoint::new(write(kind), Method::PATCH, each(kind), handler, many, format!("patch_{one}"), summary)
            .takes_as(vec![MERGE_PATCH], named(&format!("{}Patch", kind.as_str())))
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

/// Entity tags of RFC 9110 with what can stand in a header.
const TAGS: &str = r#"^(\*|(W/)?"[!#-+\--~]*"( *, *(W/)?"[!#-+\--~]*"){0,31})$"#;

/// Terms with commas between, each with a field that there can be.
const FILTER: &str = concat!(
    r#"^((name|labels\.[^=!,]+|(spec|status)(\.[^=!,.\s]+)+)!?=([^",][^,]*)?"#,
    r#"(,(name|labels\.[^=!,]+|(spec|status)(\.[^=!,.\s]+)+)!?=([^",][^,]*)?){0,31})?$"#
);

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
    json!({ "type": "string", "pattern": TAGS })
}

/// One such resource as an admin writes it.
fn example(kind: Kind) -> Option<Value> {
    serde_saphyr::from_str(kind.example()).ok()
}
