//! Compares the two ends of a route.

use std::convert::Infallible;

use axum::body::Body as Answer;
use axum::extract::{Path, State};
use axum::http::Method;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use axum::routing;
use bytes::Bytes;
use futures_util::StreamExt;
use towpath_resource::RouteSpec;
use towpath_resource::api::{CompareLine, CompareOrder};

use super::endpoint::{Endpoint, LINES};
use super::extract::Body;
use super::problem::ApiError;
use super::state::ApiState;

pub(super) fn endpoints() -> Vec<Endpoint> {
    let summary = "Compares what the sources of a route have with what its sink keeps, while changes flow, and sends \
                   again what differs if that is ordered. The answer is one line of JSON for each thing that is found.";
    vec![
        Endpoint::new(
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
    State(state): State<ApiState>,
    Path(name): Path<String>,
    Body(order): Body<CompareOrder>,
) -> Result<Response, ApiError> {
    if order.limit == 0 {
        return Err(ApiError::invalid("limit: at least 1 row must be listed".to_owned()));
    }
    let route = state.catalog().require::<RouteSpec>(&name)?.id;
    let lines = state.plane().compare(route, order).await?;
    let lines = lines.map(|line| {
        let mut line = serde_json::to_vec(&line).expect("a line is always JSON");
        line.push(b'\n');
        Ok::<_, Infallible>(Bytes::from(line))
    });
    Ok(([(CONTENT_TYPE, LINES)], Answer::from_stream(lines)).into_response())
}
