//! Resources of every kind: listed, shown with their status, replaced and deleted, all in one way.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::{Method, StatusCode};
use axum::routing;
use serde_json::{Value, json};
use towpath_resource::{Kind, Object, Permission};

use super::endpoint::{Endpoint, JSON, YAML, named};
use super::extract::Text;
use crate::service::{Asker, Refusal, Service, Shown};

pub(super) fn endpoints() -> Vec<Endpoint> {
    Kind::ALL.into_iter().flat_map(of_kind).collect()
}

fn of_kind(kind: Kind) -> [Endpoint; 4] {
    let object = Object::Resource(kind);
    let (read, write) = (Permission::read(object), Permission::write(object));
    let (one, many, schema) = (kind.noun(), kind.plural(), kind.as_str());
    let (all, each) = (format!("/v1/{many}"), format!("/v1/{many}/{{name}}"));
    let list = routing::get(move |state, asker| list(kind, state, asker));
    let show = routing::get(move |state, asker, name| show(kind, state, asker, name));
    let put = routing::put(move |state, asker, name, text| put(kind, state, asker, name, text));
    let delete = routing::delete(move |state, asker, name| delete(kind, state, asker, name));
    let items = json!({
        "type": "object",
        "properties": { "items": { "type": "array", "items": { "$ref": format!("#/components/schemas/{schema}") } } },
    });
    [
        Endpoint::new(
            read,
            Method::GET,
            all,
            list,
            many,
            format!("list_{many}"),
            format!("Lists the {many}."),
        )
        .answers_as(vec![JSON], Box::new(|_| items)),
        Endpoint::new(
            read,
            Method::GET,
            each.clone(),
            show,
            many,
            format!("get_{one}"),
            format!("Shows a {one}, with its status."),
        )
        .answers_as(vec![JSON], named(schema)),
        Endpoint::new(
            write,
            Method::PUT,
            each.clone(),
            put,
            many,
            format!("put_{one}"),
            format!("Creates or replaces a {one}."),
        )
        .takes_as(vec![JSON, YAML], named(schema))
        .answers_as(vec![JSON], named(schema)),
        Endpoint::new(
            write,
            Method::DELETE,
            each,
            delete,
            many,
            format!("delete_{one}"),
            format!("Deletes a {one} that no other resource needs."),
        )
        .status(StatusCode::NO_CONTENT),
    ]
}

async fn list(kind: Kind, State(service): State<Service>, asker: Asker) -> Json<Value> {
    let items: Vec<_> = service.list(&asker, kind).iter().map(Shown::to_json).collect();
    Json(json!({ "items": items }))
}

async fn show(
    kind: Kind,
    State(service): State<Service>,
    asker: Asker,
    Path(name): Path<String>,
) -> Result<Json<Value>, Refusal> {
    Ok(Json(service.show(&asker, kind, &name)?.to_json()))
}

async fn put(
    kind: Kind,
    State(service): State<Service>,
    asker: Asker,
    Path(name): Path<String>,
    Text(text): Text,
) -> Result<Json<Value>, Refusal> {
    Ok(Json(service.put(&asker, kind, &name, &text).await?.to_json()))
}

async fn delete(
    kind: Kind,
    State(service): State<Service>,
    asker: Asker,
    Path(name): Path<String>,
) -> Result<StatusCode, Refusal> {
    service.delete(&asker, kind, &name).await?;
    Ok(StatusCode::NO_CONTENT)
}
