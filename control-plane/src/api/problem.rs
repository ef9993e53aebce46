//! Refusals, as the API answers them.

use axum::body::Body;
use axum::extract::Request;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use towpath_catalog::{ApplyError, CatalogError, DeleteError, TargetError, UnknownResource};
use towpath_resource::api::problem::{CONTENT_TYPE, Problem};
use towpath_resource::{Fault, Invalid};

use super::plane::PlaneError;

/// Why a request is refused.
#[derive(Debug, thiserror::Error)]
pub(super) enum ApiError {
    #[error("a valid admin token is needed: send `Authorization: Bearer TOKEN`, or use `towpath login`")]
    Unauthorized,
    #[error("{0}")]
    NotFound(String),
    #[error("{0}")]
    Conflict(String),
    #[error("{detail}")]
    Invalid { detail: String, faults: Vec<Fault> },
    #[error("{0}")]
    TooMany(String),
    #[error("{0}")]
    Unavailable(String),
    #[error("the control plane is stopping; try again")]
    Stopping,
}

impl ApiError {
    /// A request that cannot be understood, without a field at fault.
    pub(super) fn invalid(detail: impl Into<String>) -> Self {
        Self::Invalid { detail: detail.into(), faults: Vec::new() }
    }

    fn kind(&self) -> (StatusCode, &'static str, &'static str) {
        match self {
            Self::Unauthorized => (StatusCode::UNAUTHORIZED, "unauthorized", "Not authenticated"),
            Self::NotFound(_) => (StatusCode::NOT_FOUND, "not-found", "Not found"),
            Self::Conflict(_) => (StatusCode::CONFLICT, "conflict", "Not possible as things stand"),
            Self::Invalid { .. } => (StatusCode::UNPROCESSABLE_ENTITY, "invalid", "Not valid"),
            Self::TooMany(_) => (StatusCode::TOO_MANY_REQUESTS, "too-many", "Too many at once"),
            Self::Unavailable(_) | Self::Stopping => {
                (StatusCode::SERVICE_UNAVAILABLE, "unavailable", "Not possible now")
            }
        }
    }

    fn into_problem(self) -> Problem {
        let (status, kind, title) = self.kind();
        let detail = self.to_string();
        let faults = if let Self::Invalid { faults, .. } = self { faults } else { Vec::new() };
        problem(status, kind, title, detail, faults)
    }
}

fn problem(status: StatusCode, kind: &str, title: &str, detail: String, faults: Vec<Fault>) -> Problem {
    Problem {
        kind: format!("towpath:{kind}"),
        title: title.to_owned(),
        status: status.as_u16(),
        detail,
        faults,
    }
}

fn respond(problem: &Problem) -> Response {
    let status = StatusCode::from_u16(problem.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let body = serde_json::to_vec(problem).expect("a problem is always JSON");
    let mut response = (status, Body::from(body)).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(CONTENT_TYPE));
    match status {
        StatusCode::UNAUTHORIZED => {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"))
        }
        StatusCode::SERVICE_UNAVAILABLE => headers.insert(header::RETRY_AFTER, HeaderValue::from_static("5")),
        _ => None,
    };
    response
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        respond(&self.into_problem())
    }
}

pub(super) async fn no_such_address(request: Request) -> Response {
    ApiError::NotFound(format!(
        "there is nothing at `{}`; /openapi.json lists every address",
        request.uri().path()
    ))
    .into_response()
}

pub(super) async fn no_such_method(request: Request) -> Response {
    let detail = format!(
        "`{}` does not take {}; /openapi.json lists what it takes",
        request.uri().path(),
        request.method()
    );
    respond(&problem(StatusCode::METHOD_NOT_ALLOWED, "no-such-method", "No such method", detail, Vec::new()))
}

/// Gives a refusal of the layers below us, which answer with a bare status, the form of a problem.
pub(super) async fn explain_bare_status(response: Response) -> Response {
    let explained = match response.status() {
        StatusCode::PAYLOAD_TOO_LARGE => problem(
            StatusCode::PAYLOAD_TOO_LARGE,
            "too-large",
            "Too large",
            format!("the request is larger than {} MiB; split it", super::MAX_BODY_BYTES >> 20),
            Vec::new(),
        ),
        StatusCode::GATEWAY_TIMEOUT => problem(
            StatusCode::GATEWAY_TIMEOUT,
            "timeout",
            "Took too long",
            format!(
                "the request was not done within {} s; look at the control plane's disk and load, then try again",
                super::ANSWER_WITHIN.as_secs()
            ),
            Vec::new(),
        ),
        _ => return response,
    };
    respond(&explained)
}

impl From<Invalid> for ApiError {
    fn from(invalid: Invalid) -> Self {
        Self::Invalid { detail: invalid.to_string(), faults: invalid.faults }
    }
}

impl From<UnknownResource> for ApiError {
    fn from(unknown: UnknownResource) -> Self {
        Self::NotFound(unknown.to_string())
    }
}

impl From<CatalogError> for ApiError {
    fn from(error: CatalogError) -> Self {
        tracing::error!(error = &error as &dyn std::error::Error, "the catalog failed");
        Self::Unavailable(error.to_string())
    }
}

impl From<ApplyError> for ApiError {
    fn from(error: ApplyError) -> Self {
        match error {
            ApplyError::Invalid(invalid) => invalid.into(),
            ApplyError::Catalog(error) => error.into(),
        }
    }
}

impl From<DeleteError> for ApiError {
    fn from(error: DeleteError) -> Self {
        match error {
            DeleteError::Unknown(unknown) => unknown.into(),
            needed @ DeleteError::Needed { .. } => Self::Conflict(needed.to_string()),
            DeleteError::Catalog(error) => error.into(),
        }
    }
}

impl From<TargetError> for ApiError {
    fn from(error: TargetError) -> Self {
        match error {
            TargetError::Unknown(unknown) => unknown.into(),
            TargetError::Catalog(error) => error.into(),
        }
    }
}

impl From<PlaneError> for ApiError {
    fn from(error: PlaneError) -> Self {
        match error {
            PlaneError::NotFound(detail) => Self::NotFound(detail),
            PlaneError::Conflict(detail) => Self::Conflict(detail),
            PlaneError::Unavailable(detail) => Self::Unavailable(detail),
        }
    }
}
