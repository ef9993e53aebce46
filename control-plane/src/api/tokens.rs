//! Enrolment tokens.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::{Method, StatusCode};
use axum::routing;
use towpath_resource::api::{CreatedToken, Listed, TokenOrder, TokenStatus};
use towpath_resource::{Object, Permission};

use super::endpoint::Endpoint;
use super::extract::Body;
use crate::service::{Asker, Refusal, Service};

pub(super) fn endpoints() -> Vec<Endpoint> {
    let path = "/v1/tokens";
    vec![
        Endpoint::new(
            Permission::write(Object::EnrolmentToken),
            Method::POST,
            path,
            routing::post(create),
            "tokens",
            "create_token",
            "Makes a token with which one agent may enrol at a site. It is shown once.",
        )
        .takes::<TokenOrder>()
        .answers::<CreatedToken>()
        .status(StatusCode::CREATED),
        Endpoint::new(
            Permission::read(Object::EnrolmentToken),
            Method::GET,
            path,
            routing::get(list),
            "tokens",
            "list_tokens",
            "Lists enrolment tokens.",
        )
        .answers::<Listed<TokenStatus>>(),
        Endpoint::new(
            Permission::write(Object::EnrolmentToken),
            Method::DELETE,
            "/v1/tokens/{id}",
            routing::delete(revoke),
            "tokens",
            "revoke_token",
            "Takes back a token that was not used.",
        )
        .status(StatusCode::NO_CONTENT),
    ]
}

async fn create(
    State(service): State<Service>,
    asker: Asker,
    Body(order): Body<TokenOrder>,
) -> Result<(StatusCode, Json<CreatedToken>), Refusal> {
    Ok((StatusCode::CREATED, Json(service.create_token(&asker, order).await?)))
}

async fn list(State(service): State<Service>, asker: Asker) -> Json<Listed<TokenStatus>> {
    Json(Listed { items: service.tokens(&asker) })
}

async fn revoke(
    State(service): State<Service>,
    asker: Asker,
    Path(id): Path<String>,
) -> Result<StatusCode, Refusal> {
    service.revoke_token(&asker, &id).await?;
    Ok(StatusCode::NO_CONTENT)
}
