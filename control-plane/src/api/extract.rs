//! What endpoints take from a request: who asks, the arguments and the body. Each fault of a field is named.

use axum::body::Bytes;
use axum::extract::{FromRequest, FromRequestParts, Query, Request, State};
use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use serde::de::DeserializeOwned;
use towpath_catalog::{Actor, SecretHash};
use towpath_resource::{Fault, nearest};

use super::problem::ApiError;
use super::state::ApiState;

/// Lets a request pass that carries an admin's token, and notes whose.
pub(super) async fn authenticate(
    State(state): State<ApiState>,
    mut request: Request,
    next: Next,
) -> Result<Response, ApiError> {
    let header = request.headers().get(AUTHORIZATION).and_then(|value| value.to_str().ok());
    let token = header
        .and_then(|value| value.split_once(' '))
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"));
    let secret = SecretHash::of(token.ok_or(ApiError::Unauthorized)?.1);
    let actor = {
        let catalog = state.catalog();
        let (id, admin) = catalog.admin(&secret).ok_or(ApiError::Unauthorized)?;
        Actor::Admin { token: id, name: admin.name.clone() }
    };
    request.extensions_mut().insert(actor);
    Ok(next.run(request).await)
}

/// Who asks.
pub(super) struct Admin(pub(super) Actor);

impl<S: Send + Sync> FromRequestParts<S> for Admin {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        parts.extensions.get::<Actor>().cloned().map(Self).ok_or(ApiError::Unauthorized)
    }
}

/// The arguments behind the `?` of an address.
pub(super) struct Args<T>(pub(super) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Args<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        match Query::<T>::from_request_parts(parts, state).await {
            Ok(Query(args)) => Ok(Self(args)),
            Err(rejection) => Err(ApiError::invalid(with_hint(&rejection.body_text()))),
        }
    }
}

/// A body of JSON.
pub(super) struct Body<T>(pub(super) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Body<T> {
    type Rejection = Response;

    async fn from_request(request: Request, state: &S) -> Result<Self, Response> {
        let bytes = Bytes::from_request(request, state).await.map_err(IntoResponse::into_response)?;
        read_json(&bytes).map(Self).map_err(IntoResponse::into_response)
    }
}

/// A body of text.
pub(super) struct Text(pub(super) String);

impl<S: Send + Sync> FromRequest<S> for Text {
    type Rejection = Response;

    async fn from_request(request: Request, state: &S) -> Result<Self, Response> {
        let bytes = Bytes::from_request(request, state).await.map_err(IntoResponse::into_response)?;
        let text = String::from_utf8(bytes.into());
        text.map(Self).map_err(|_| ApiError::invalid("the body is not UTF-8 text").into_response())
    }
}

fn read_json<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, ApiError> {
    let mut reader = serde_json::Deserializer::from_slice(bytes);
    let read = serde_path_to_error::deserialize(&mut reader);
    read.map_err(|error| {
        let path = error.path().to_string();
        let message = with_hint(&error.inner().to_string());
        let path = if path == "." { String::new() } else { path };
        let fault = Fault { path, message, place: None };
        ApiError::Invalid { detail: format!("the body is not valid: {fault}"), faults: vec![fault] }
    })
}

/// The message with the word that was probably meant, where it lists what would have been valid.
fn with_hint(message: &str) -> String {
    let unknown = message.find("unknown field").or_else(|| message.find("unknown variant"));
    let mut quoted = unknown.map(|at| &message[at..]).unwrap_or_default().split('`').skip(1).step_by(2);
    let near = quoted.next().and_then(|wrong| nearest(wrong, quoted));
    near.map_or_else(|| message.to_owned(), |near| format!("{message}; did you mean `{near}`?"))
}
