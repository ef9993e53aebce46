//! The schemas of streams: listed, shown, compared, and accepted for a route.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::Method;
use axum::routing;
use serde::Deserialize;
use serde_json::json;
use towpath_record::ResourceName;
use towpath_resource::api::{
    AcceptOrder, Listed, SchemaAccepted, SchemaDescription, SchemaDiff, StreamSchemas,
};
use towpath_resource::{Object, Permission};

use super::endpoint::{Endpoint, word};
use super::extract::{Args, Body};
use crate::service::{Asker, Refusal, Service};

pub(super) fn endpoints() -> Vec<Endpoint> {
    let source = "The source that brings the stream. Needed only where several do.";
    let version = || json!({ "type": "integer", "minimum": 1, "maximum": u32::MAX });
    vec![
        Endpoint::new(
            Permission::read(Object::Schema),
            Method::GET,
            "/v1/schemas",
            routing::get(list),
            "schemas",
            "list_schemas",
            "Lists the schemas of streams with how many versions they had and what changed last.",
        )
        .answers::<Listed<StreamSchemas>>(),
        Endpoint::new(
            Permission::read(Object::Schema),
            Method::GET,
            "/v1/schemas/{stream}",
            routing::get(show),
            "schemas",
            "get_schema",
            "Shows a version of a stream's schema, and what changed from version to version.",
        )
        .argument("version", "The version. Default: the newest.", version())
        .argument("source", source, word::<ResourceName>())
        .answers::<SchemaDescription>(),
        Endpoint::new(
            Permission::read(Object::Schema),
            Method::GET,
            "/v1/schemas/{stream}/diff",
            routing::get(diff),
            "schemas",
            "diff_schema",
            "Compares two versions of a stream's schema.",
        )
        .needs("from", "The one version.", version())
        .needs("to", "The other version.", version())
        .argument("source", source, word::<ResourceName>())
        .answers::<SchemaDiff>(),
        Endpoint::new(
            Permission::operate(Object::Schema),
            Method::POST,
            "/v1/routes/{name}/accept",
            routing::post(accept),
            "schemas",
            "accept_schema",
            "Accepts a version of a schema for a route that stopped before it, or will.",
        )
        .takes::<AcceptOrder>()
        .answers::<SchemaAccepted>(),
    ]
}

async fn list(State(service): State<Service>, asker: Asker) -> Json<Listed<StreamSchemas>> {
    Json(Listed { items: service.schemas(&asker) })
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ShowArgs {
    version: Option<u32>,
    source: Option<String>,
}

async fn show(
    State(service): State<Service>,
    asker: Asker,
    Path(stream): Path<String>,
    Args(args): Args<ShowArgs>,
) -> Result<Json<SchemaDescription>, Refusal> {
    Ok(Json(service.schema(&asker, &stream, args.version, args.source.as_deref())?))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct DiffArgs {
    from: u32,
    to: u32,
    source: Option<String>,
}

async fn diff(
    State(service): State<Service>,
    asker: Asker,
    Path(stream): Path<String>,
    Args(args): Args<DiffArgs>,
) -> Result<Json<SchemaDiff>, Refusal> {
    Ok(Json(service.schema_diff(&asker, &stream, (args.from, args.to), args.source.as_deref())?))
}

async fn accept(
    State(service): State<Service>,
    asker: Asker,
    Path(name): Path<String>,
    Body(order): Body<AcceptOrder>,
) -> Result<Json<SchemaAccepted>, Refusal> {
    Ok(Json(service.accept_schema(&asker, &name, order).await?))
}
