//! Refusals, as gRPC answers them.

use std::collections::HashMap;
use std::time::Duration;

use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt};

use crate::service::Refusal;

/// Whose words the reasons of refusals are.
const DOMAIN: &str = "towpath";
/// When to try again what cannot be done now.
const TRY_AGAIN_AFTER: Duration = Duration::from_secs(5);

/// The status of a refusal, with its reason as the REST API's problems name it, and each field at fault.
pub(super) fn of(refusal: &Refusal) -> Status {
    let mut details = ErrorDetails::new();
    details.set_error_info(refusal.problem_type().slug(), DOMAIN, HashMap::new());
    let code = match refusal {
        Refusal::Unknown(_) => Code::Unauthenticated,
        Refusal::Denied(_) => Code::PermissionDenied,
        Refusal::NotFound(_) => Code::NotFound,
        Refusal::Conflict(_) => Code::FailedPrecondition,
        Refusal::Stale(_) => Code::Aborted,
        Refusal::Gone(_) => Code::OutOfRange,
        Refusal::Invalid { faults, .. } => {
            for fault in faults {
                details.add_bad_request_violation(&fault.path, &fault.message);
            }
            Code::InvalidArgument
        }
        Refusal::Limited(limited) => {
            details.set_retry_info(Some(limited.wait));
            Code::ResourceExhausted
        }
        Refusal::TooMany(_) => Code::ResourceExhausted,
        Refusal::Unavailable(_) | Refusal::Stopping => {
            details.set_retry_info(Some(TRY_AGAIN_AFTER));
            Code::Unavailable
        }
    };
    Status::with_error_details(code, refusal.to_string(), details)
}
