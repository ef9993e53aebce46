//! Compares the two ends of a route.

use axum::Extension;
use axum::extract::{Path, State};
use axum::http::Method;
use axum::response::Response;
use axum::routing;
use futures_util::StreamExt;
use towpath_resource::api::{CompareLine, CompareOrder};
use towpath_resource::{Kind, Object, Permission};

use super::endpoint::{Endpoint, LINES};
use super::extract::Body;
use super::lines::json_lines;
use crate::service::{Admission, Refusal, Service};

pub(super) fn endpoints() -> Vec<Endpoint> {
    let summary = "Compares what the sources of a route have with what its sink keeps, while changes flow, and sends \
                   again what differs if that is ordered. The answer is one line of JSON for each thing that is found.";
    vec![
        Endpoint::new(
            Permission::operate(Object::Resource(Kind::Route)),
            Method::POST,
            "/v1/routes/{name}/compare",
            routing::post(compare),
            "routes",
            "compare_route",
            summary,
        )
        .takes::<CompareOrder>()
        .answers_as(vec![LINES], Box::new(|generator| generator.subschema_for::<CompareLine>().to_value())),
    ]
}

async fn compare(
    State(service): State<Service>,
    Extension(admission): Extension<Admission>,
    Path(name): Path<String>,
    Body(order): Body<CompareOrder>,
) -> Result<Response, Refusal> {
    let lines = service.compare_route(&admission.asker, &name, order).await?.map(Ok);
    let ended = |refusal: Refusal| CompareLine::Error(refusal.to_string());
    Ok(json_lines(service.while_admitted(admission, lines).map(move |line| line.unwrap_or_else(ended))))
}
