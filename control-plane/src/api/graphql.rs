//! GraphQL: requests, the schema, and the socket for subscriptions.

use axum::extract::ws::{WebSocketUpgrade, rejection::WebSocketUpgradeRejection};
use axum::extract::{Request, State};
use axum::http::header::{AUTHORIZATION, CONTENT_TYPE};
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json, routing};
use serde_json::{Value, json};
use towpath_catalog::Interface;

use super::endpoint::{Endpoint, JSON};
use super::extract::{Body, read};
use super::guard::sole_bearer;
use super::idempotency::Passing;
use super::problem::Refused;
use super::problem_type::ProblemType;
use crate::door::origin;
use crate::graphql::{self, Graph, GraphqlRequest, PROTOCOL};
use crate::service::{Admission, Need, Refusal, Service};

const PATH: &str = "/graphql";
const TEXT: &str = "text/plain";
/// Largest message that a client may send over a socket. A manifest that is larger is applied with POST.
const MOST_MESSAGE_BYTES: usize = 1 << 20;

pub(super) fn endpoints() -> Vec<Endpoint> {
    let answer = json!({
        "type": "object",
        "properties": {
            "data": { "description": "What was asked for, as far as there is something." },
            "errors": {
                "type": "array",
                "description": "What was refused. `extensions` is the problem, with its `code`.",
                "items": { "type": "object", "properties": { "message": { "type": "string" } }, "required": ["message"] },
            },
        },
    });
    let asked = "Answers a GraphQL request. Each of its operations needs its own permission.";
    vec![
        Endpoint::new(
            Need::DecidedByContent,
            Method::POST,
            PATH,
            routing::post(ask),
            "graphql",
            "graphql",
            asked,
        )
        .over(Interface::Graphql)
        .takes::<GraphqlRequest>()
        .example(Some(json!({ "query": "{ whoami { who } }" })), None)
        .answers_as(vec![JSON], Box::new(|_| answer)),
        Endpoint::new(
            Need::DecidedByContent,
            Method::GET,
            PATH,
            routing::get(open),
            "graphql",
            "open_graphql_socket",
            "Opens a WebSocket of `graphql-transport-ws`, for subscriptions too. Who asks, a header says or the first message.",
        )
        .over(Interface::Graphql)
        .unguarded()
        .status(StatusCode::SWITCHING_PROTOCOLS)
        .refuses(ProblemType::Invalid)
        .refuses(ProblemType::SocketOnly),
        Endpoint::new(
            Need::ToBeKnown,
            Method::GET,
            "/graphql/schema",
            routing::get(schema),
            "graphql",
            "get_graphql_schema",
            "Shows the GraphQL schema.",
        )
        .over(Interface::Graphql)
        .answers_as(vec![TEXT], Box::new(|_| json!({ "type": "string" }))),
    ]
}

async fn ask(
    Extension(graph): Extension<Graph>,
    Extension(admission): Extension<Admission>,
    Body(asked): Body<Value>,
) -> Result<Response, Refusal> {
    if asked.is_array() {
        let remedy =
            "several requests at once are not taken; send one with several operations, or several requests";
        return Err(Refusal::invalid(remedy));
    }
    let answer = graph.answer(admission, read(asked)?).await;
    let may_pass = graphql::may_pass(&answer);
    let mut response = Json(answer).into_response();
    if may_pass {
        response.extensions_mut().insert(Passing);
    }
    Ok(response)
}

async fn schema() -> Response {
    ([(CONTENT_TYPE, "text/plain; charset=utf-8")], graphql::sdl()).into_response()
}

async fn open(
    State(service): State<Service>,
    Extension(graph): Extension<Graph>,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
    request: Request,
) -> Result<Response, Refused> {
    let upgrade = upgrade.map_err(|error| {
        Refused::new(ProblemType::SocketOnly, format!("send requests with POST ({error})"))
    })?;
    let upgrade = upgrade.protocols([PROTOCOL]);
    if upgrade.selected_protocol().is_none() {
        return Err(
            Refusal::invalid(format!("this socket speaks `{PROTOCOL}`; ask for that protocol")).into()
        );
    }
    let origin = origin(request.extensions(), Interface::Graphql);
    let _place = service.arrive(origin.address)?;
    let admitted = if request.headers().contains_key(AUTHORIZATION) {
        let token = sole_bearer(request.headers())?;
        Some(service.let_in(token, origin.clone(), Need::DecidedByContent).await?.0)
    } else {
        None
    };
    let permit = service.socket_permit()?;
    let upgrade = upgrade.max_message_size(MOST_MESSAGE_BYTES);
    Ok(upgrade
        .on_upgrade(move |socket| async move {
            graphql::serve(socket, graph, admitted, origin).await;
            drop(permit);
        })
        .into_response())
}
