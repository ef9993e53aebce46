//! Refusals, as the API answers them: RFC 9457.
//!
//! Whatever refuses puts a [`Refused`] beside its bare response. The outermost layer (see `stamp`) makes the document of
//! it, and of every other bare status from layers below us, so that each refusal names its request.

use axum::extract::Request;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use towpath_resource::Fault;
use towpath_resource::api::problem::{CONTENT_TYPE, Problem};

use super::problem_type::ProblemType;
use super::rate;
use crate::service::Refusal;

/// Why a request was refused, until it is rendered.
#[derive(Clone, Debug)]
pub(super) struct Refused {
    kind: ProblemType,
    detail: String,
    faults: Vec<Fault>,
    /// Further members of the document.
    members: Vec<(String, Value)>,
    headers: Vec<(HeaderName, HeaderValue)>,
}

/// The same, as it is written.
#[derive(Serialize, Deserialize)]
pub(super) struct WrittenRefusal {
    kind: String,
    detail: String,
    faults: Vec<Fault>,
    members: Vec<(String, Value)>,
    headers: Vec<(String, String)>,
}

impl Refused {
    pub(super) fn new(kind: ProblemType, detail: impl Into<String>) -> Self {
        let headers = match kind {
            ProblemType::Unauthorized => vec![(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"))],
            ProblemType::Unavailable | ProblemType::TooMany => {
                vec![(header::RETRY_AFTER, HeaderValue::from_static("5"))]
            }
            // RFC 9110, section 15.5.22.
            ProblemType::SocketOnly => vec![
                (header::UPGRADE, HeaderValue::from_static("websocket")),
                (header::CONNECTION, HeaderValue::from_static("upgrade")),
            ],
            _ => Vec::new(),
        };
        Self { kind, detail: detail.into(), faults: Vec::new(), members: Vec::new(), headers }
    }

    /// With a header of the answer, in place of one of its name.
    pub(super) fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.retain(|(known, _)| *known != name);
        self.headers.push((name, value));
        self
    }

    /// With the members of another document.
    pub(super) fn with(mut self, document: Value) -> Self {
        if let Value::Object(members) = document {
            self.members.extend(members);
        }
        self
    }

    /// As it is written, to be answered again.
    pub(super) fn written(&self) -> WrittenRefusal {
        let headers = self
            .headers
            .iter()
            .filter_map(|(name, value)| Some((name.to_string(), value.to_str().ok()?.to_owned())));
        WrittenRefusal {
            kind: self.kind.slug().to_owned(),
            detail: self.detail.clone(),
            faults: self.faults.clone(),
            members: self.members.clone(),
            headers: headers.collect(),
        }
    }

    /// What was written. Nothing for what no release up to this one has written.
    pub(super) fn read(written: WrittenRefusal) -> Option<Self> {
        let WrittenRefusal { kind, detail, faults, members, headers } = written;
        let kind = ProblemType::ALL.iter().copied().find(|known| known.slug() == kind)?;
        let header = |(name, value): (String, String)| Some((name.parse().ok()?, value.parse().ok()?));
        let headers = headers.into_iter().map(header).collect::<Option<_>>()?;
        Some(Self { kind, detail, faults, members, headers })
    }

    /// The problem of a request.
    pub(super) fn problem(self, instance: Option<String>) -> Problem {
        let Self { kind, detail, faults, .. } = self;
        Problem { instance, faults, ..kind.problem(detail) }
    }

    /// The document, as the problem of this request.
    pub(super) fn render(mut self, instance: String) -> Response {
        let (status, members) = (self.kind.status(), std::mem::take(&mut self.members));
        let headers = std::mem::take(&mut self.headers);
        let problem = self.problem(Some(instance));
        let mut document = serde_json::to_value(problem).expect("a problem is always JSON");
        if let Some(known) = document.as_object_mut() {
            known.extend(members);
        }
        let mut response = (status, document.to_string()).into_response();
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(CONTENT_TYPE));
        response.headers_mut().extend(headers);
        response
    }
}

impl Refusal {
    /// The type of problem that it is answered as.
    pub(crate) fn problem_type(&self) -> ProblemType {
        match self {
            Self::Unknown(_) => ProblemType::Unauthorized,
            Self::Denied(_) => ProblemType::Denied,
            Self::NotFound(_) => ProblemType::NotFound,
            Self::Conflict(_) => ProblemType::Conflict,
            Self::Gone(_) => ProblemType::Gone,
            Self::Stale(_) => ProblemType::Stale,
            Self::Invalid { .. } => ProblemType::Invalid,
            Self::Limited(_) => ProblemType::RateLimited,
            Self::TooMany(_) => ProblemType::TooMany,
            Self::Unavailable(_) | Self::Stopping => ProblemType::Unavailable,
        }
    }

    /// The problem, where it is told in a message and not as the answer of a request.
    pub(crate) fn into_problem(self) -> Problem {
        let problem = self.problem_type().problem(self.to_string());
        let faults = if let Self::Invalid { faults, .. } = self { faults } else { Vec::new() };
        Problem { faults, ..problem }
    }
}

impl From<Refusal> for Refused {
    fn from(refusal: Refusal) -> Self {
        let kind = refusal.problem_type();
        let detail = refusal.to_string();
        let refused = Self::new(kind, detail);
        match refusal {
            Refusal::Invalid { faults, .. } => Self { faults, ..refused },
            Refusal::Limited(limited) => {
                let told = limited.left.map(rate::of).into_iter().flatten();
                let refused = refused.header(header::RETRY_AFTER, HeaderValue::from(limited.seconds()));
                told.fold(refused, |refused, (name, value)| refused.header(name, value))
            }
            _ => refused,
        }
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        let mut response = self.kind.status().into_response();
        response.extensions_mut().insert(self);
        response
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        Refused::from(self).into_response()
    }
}

pub(super) async fn no_such_address(request: Request) -> Refused {
    let path = request.uri().path();
    Refused::new(
        ProblemType::NotFound,
        format!("there is nothing at `{path}`; /openapi.json lists every address"),
    )
}

pub(super) async fn no_such_method(request: Request) -> Refused {
    let (path, method) = (request.uri().path(), request.method());
    let detail = format!("`{path}` does not take {method}; /openapi.json lists what it takes");
    Refused::new(ProblemType::NoSuchMethod, detail)
}

/// What a bare status from the layers below us means here.
pub(super) fn explain(status: StatusCode) -> Refused {
    let kind = ProblemType::of_status(status);
    let detail = match kind {
        ProblemType::TooLarge => {
            format!("the request is larger than {} MiB; split it", super::MAX_BODY_BYTES >> 20)
        }
        ProblemType::Timeout => format!(
            "the request was not done within {} s; look at the control plane's disk and load, then try again",
            super::ANSWER_WITHIN.as_secs()
        ),
        other => other.meaning().to_owned(),
    };
    Refused::new(kind, detail)
}
