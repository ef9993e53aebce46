//! Keys, with which programs use the API; and the token of the first admin.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::{Method, StatusCode};
use axum::routing;
use towpath_resource::api::{CreatedKey, KeyOrder, KeyStatus, Listed, RotateOrder};
use towpath_resource::{Object, Permission};

use super::endpoint::Endpoint;
use super::extract::Body;
use super::problem_type::ProblemType;
use crate::service::{Asker, Refusal, Service};

pub(super) fn endpoints() -> Vec<Endpoint> {
    let (all, each) = ("/v1/keys", "/v1/keys/{id}");
    let (read, write) = (Permission::read(Object::ApiKey), Permission::write(Object::ApiKey));
    let made = "Makes a key with which a program uses the API. It is shown once.";
    let rotated =
        "Gives a key a new secret, which is shown once. The one before is taken for a while longer.";
    let first = "Takes the first admin's token back. A new one is made on the control plane's machine alone.";
    let create = routing::post(create);
    let rotate = routing::post(rotate);
    let revoke_first = routing::delete(revoke_first);
    vec![
        Endpoint::new(write, Method::POST, all, create, "keys", "create_key", made)
            .takes::<KeyOrder>()
            .answers::<CreatedKey>()
            .status(StatusCode::CREATED),
        Endpoint::new(read, Method::GET, all, routing::get(list), "keys", "list_keys", "Lists keys.")
            .answers::<Listed<KeyStatus>>(),
        Endpoint::new(
            read,
            Method::GET,
            each,
            routing::get(show),
            "keys",
            "get_key",
            "Shows a key, by id or name.",
        )
        .answers::<KeyStatus>(),
        Endpoint::new(
            write,
            Method::DELETE,
            each,
            routing::delete(revoke),
            "keys",
            "revoke_key",
            "Takes a key back, by id or name, at once and for good.",
        )
        .status(StatusCode::NO_CONTENT),
        Endpoint::new(write, Method::POST, "/v1/keys/{id}/rotate", rotate, "keys", "rotate_key", rotated)
            .takes::<RotateOrder>()
            .refuses(ProblemType::Conflict)
            .answers::<CreatedKey>(),
        Endpoint::new(
            write,
            Method::DELETE,
            "/v1/admin-token",
            revoke_first,
            "keys",
            "revoke_admin_token",
            first,
        )
        .status(StatusCode::NO_CONTENT),
    ]
}

async fn create(
    State(service): State<Service>,
    asker: Asker,
    Body(order): Body<KeyOrder>,
) -> Result<(StatusCode, Json<CreatedKey>), Refusal> {
    Ok((StatusCode::CREATED, Json(service.create_key(&asker, order).await?)))
}

async fn list(State(service): State<Service>, asker: Asker) -> Result<Json<Listed<KeyStatus>>, Refusal> {
    Ok(Json(Listed { items: service.keys(&asker)? }))
}

async fn show(
    State(service): State<Service>,
    asker: Asker,
    Path(id): Path<String>,
) -> Result<Json<KeyStatus>, Refusal> {
    Ok(Json(service.key(&asker, &id)?))
}

async fn rotate(
    State(service): State<Service>,
    asker: Asker,
    Path(id): Path<String>,
    Body(order): Body<RotateOrder>,
) -> Result<Json<CreatedKey>, Refusal> {
    Ok(Json(service.rotate_key(&asker, &id, order).await?))
}

async fn revoke(
    State(service): State<Service>,
    asker: Asker,
    Path(id): Path<String>,
) -> Result<StatusCode, Refusal> {
    service.revoke_key(&asker, &id).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn revoke_first(State(service): State<Service>, asker: Asker) -> Result<StatusCode, Refusal> {
    service.revoke_admin_token(&asker).await?;
    Ok(StatusCode::NO_CONTENT)
}
