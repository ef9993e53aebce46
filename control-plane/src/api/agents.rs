//! Reads the logs of agents, and revokes agents.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::Method;
use axum::routing;
use serde::Deserialize;
use serde_json::{Value, json};
use towpath_resource::api::{AgentLog, MOST_LOG_LINES};
use towpath_resource::{Kind, Object, Permission};

use super::endpoint::{Endpoint, JSON, named};
use super::extract::Args;
use super::limit::Limit;
use crate::service::{Asker, Refusal, Service};

const LINES: Limit = Limit { default: 100, most: MOST_LOG_LINES as usize };

pub(super) fn endpoints() -> Vec<Endpoint> {
    let logs = "Shows the newest lines of an agent's log, oldest of them first. The agent must be connected.";
    let summary = "Cuts an agent off at once and for good. Its certificate is refused from then on.";
    vec![
        Endpoint::new(
            Permission::read(Object::AgentLog),
            Method::GET,
            "/v1/agents/{name}/logs",
            routing::get(log),
            "agents",
            "agent_logs",
            logs,
        )
        .argument(
            "after",
            "Those after this cursor, oldest first. Default: the newest.",
            json!({ "type": "string" }),
        )
        .argument("limit", "At most so many.", LINES.schema())
        .answers::<AgentLog>(),
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

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct LogArgs {
    after: Option<String>,
    limit: Option<usize>,
}

async fn log(
    State(service): State<Service>,
    asker: Asker,
    Path(name): Path<String>,
    Args(args): Args<LogArgs>,
) -> Result<Json<AgentLog>, Refusal> {
    let limit = u32::try_from(LINES.of(args.limit)?).unwrap_or(MOST_LOG_LINES);
    Ok(Json(service.agent_log(&asker, &name, args.after, limit).await?))
}

async fn revoke(
    State(service): State<Service>,
    asker: Asker,
    Path(name): Path<String>,
) -> Result<Json<Value>, Refusal> {
    Ok(Json(service.revoke_agent(&asker, &name).await?.to_json()))
}
