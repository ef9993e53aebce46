//! Applies manifests: many documents in one request, in any order, each with its own result.

use axum::Json;
use axum::extract::State;
use axum::http::Method;
use axum::response::{IntoResponse, Response};
use axum::routing;
use serde::Deserialize;
use serde_json::json;
use towpath_resource::api::{ApplyOutcome, ApplyReport};

use super::endpoint::{Endpoint, JSON, YAML};
use super::extract::{Args, Text};
use super::problem::Refused;
use super::problem_type::ProblemType;
use crate::service::{Asker, Need, Refusal, Service, parse};

pub(super) fn endpoints() -> Vec<Endpoint> {
    let path = "/v1/apply";
    let summary = "Creates or changes the resources of one or more documents. Each document is taken or refused by itself; if any is refused, the report comes as a problem.";
    vec![
        Endpoint::new(
            Need::DecidedByContent,
            Method::POST,
            path,
            routing::post(apply),
            "apply",
            "apply",
            summary,
        )
        .argument("dry_run", "Whether to check only.", json!({ "type": "boolean", "default": false }))
        .takes_as(
            vec![YAML, JSON],
            Box::new(|_| {
                let kinds = towpath_resource::Kind::ALL;
                let refs = kinds
                    .map(|kind| json!({ "$ref": format!("#/components/schemas/{}Manifest", kind.as_str()) }));
                json!({ "oneOf": refs })
            }),
        )
        .answers::<ApplyReport>()
        .refuses(ProblemType::PartlyRefused),
    ]
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ApplyArgs {
    #[serde(default)]
    dry_run: bool,
}

async fn apply(
    State(service): State<Service>,
    asker: Asker,
    Args(args): Args<ApplyArgs>,
    Text(text): Text,
) -> Result<Response, Refusal> {
    let documents = parse(&text)?;
    if documents.is_empty() {
        return Err(Refusal::invalid("the body has no document; send one or more resources as YAML or JSON"));
    }
    let report = service.apply_reporting(&asker, &documents, args.dry_run).await?;
    if report.is_success() {
        return Ok(Json(report).into_response());
    }
    let refused = report.results.iter().filter(|result| result.outcome == ApplyOutcome::Refused);
    let named: Vec<_> = refused.map(|result| result.subject.as_str()).collect();
    let detail =
        format!("{} of {} documents are refused: {}", named.len(), report.results.len(), named.join(", "));
    let report = serde_json::to_value(report).expect("a report is always JSON");
    Ok(Refused::new(ProblemType::PartlyRefused, detail).with(report).into_response())
}
