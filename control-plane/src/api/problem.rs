//! Refusals, as the API answers them.

use axum::body::Body;
use axum::extract::Request;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use towpath_resource::Fault;
use towpath_resource::api::problem::{CONTENT_TYPE, Problem};

use crate::service::Refusal;

impl Refusal {
    fn kind(&self) -> (StatusCode, &'static str, &'static str) {
        match self {
            Self::Unknown(_) => (StatusCode::UNAUTHORIZED, "unauthorized", "Not authenticated"),
            Self::Denied(_) => (StatusCode::FORBIDDEN, "denied", "Not allowed"),
            Self::NotFound(_) => (StatusCode::NOT_FOUND, "not-found", "Not found"),
            Self::Conflict(_) => (StatusCode::CONFLICT, "conflict", "Not possible as things stand"),
            Self::Stale(_) => (StatusCode::PRECONDITION_FAILED, "stale", "Changed meanwhile"),
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

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        respond(&self.into_problem())
    }
}

pub(super) async fn no_such_address(request: Request) -> Response {
    Refusal::NotFound(format!(
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
