//! Refusals, as GraphQL answers them: an error whose extensions are the problem of RFC 9457 that REST answers.

use async_graphql::{Error, ErrorExtensionValues, Response, ServerError, Value as Given};
use serde_json::Value;
use towpath_resource::api::Problem;

use crate::api::ProblemType;
use crate::service::{Asker, Refusal};

/// Most errors of one answer. A text can have more faults than anyone reads.
const MOST_ERRORS: usize = 25;

/// A refusal of whoever asks.
pub(super) fn told(refusal: Refusal, by: &Asker) -> Error {
    let mut problem = refusal.into_problem();
    let request = by.cause.origin.as_ref().map(|origin| origin.request);
    problem.instance = request.map(|request| format!("urn:uuid:{request}"));
    error(problem)
}

/// A problem as an error. Its `code` is the last part of the problem's type.
pub(super) fn error(problem: Problem) -> Error {
    let mut extensions = ErrorExtensionValues::default();
    extensions.set("code", problem.kind.rsplit(':').next().unwrap_or_default());
    let Ok(Value::Object(members)) = serde_json::to_value(&problem) else {
        unreachable!("a problem is always an object")
    };
    for (name, value) in members {
        if name != "detail"
            && let Ok(value) = Given::from_json(value)
        {
            extensions.set(name, value);
        }
    }
    Error { message: problem.detail, source: None, extensions: Some(extensions) }
}

/// An answer that is nothing but this problem.
pub(super) fn refused(problem: Problem) -> Response {
    let Error { message, source, extensions } = error(problem);
    let only = ServerError { source, extensions, ..ServerError::new(message, None) };
    Response::from_errors(vec![only])
}

/// The answer with a type for every error: those that the text itself has are faults of the request.
pub(super) fn typed(mut answer: Response) -> Response {
    answer.errors.truncate(MOST_ERRORS);
    for one in &mut answer.errors {
        if one.extensions.as_ref().is_none_or(|extensions| extensions.get("code").is_none()) {
            let problem = ProblemType::Invalid.problem(one.message.clone());
            one.extensions = error(problem).extensions;
        }
    }
    answer
}

/// Whether nothing was done, for reasons that may pass: the same request may succeed when it is sent again.
pub(crate) fn may_pass(answer: &Response) -> bool {
    let passes = |one: &ServerError| {
        let status = one.extensions.as_ref().and_then(|extensions| extensions.get("status"));
        matches!(status, Some(Given::Number(status)) if status.as_u64().is_some_and(|status| status == 429 || status >= 500))
    };
    let nothing = match &answer.data {
        Given::Object(members) => members.values().all(|member| *member == Given::Null),
        other => *other == Given::Null,
    };
    nothing && !answer.errors.is_empty() && answer.errors.iter().all(passes)
}

#[cfg(test)]
mod tests {
    use async_graphql::value;

    use super::*;

    #[test]
    fn only_what_may_pass_and_did_nothing_may_be_sent_again() {
        let unavailable = |data| {
            let mut answer = refused(Refusal::Unavailable("no agent".to_owned()).into_problem());
            answer.data = data;
            answer
        };
        assert!(may_pass(&unavailable(Given::Null)));
        assert!(may_pass(&unavailable(value!({ "a": null }))));
        assert!(!may_pass(&unavailable(value!({ "a": null, "b": true }))));
        assert!(!may_pass(&refused(Refusal::NotFound("no site".to_owned()).into_problem())));
        assert!(!may_pass(&Response::default()));
    }
}
