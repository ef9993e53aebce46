//! Checks the systems behind sources.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::Method;
use axum::routing;
use towpath_resource::SourceSpec;
use towpath_resource::api::SourceCheck;

use super::endpoint::Endpoint;
use super::problem::ApiError;
use super::state::ApiState;

pub(super) fn endpoints() -> Vec<Endpoint> {
    let summary =
        "Looks whether the system behind a source is ready to be read, and says what would mend what is not.";
    vec![
        Endpoint::new(
            Method::POST,
            "/v1/sources/{name}/check",
            routing::post(check),
            "sources",
            "check_source",
            summary,
        )
        .answers::<SourceCheck>(),
    ]
}

async fn check(
    State(state): State<ApiState>,
    Path(name): Path<String>,
) -> Result<Json<SourceCheck>, ApiError> {
    let (id, source) = {
        let catalog = state.catalog();
        let source = catalog.require::<SourceSpec>(&name)?;
        (source.id, source.name().clone())
    };
    Ok(Json(SourceCheck { findings: state.plane().check_source(id).await?, source }))
}
