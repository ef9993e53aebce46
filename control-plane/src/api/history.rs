//! The history of resources, and the way back: the same for every kind.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::Method;
use axum::routing;
use serde_json::Value;
use towpath_resource::api::{Listed, ResourceVersion, RollbackOrder};
use towpath_resource::{Kind, Object, Permission};

use super::endpoint::{Endpoint, JSON, named};
use super::extract::Body;
use crate::service::{Asker, Refusal, Service};

pub(super) fn endpoints() -> Vec<Endpoint> {
    Kind::ALL.into_iter().flat_map(of_kind).collect()
}

fn of_kind(kind: Kind) -> [Endpoint; 2] {
    let object = Object::Resource(kind);
    let (one, many) = (kind.noun(), kind.plural());
    let history = routing::get(move |state, asker, name| history(kind, state, asker, name));
    let rollback = routing::post(move |state, asker, name, order| rollback(kind, state, asker, name, order));
    [
        Endpoint::new(
            Permission::read(object),
            Method::GET,
            format!("/v1/{many}/{{name}}/history"),
            history,
            many,
            format!("history_of_{one}"),
            format!("Lists every version of a {one}: who changed what, field by field."),
        )
        .answers::<Listed<ResourceVersion>>(),
        Endpoint::new(
            Permission::write(object),
            Method::POST,
            format!("/v1/{many}/{{name}}/rollback"),
            rollback,
            many,
            format!("rollback_{one}"),
            format!("Makes a {one} as it was at an earlier generation."),
        )
        .takes::<RollbackOrder>()
        .answers_as(vec![JSON], named(kind.as_str())),
    ]
}

async fn history(
    kind: Kind,
    State(service): State<Service>,
    asker: Asker,
    Path(name): Path<String>,
) -> Result<Json<Listed<ResourceVersion>>, Refusal> {
    Ok(Json(Listed { items: service.history(&asker, kind, &name).await? }))
}

async fn rollback(
    kind: Kind,
    State(service): State<Service>,
    asker: Asker,
    Path(name): Path<String>,
    Body(order): Body<RollbackOrder>,
) -> Result<Json<Value>, Refusal> {
    Ok(Json(service.rollback(&asker, kind, &name, order.to).await?.to_json()))
}
