//! Why something becomes of a field.

use axum::Json;
use axum::extract::State;
use axum::http::Method;
use axum::routing;
use towpath_record::{RegionName, StreamName};
use towpath_resource::api::{ExplainOrder, PolicyExplanation};
use towpath_resource::hint::Purpose;
use towpath_resource::{Kind, Object, Permission};

use super::endpoint::{Endpoint, word};
use super::extract::Args;
use crate::service::{Asker, Refusal, Service};

pub(super) fn endpoints() -> Vec<Endpoint> {
    vec![
        Endpoint::new(
            Permission::read(Object::Resource(Kind::Policy)),
            Method::GET,
            "/v1/policies/explain",
            routing::get(explain),
            "policies",
            "explain_policy",
            "Says what becomes of a field of a stream, region by region: its classes, the rule that counts, and why others do not.",
        )
        .needs("stream", "The stream.", word::<StreamName>())
        .needs("field", "The field.", serde_json::json!({ "type": "string", "minLength": 1 }))
        .argument("region", "The region. Default: every region that is known.", word::<RegionName>())
        .argument("purpose", "The purpose, as a route declares it. Default: none.", word::<Purpose>())
        .answers::<PolicyExplanation>(),
    ]
}

async fn explain(
    State(service): State<Service>,
    asker: Asker,
    Args(order): Args<ExplainOrder>,
) -> Result<Json<PolicyExplanation>, Refusal> {
    Ok(Json(service.explain_policy(&asker, &order)?))
}
