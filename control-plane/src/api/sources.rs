//! Checks the systems behind sources.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::Method;
use axum::routing;
use towpath_resource::api::SourceCheck;
use towpath_resource::{Kind, Object, Permission};

use super::endpoint::Endpoint;
use crate::service::{Asker, Refusal, Service};

pub(super) fn endpoints() -> Vec<Endpoint> {
    let summary =
        "Looks whether the system behind a source is ready to be read, and says what would mend what is not.";
    vec![
        Endpoint::new(
            Permission::operate(Object::Resource(Kind::Source)),
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
    State(service): State<Service>,
    asker: Asker,
    Path(name): Path<String>,
) -> Result<Json<SourceCheck>, Refusal> {
    Ok(Json(service.check_source(&asker, &name).await?))
}
