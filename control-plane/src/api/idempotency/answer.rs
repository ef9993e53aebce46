//! An answer that can be given again.

use axum::body::{Bytes, to_bytes};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use serde::{Deserialize, Serialize};

use super::super::problem::{Refused, WrittenRefusal};

/// The header of an answer that was given before.
const REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");
/// Largest answer that is kept.
pub(super) const LARGEST: usize = 1 << 20;

/// An answer.
#[derive(Clone)]
pub(super) struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: Bytes,
    /// A refusal whose document is made for each request anew.
    refused: Option<Refused>,
}

/// The same, as it is written.
#[derive(Serialize, Deserialize)]
struct Written {
    status: u16,
    headers: Vec<(String, String)>,
    body: String,
    refused: Option<WrittenRefusal>,
}

/// Whether a request that was answered with this may be answered with something else when it is tried again.
pub(super) fn may_succeed_later(status: StatusCode) -> bool {
    status.is_server_error() || matches!(status, StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS)
}

impl Answer {
    pub(super) async fn of(response: Response) -> Self {
        let (mut parts, body) = response.into_parts();
        let refused = parts.extensions.remove::<Refused>();
        let body = to_bytes(body, usize::MAX).await.unwrap_or_default();
        Self { status: parts.status, headers: parts.headers, body, refused }
    }

    /// Its size in memory, headers apart.
    pub(super) fn len(&self) -> usize {
        self.body.len()
    }

    pub(super) fn is_small(&self) -> bool {
        self.len() <= LARGEST
    }

    pub(super) fn to_bytes(&self) -> Vec<u8> {
        let text = |value: &HeaderValue| value.to_str().ok().map(str::to_owned);
        let headers = self.headers.iter().filter_map(|(name, value)| Some((name.to_string(), text(value)?)));
        let written = Written {
            status: self.status.as_u16(),
            headers: headers.collect(),
            body: STANDARD_NO_PAD.encode(&self.body),
            refused: self.refused.as_ref().map(Refused::written),
        };
        serde_json::to_vec(&written).expect("an answer as it is written is always JSON")
    }

    /// Nothing for what no release up to this one has written.
    pub(super) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let Written { status, headers, body, refused } = serde_json::from_slice(bytes).ok()?;
        let header = |(name, value): (String, String)| {
            Some((name.parse::<HeaderName>().ok()?, value.parse::<HeaderValue>().ok()?))
        };
        Some(Self {
            status: StatusCode::from_u16(status).ok()?,
            headers: headers.into_iter().map(header).collect::<Option<_>>()?,
            body: STANDARD_NO_PAD.decode(body).ok()?.into(),
            refused: match refused {
                Some(written) => Some(Refused::read(written)?),
                None => None,
            },
        })
    }

    /// Given again.
    pub(super) fn replay(self) -> Response {
        let again = HeaderValue::from_static("true");
        let mut response = match self.refused.clone() {
            Some(refused) => refused.header(REPLAYED, again.clone()).into_response(),
            None => self.into_response(),
        };
        response.headers_mut().insert(REPLAYED, again);
        response
    }
}

impl IntoResponse for Answer {
    fn into_response(self) -> Response {
        let mut response = (self.status, self.headers, self.body).into_response();
        if let Some(refused) = self.refused {
            response.extensions_mut().insert(refused);
        }
        response
    }
}

#[cfg(test)]
pub(super) fn of_size(bytes: usize) -> Answer {
    Answer { status: StatusCode::OK, headers: HeaderMap::new(), body: vec![0; bytes].into(), refused: None }
}
