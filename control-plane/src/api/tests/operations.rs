//! What REST offers, for the comparison with other interfaces.

use crate::api::endpoints;
use crate::service::Need;

/// Every operation by its id in the OpenAPI document, and what it needs.
pub(crate) fn operations() -> Vec<(String, Need)> {
    endpoints().into_iter().map(|endpoint| (endpoint.name, endpoint.need)).collect()
}
