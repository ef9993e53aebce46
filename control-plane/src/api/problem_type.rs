//! The types of problems: one list, from which answers and documentation follow.

use axum::http::StatusCode;
use towpath_resource::api::Problem;

macro_rules! problem_types {
    ($($(#[doc = $doc:literal])* $name:ident $status:ident $slug:literal $title:literal $meaning:literal;)*) => {
        /// A type of problem. Programs tell problems apart by it, so it is never renamed.
        #[derive(Clone, Copy, PartialEq, Eq, Debug)]
        pub enum ProblemType {
            $($(#[doc = $doc])* $name,)*
        }

        impl ProblemType {
            /// Every type, in the order of their statuses.
            pub const ALL: &'static [Self] = &[$(Self::$name),*];

            /// The HTTP status.
            pub const fn status(self) -> StatusCode {
                match self { $(Self::$name => StatusCode::$status,)* }
            }

            /// The last part of its URI.
            pub const fn slug(self) -> &'static str {
                match self { $(Self::$name => $slug,)* }
            }

            /// The type in words.
            pub const fn title(self) -> &'static str {
                match self { $(Self::$name => $title,)* }
            }

            /// When it is answered and what to do.
            pub const fn meaning(self) -> &'static str {
                match self { $(Self::$name => $meaning,)* }
            }
        }
    };
}

problem_types! {
    /// 400.
    Malformed BAD_REQUEST "malformed" "Not understood"
        "The request is no HTTP that can be understood here, such as one with two `Authorization` headers. Correct it.";
    /// 401.
    Unauthorized UNAUTHORIZED "unauthorized" "Not authenticated"
        "No valid token came with the request. Send `Authorization: Bearer TOKEN`.";
    /// 403.
    Denied FORBIDDEN "denied" "Not allowed"
        "Whoever asks lacks the permission that the detail names. Ask an admin for a role that has it.";
    /// 404.
    NotFound NOT_FOUND "not-found" "Not found"
        "There is no such address or resource, or it is not yours to see.";
    /// 405.
    NoSuchMethod METHOD_NOT_ALLOWED "no-such-method" "No such method"
        "The address takes other methods, which the header `Allow` and the OpenAPI document list.";
    /// 408.
    SlowBody REQUEST_TIMEOUT "slow-body" "Body too slow"
        "The body of the request did not come in time. Send it again over a better line, or split it.";
    /// 409.
    Conflict CONFLICT "conflict" "Not possible as things stand"
        "The detail says what is in the way, such as other resources that need this one.";
    /// 409, of an idempotency key.
    InProgress CONFLICT "in-progress" "Still under way"
        "A request with the same `Idempotency-Key` is under way. Try again when it is done.";
    /// 410.
    Gone GONE "gone" "No longer kept"
        "The events to go on from are no longer kept. Begin anew, without `since` and `Last-Event-ID`.";
    /// 412.
    Stale PRECONDITION_FAILED "stale" "Changed meanwhile"
        "The resource is not in the state that `If-Match` or `If-None-Match` names. Get it again and repeat the change.";
    /// 413.
    TooLarge PAYLOAD_TOO_LARGE "too-large" "Too large"
        "The body is larger than 8 MiB. Split it.";
    /// 415.
    MediaType UNSUPPORTED_MEDIA_TYPE "media-type" "Not such content"
        "The body is compressed, or not of a content type that the operation takes. Send it as the OpenAPI document says.";
    /// 422.
    Invalid UNPROCESSABLE_ENTITY "invalid" "Not valid"
        "The body, an argument or a header is not valid. `faults` names each field with what is wrong and what would be right.";
    /// 422, of several documents.
    PartlyRefused UNPROCESSABLE_ENTITY "partly-refused" "Some were refused"
        "Some of the documents were refused, the others were taken. `results` says for each what became of it.";
    /// 422, of a GraphQL request.
    TooCostly UNPROCESSABLE_ENTITY "too-costly" "More than is allowed"
        "The GraphQL request is too deep, too long or asks for too much. The detail names the limit. Ask for less, or in several requests.";
    /// 422, of an idempotency key.
    KeyReused UNPROCESSABLE_ENTITY "idempotency-key-reused" "Key used for something else"
        "The same `Idempotency-Key` came with another request within 24 hours. Use a key for one request only.";
    /// 426.
    SocketOnly UPGRADE_REQUIRED "socket-only" "A WebSocket only"
        "The address opens a WebSocket. Ask for one, or send the request where the detail says.";
    /// 429, of a rate.
    RateLimited TOO_MANY_REQUESTS "rate-limited" "Too many requests"
        "More requests came than `api.rate` of the control plane allows. `Retry-After` says when the next is taken.";
    /// 429, of something that is held.
    TooMany TOO_MANY_REQUESTS "too-many" "Too many at once"
        "Too many streams are followed or requests under way. End one, or try again later.";
    /// 500.
    Internal INTERNAL_SERVER_ERROR "internal" "A fault of ours"
        "The request met a fault of the control plane, whose log has more under the request's id. Please report it.";
    /// 503.
    Unavailable SERVICE_UNAVAILABLE "unavailable" "Not possible now"
        "The detail says what is in the way, such as an agent that is not connected or a full disk. Try again later.";
    /// 504.
    Timeout GATEWAY_TIMEOUT "timeout" "Took too long"
        "The request was not done in time. Look at the control plane's disk and load, then try again.";
}

impl ProblemType {
    /// The URI by which documents name it.
    pub fn uri(self) -> String {
        format!("towpath:{}", self.slug())
    }

    /// A problem of this type, of which no more is known than this.
    pub(crate) fn problem(self, detail: impl Into<String>) -> Problem {
        Problem {
            kind: self.uri(),
            title: self.title().to_owned(),
            status: self.status().as_u16(),
            detail: detail.into(),
            instance: None,
            faults: Vec::new(),
        }
    }

    /// The type of a bare status.
    pub(super) fn of_status(status: StatusCode) -> Self {
        let exact = Self::ALL.iter().copied().find(|kind| kind.status() == status);
        let class = if status.is_server_error() { Self::Internal } else { Self::Malformed };
        exact.unwrap_or(class)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn each_type_has_a_name_of_its_own_and_says_what_to_do() {
        let slugs: BTreeSet<_> = ProblemType::ALL.iter().map(|kind| kind.slug()).collect();
        assert_eq!(slugs.len(), ProblemType::ALL.len());
        assert!(ProblemType::ALL.is_sorted_by_key(|kind| kind.status().as_u16()));
        assert!(ProblemType::ALL.iter().all(|kind| kind.meaning().ends_with('.')));
    }
}
