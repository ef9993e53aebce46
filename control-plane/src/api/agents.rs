//! Revokes agents.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::Method;
use axum::routing;
use serde_json::Value;
use towpath_resource::{Kind, Object, Permission};

use super::endpoint::{Endpoint, JSON, named};
use crate::service::{Asker, Refusal, Service};

pub(super) fn endpoints() -> Vec<Endpoint> {
    let summary = "Cuts an agent off at once and for good. Its certificate is refused from then on.";
    vec![
        Endpoint::new(
            Permission::operate(Object::Resource(Kind::Agent)),
            Method::POST,
            "/v1/agents/{name}/revoke",
            routing::post(revoke),
            "agents",
            "revoke_agent",
            summary,
        )
        .answers_as(vec![JSON], named("Agent")),
    ]
}

async fn revoke(
    State(service): State<Service>,
    asker: Asker,
    Path(name): Path<String>,
) -> Result<Json<Value>, Refusal> {
    Ok(Json(service.revoke_agent(&asker, &name).await?.to_json()))
}
