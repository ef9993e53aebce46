//! What admins can do, as GraphQL: queries and mutations at `POST /graphql`, subscriptions over a socket at the same
//! address, both over the one service.
//!
//! The types are made from the JSON Schemas of the resource model when the control plane starts, so that a new kind or
//! field is there without a change here. A request is read and measured before anything of it is done; then each of its
//! operations is admitted by itself, as the same request to REST would be. Refusals are errors that bear the problem.

mod nesting;
mod shape;
mod types;
mod error;
mod call;
mod operation;
mod kinds;
mod flow;
mod access;
mod trail;
mod feeds;
mod limits;
mod schema;
mod socket;
#[cfg(test)]
mod tests;

use async_graphql::parser::types::{ExecutableDocument, OperationType};
use async_graphql::{Request, Response, ServerError, Variables};
use futures_util::StreamExt;
use futures_util::stream::{self, BoxStream};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value};
use towpath_catalog::Actor;

use crate::api::{ANSWER_WITHIN, GraphqlSettings, ProblemType};
use crate::service::{Admission, Refusal, Service};
use limits::Unread;
use schema::WHOLE;

pub(crate) use error::may_pass;
pub(crate) use socket::{PROTOCOL, serve};

/// How much of what a request costs is charged as another request.
const COST_OF_A_REQUEST: u64 = 5_000;

/// A request. Without [`Debug`], since it can hold a secret.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct GraphqlRequest {
    /// The operations, in GraphQL.
    query: String,
    /// Which of them, if there are several.
    #[serde(default)]
    operation_name: Option<String>,
    /// The values of the variables.
    #[serde(default)]
    variables: Option<Map<String, Value>>,
    /// What the standard leaves to servers; nothing is read from it.
    #[serde(default, rename = "extensions")]
    _extensions: Option<Map<String, Value>>,
}

/// Every operation there is, with what it needs.
#[cfg(test)]
pub(crate) fn operations() -> Vec<operation::Operation> {
    schema::operations(&mut types::Types::default())
}

/// The schema, in the language of schemas.
pub(crate) fn sdl() -> String {
    WHOLE.schema.sdl()
}

/// Answers requests. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Graph {
    service: Service,
    settings: GraphqlSettings,
}

/// A request that was read and found to be within the limits.
struct Measured {
    request: Request,
    follows: bool,
}

impl Graph {
    /// Over this service, with these limits.
    pub(crate) fn new(service: Service, settings: GraphqlSettings) -> Self {
        Self { service, settings }
    }

    /// Answers a request that is answered once, whose first operation was counted at the door.
    pub(crate) async fn answer(&self, admission: Admission, asked: GraphqlRequest) -> Response {
        match self.measured(&admission.asker.cause.actor, asked, 1) {
            Err(refused) => *refused,
            Ok(Measured { follows: true, .. }) => refused(Refusal::invalid(
                "subscriptions are followed over a WebSocket at this address, with the protocol graphql-transport-ws",
            )),
            Ok(Measured { request, .. }) => self.once(admission, request).await,
        }
    }

    /// Answers a request of whichever kind: one answer, or many for a subscription.
    pub(crate) fn answers(
        &self,
        admission: Admission,
        asked: GraphqlRequest,
    ) -> BoxStream<'static, Response> {
        match self.measured(&admission.asker.cause.actor, asked, 0) {
            Err(refused) => stream::iter([*refused]).boxed(),
            Ok(Measured { request, follows: true }) => {
                let request = request.data(self.service.clone()).data(admission);
                WHOLE.schema.execute_stream(request).map(error::typed).boxed()
            }
            Ok(Measured { request, .. }) => {
                let graph = self.clone();
                stream::once(async move { graph.once(admission, request).await }).boxed()
            }
        }
    }

    async fn once(&self, admission: Admission, request: Request) -> Response {
        let request = request.data(self.service.clone()).data(admission);
        match tokio::time::timeout(ANSWER_WITHIN, WHOLE.schema.execute(request)).await {
            Ok(answer) => error::typed(answer),
            Err(_) => refused(Refusal::Unavailable(format!(
                "the request was not done within {} s; ask for less at once",
                ANSWER_WITHIN.as_secs()
            ))),
        }
    }

    /// Reads a request, and charges whoever asks for what it costs beyond what was counted.
    fn measured(
        &self,
        actor: &Actor,
        asked: GraphqlRequest,
        counted: u64,
    ) -> Result<Measured, Box<Response>> {
        let GraphqlRequest { query, operation_name, variables, _extensions: _ } = asked;
        let document = limits::read(&query).map_err(|unread| match unread {
            Unread::TooMuch(too_much) => too_costly(&too_much),
            Unread::Text(text) => error::typed(Response::from_errors(vec![ServerError::from(text)])),
        })?;
        let variables = Variables::from_json(Value::Object(variables.unwrap_or_default()));
        let name = operation_name.as_deref();
        let measure = limits::measure(&document, name, &variables, &WHOLE.prices, &self.settings);
        let measure = measure.map_err(|too_much| too_costly(&too_much))?;
        let follows = self.follows(&document, name, measure.operations)?;
        let requests = measure.operations + measure.cost / COST_OF_A_REQUEST;
        self.service.charge(actor, requests.saturating_sub(counted)).map_err(refused)?;
        let mut request = Request::new(query).variables(variables);
        request.operation_name = operation_name;
        request.set_parsed_query(document);
        Ok(Measured { request, follows })
    }

    /// Whether a subscription is asked for, which is of one thing.
    fn follows(
        &self,
        document: &ExecutableDocument,
        name: Option<&str>,
        operations: u64,
    ) -> Result<bool, Box<Response>> {
        let follows =
            limits::asked_for(document, name).is_some_and(|asked| asked.ty == OperationType::Subscription);
        if follows && operations != 1 {
            return Err(refused(Refusal::invalid("a subscription is of one thing; send one for each")).into());
        }
        Ok(follows)
    }
}

fn refused(refusal: Refusal) -> Response {
    error::refused(refusal.into_problem())
}

fn too_costly(too_much: &limits::TooMuch) -> Response {
    error::refused(ProblemType::TooCostly.problem(too_much.to_string()))
}
