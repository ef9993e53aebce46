//! Revokes agents.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::Method;
use axum::routing;
use serde_json::{Value, json};

use super::endpoint::{Endpoint, JSON, named};
use super::extract::Admin;
use super::problem::ApiError;
use super::state::ApiState;

pub(super) fn endpoints() -> Vec<Endpoint> {
    let summary = "Cuts an agent off at once and for good. Its certificate is refused from then on.";
    vec![
        Endpoint::new(
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
    State(state): State<ApiState>,
    Admin(actor): Admin,
    Path(name): Path<String>,
) -> Result<Json<Value>, ApiError> {
    let revoked = name.clone();
    state.command(move |catalog| catalog.revoke_agent(&revoked, &actor)).await?;
    let resource = state.catalog().require_any(towpath_resource::Kind::Agent, &name)?;
    let mut shown = serde_json::to_value(resource).expect("a resource is always JSON");
    shown["status"] = json!({ "revoked": true });
    Ok(Json(shown))
}
