//! Applies manifests: many documents in one request, in any order, each with its own result.

use axum::Json;
use axum::extract::State;
use axum::http::{Method, StatusCode};
use axum::routing;
use serde::Deserialize;
use serde_json::json;
use towpath_catalog::{ApplyError, Outcome};
use towpath_resource::api::{Applied, ApplyOutcome, ApplyReport};
use towpath_resource::{AnyManifest, Document, Fault, parse_documents};

use super::endpoint::{Endpoint, JSON, YAML};
use super::extract::{Admin, Args, Text};
use super::problem::ApiError;
use super::state::ApiState;

pub(super) fn endpoints() -> Vec<Endpoint> {
    let path = "/v1/apply";
    let summary = "Creates or changes the resources of one or more documents. Each document is taken or refused by itself; if any is refused, the report comes with status 422.";
    vec![
        Endpoint::new(Method::POST, path, routing::post(apply), "apply", "apply", summary)
            .argument("dry_run", "Whether to check only.", json!({ "type": "boolean", "default": false }))
            .takes_as(
                vec![YAML, JSON],
                Box::new(|_| {
                    let kinds = towpath_resource::Kind::ALL;
                    let refs = kinds
                        .map(|kind| json!({ "$ref": format!("#/components/schemas/{}", kind.as_str()) }));
                    json!({ "oneOf": refs })
                }),
            )
            .answers::<ApplyReport>()
            .also(StatusCode::UNPROCESSABLE_ENTITY),
    ]
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ApplyArgs {
    #[serde(default)]
    dry_run: bool,
}

async fn apply(
    State(state): State<ApiState>,
    Admin(actor): Admin,
    Args(args): Args<ApplyArgs>,
    Text(text): Text,
) -> Result<(StatusCode, Json<ApplyReport>), ApiError> {
    let documents = documents(&text)?;
    if documents.is_empty() {
        return Err(ApiError::invalid(
            "the body has no document; send one or more resources as YAML or JSON",
        ));
    }
    let valid: Vec<AnyManifest> =
        documents.iter().filter_map(|d| d.manifest.as_ref().ok()).cloned().collect();
    let dry_run = args.dry_run;
    let applied =
        state.command(move |catalog| Ok::<_, ApiError>(catalog.apply_all(valid, &actor, dry_run))).await?;
    let mut applied = applied.into_iter();
    let results = documents.iter().map(|document| result_of(document, &mut applied)).collect();
    let report = ApplyReport { dry_run, results };
    let status = if report.is_success() { StatusCode::OK } else { StatusCode::UNPROCESSABLE_ENTITY };
    Ok((status, Json(report)))
}

/// The documents of a body.
pub(super) fn documents(text: &str) -> Result<Vec<Document>, ApiError> {
    parse_documents(text).map_err(|error| ApiError::invalid(error.to_string()))
}

/// The result of a document: its own faults, or the catalog's next answer.
fn result_of(
    document: &Document,
    answers: &mut impl Iterator<Item = Result<towpath_catalog::Applied, ApplyError>>,
) -> Applied {
    let mut result = Applied {
        subject: document.subject.clone(),
        place: document.place,
        outcome: ApplyOutcome::Refused,
        generation: None,
        error: None,
        faults: Vec::new(),
    };
    if let Err(faults) = &document.manifest {
        result.faults.clone_from(faults);
        return result;
    }
    match answers.next() {
        Some(Ok(applied)) => {
            result.outcome = outcome(applied.outcome);
            result.generation = Some(applied.resource.generation());
        }
        Some(Err(ApplyError::Invalid(invalid))) => {
            let placed = |fault: Fault| Fault { place: Some(document.locate(&fault.path)), ..fault };
            result.faults = invalid.faults.into_iter().map(placed).collect();
        }
        Some(Err(ApplyError::Catalog(error))) => result.error = Some(error.to_string()),
        None => result.error = Some("the catalog gave no answer".to_owned()),
    }
    result
}

pub(super) const fn outcome(outcome: Outcome) -> ApplyOutcome {
    match outcome {
        Outcome::Created => ApplyOutcome::Created,
        Outcome::Changed => ApplyOutcome::Changed,
        Outcome::Unchanged => ApplyOutcome::Unchanged,
    }
}
