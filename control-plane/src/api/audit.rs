//! The audit trail: asked, verified, exported.

use axum::body::Body;
use axum::extract::State;
use axum::http::Method;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json, routing};
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};
use towpath_audit::Verification;
use towpath_catalog::Order;
use towpath_record::ResourceName;
use towpath_resource::api::{AuditFilter, AuditOutcome, AuditPage};
use towpath_resource::{Kind, Object, Permission};

use super::endpoint::{Endpoint, JSON, LINES, number};
use super::extract::Args;
use super::limit::Limit;
use crate::service::{Admission, Asker, MOST_AUDITED, Refusal, Service};

const LIMIT: Limit = Limit { default: 100, most: MOST_AUDITED };

pub(super) fn endpoints() -> Vec<Endpoint> {
    let get = |path: &'static str, handler, name: &'static str, summary: &'static str| {
        Endpoint::new(Permission::read(Object::Audit), Method::GET, path, handler, "audit", name, summary)
    };
    let (text, time) = (json!({ "type": "string" }), json!({ "type": "string", "format": "date-time" }));
    let signed = json!({ "type": "object", "properties": { "items": { "type": "array", "items": { "type": "object" } } } });
    vec![
        get("/v1/audit", routing::get(list), "list_audit", "Lists who did what, from where, and what was denied.")
            .argument("actor", "Those caused by this name, id or kind of actor.", text.clone())
            .argument("subject", "Those about `source/erp-files`, or about any `source`.", subject())
            .argument("event", "Those of this type, such as `resource_applied`.", text)
            .argument("since", "Those from this time on.", time.clone())
            .argument("until", "Those before this time.", time)
            .argument("outcome", "Those that were done, or denied.", json!({ "enum": ["done", "denied"] }))
            .argument("after", "Oldest first, those after this number. Not with `before`.", number())
            .argument("before", "Newest first, those before this number. The default is the newest.", number())
            .argument("limit", "At most so many.", LIMIT.schema())
            .answers::<AuditPage>(),
        get("/v1/audit/verify", routing::get(verify), "verify_audit", "Checks every byte of the audit trail.")
            .answers::<Verification>(),
        get(
            "/v1/audit/checkpoints",
            routing::get(checkpoints),
            "list_checkpoints",
            "Lists the signed checkpoints of the audit trail, oldest first.",
        )
        .argument("after", "Those after this number.", number())
        .argument("limit", "At most so many.", LIMIT.schema())
        .answers_as(vec![JSON], Box::new(|_| signed)),
        get(
            "/v1/audit/key",
            routing::get(key),
            "get_audit_key",
            "Shows the public key with which checkpoints are verified, in PEM.",
        )
        .answers_as(vec![JSON], Box::new(|_| json!({ "type": "object", "properties": { "pem": { "type": "string" } } }))),
        get(
            "/v1/audit/export",
            routing::get(export),
            "export_audit",
            "Writes out the whole audit trail, events and checkpoints as they were written, to be verified elsewhere.",
        )
        .answers_as(vec![LINES], Box::new(|_| json!({ "type": "object" }))),
    ]
}

/// A kind, or a resource of it.
fn subject() -> Value {
    let kinds = Kind::ALL.map(|kind| format!("{}|{}", kind.noun(), kind.plural())).join("|");
    let name = ResourceName::PATTERN.trim_start_matches('^').trim_end_matches('$');
    json!({ "type": "string", "pattern": format!("^({kinds})(/{name})?$") })
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ListArgs {
    actor: Option<String>,
    subject: Option<String>,
    event: Option<String>,
    since: Option<Timestamp>,
    until: Option<Timestamp>,
    outcome: Option<AuditOutcome>,
    after: Option<u64>,
    before: Option<u64>,
    limit: Option<usize>,
}

async fn list(
    State(service): State<Service>,
    asker: Asker,
    Args(args): Args<ListArgs>,
) -> Result<Json<AuditPage>, Refusal> {
    let order = match (args.after, args.before) {
        (Some(_), Some(_)) => return Err(Refusal::invalid("either `after` or `before`, not both")),
        (Some(after), None) => Order::After(after),
        (None, before) => Order::Before(before.unwrap_or(u64::MAX)),
    };
    let ListArgs { actor, subject, event, since, until, outcome, limit, .. } = args;
    let filter = AuditFilter { actor, subject, event, since, until, outcome };
    Ok(Json(service.audit(&asker, filter, order, LIMIT.of(limit)?).await?))
}

async fn verify(State(service): State<Service>, asker: Asker) -> Result<Json<Verification>, Refusal> {
    Ok(Json(service.verify_audit(&asker).await?))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CheckpointArgs {
    #[serde(default)]
    after: u64,
    limit: Option<usize>,
}

async fn checkpoints(
    State(service): State<Service>,
    asker: Asker,
    Args(args): Args<CheckpointArgs>,
) -> Result<Json<Value>, Refusal> {
    let limit = LIMIT.of(args.limit)?;
    Ok(Json(json!({ "items": service.checkpoints(&asker, args.after, limit).await? })))
}

async fn key(State(service): State<Service>, asker: Asker) -> Result<Json<Value>, Refusal> {
    Ok(Json(json!({ "pem": service.audit_key(&asker)? })))
}

async fn export(
    State(service): State<Service>,
    Extension(admission): Extension<Admission>,
) -> Result<Response, Refusal> {
    let parts = service.export_audit(&admission.asker).await?;
    let parts = service.while_admitted(admission, parts);
    Ok(([(CONTENT_TYPE, LINES)], Body::from_stream(parts)).into_response())
}
