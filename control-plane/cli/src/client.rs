//! The API's client. It trusts the CA of the context and nothing else, under one fixed name, whatever the address.

mod connect;
mod credential;
mod keys;
mod lines;
mod identity;
mod resources;
mod changes;
mod observe;
mod audit;

use std::path::Path;
use std::time::Duration;

use reqwest::{Method, RequestBuilder, StatusCode, Url};
use serde::Serialize;
use serde::de::DeserializeOwned;
use towpath_resource::StartFrom;
use towpath_resource::api::{
    AcceptOrder, CompareLine, CompareOrder, CreatedToken, DeadLetter, FleetStatus, Listed, Problem,
    ReplayOrder, Replayed, RouteDescription, SchemaAccepted, SchemaDescription, SchemaDiff, SourceCheck,
    StreamRecord, StreamSchemas, StreamStatus, TokenOrder, TokenStatus,
};

use crate::context::{Context, ContextError, ContextFile};
use crate::provider::ProviderError;

pub use changes::Changes;
pub use connect::{ConnectError, SERVER_NAME};
pub(crate) use connect::{host_of, tls};
pub use identity::Granted;
pub use lines::{Lines, TailArgs};
pub use observe::EventArgs;
pub use resources::{Those, Versioned};

use credential::Credential;

/// The server gives up a request after 60 s itself; this is for a server that does not answer at all.
const ANSWER_WITHIN: Duration = Duration::from_secs(75);

/// A client of one control plane. Cheap to clone.
#[derive(Clone)]
pub struct Client {
    http: reqwest::Client,
    /// The address as the admin wrote it, for messages.
    server: String,
    base: Url,
    credential: Credential,
}

/// Why the control plane did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The context does not describe a control plane.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// It did not answer.
    #[error("{server} does not answer: {cause}; {remedy}")]
    Unreachable {
        /// The address.
        server: String,
        /// Why.
        cause: String,
        /// What would help.
        remedy: &'static str,
    },
    /// It refused.
    #[error("{0}")]
    Refused(Box<Problem>),
    /// It answered something else than the API says.
    #[error(
        "{server} answered {status} in a form that this version does not understand; is it a control plane of the same version?"
    )]
    NotUnderstood {
        /// The address.
        server: String,
        /// The HTTP status.
        status: StatusCode,
    },
    /// The login is over.
    #[error("the login ended at {0} and cannot be renewed: run `towpath login`")]
    LoginOver(jiff::Timestamp),
    /// The identity provider did not renew the login.
    #[error("the login cannot be renewed: {0}; run `towpath login`")]
    NotRenewed(#[source] ProviderError),
    /// A renewed login cannot be kept.
    #[error(transparent)]
    Context(#[from] ContextError),
    /// A stream ended before its end.
    #[error("the stream ends early: {0}")]
    EndedEarly(String),
}

impl ClientError {
    /// Whether what was asked about is not there.
    pub fn is_not_found(&self) -> bool {
        matches!(self, Self::Refused(problem) if problem.status == StatusCode::NOT_FOUND.as_u16())
    }
}

/// Which dead letters are asked for.
#[derive(Clone, Debug, Default, Serialize)]
pub struct LetterArgs {
    /// Those of this stream only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stream: Option<String>,
    /// Those of this route only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub route: Option<String>,
    /// At most so many.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<usize>,
}

type Answer<T> = Result<T, ClientError>;

impl Client {
    /// A client of the control plane that the context describes. Connects to nothing yet. A session in it is not renewed.
    ///
    /// # Errors
    /// The address or the CA in the context is not valid.
    pub fn new(context: &Context) -> Answer<Self> {
        Self::with(context, Credential::fixed(&context.token))
    }

    /// A client of the control plane of a context in this file, or in the one at the usual place: of this name, or the
    /// one in use. A session in it is renewed and kept there as long as the client lives.
    ///
    /// # Errors
    /// There is no such context, it is logged out, or its address or CA is not valid.
    pub fn of(file: Option<&Path>, name: Option<&str>) -> Answer<Self> {
        let contexts = ContextFile::open(file)?;
        let (name, context) = contexts.chosen(name)?;
        if context.token.is_empty() {
            return Err(ContextError::LoggedOut { name: name.to_owned() }.into());
        }
        Self::with(context, Credential::of(contexts.path(), name, context))
    }

    fn with(context: &Context, credential: Credential) -> Answer<Self> {
        let (http, base) = connect::http(context)?;
        Ok(Self { http, server: context.server.clone(), base, credential })
    }

    /// How the fleet goes.
    ///
    /// # Errors
    /// The request failed or was refused.
    pub async fn status(&self) -> Answer<FleetStatus> {
        self.get(&["status"]).await
    }

    /// A route from end to end.
    ///
    /// # Errors
    /// The request failed or was refused.
    pub async fn describe_route(&self, name: &str) -> Answer<RouteDescription> {
        self.get(&["routes", name, "describe"]).await
    }

    /// Sends a route back.
    ///
    /// # Errors
    /// The request failed or was refused.
    pub async fn replay_route(&self, name: &str, from: StartFrom) -> Answer<Replayed> {
        let request = self.request(Method::POST, &["routes", name, "replay"]);
        self.json(request.json(&ReplayOrder { from })).await
    }

    /// Makes an enrolment token.
    ///
    /// # Errors
    /// The request failed or was refused.
    pub async fn create_token(&self, order: &TokenOrder) -> Answer<CreatedToken> {
        self.json(self.request(Method::POST, &["tokens"]).json(order)).await
    }

    /// The enrolment tokens.
    ///
    /// # Errors
    /// The request failed or was refused.
    pub async fn tokens(&self) -> Answer<Vec<TokenStatus>> {
        Ok(self.get::<Listed<TokenStatus>>(&["tokens"]).await?.items)
    }

    /// Takes an enrolment token back.
    ///
    /// # Errors
    /// The request failed or was refused.
    pub async fn revoke_token(&self, id: &str) -> Answer<()> {
        self.done(self.request(Method::DELETE, &["tokens", id])).await
    }

    /// Cuts an agent off.
    ///
    /// # Errors
    /// The request failed or was refused.
    pub async fn revoke_agent(&self, name: &str) -> Answer<()> {
        self.done(self.request(Method::POST, &["agents", name, "revoke"])).await
    }

    /// The streams of the logs.
    ///
    /// # Errors
    /// The request failed or was refused.
    pub async fn streams(&self) -> Answer<Vec<StreamStatus>> {
        Ok(self.get::<Listed<StreamStatus>>(&["streams"]).await?.items)
    }

    /// Reads a stream.
    ///
    /// # Errors
    /// The request failed or was refused.
    pub async fn tail(&self, stream: &str, args: &TailArgs) -> Answer<Lines<StreamRecord>> {
        self.lines(self.request(Method::GET, &["streams", stream, "records"]).query(args)).await
    }

    /// Compares the two ends of a route.
    ///
    /// # Errors
    /// The request failed or was refused.
    pub async fn compare(&self, route: &str, order: &CompareOrder) -> Answer<Lines<CompareLine>> {
        self.lines(self.request(Method::POST, &["routes", route, "compare"]).json(order)).await
    }

    /// Looks whether the system behind a source is ready to be read.
    ///
    /// # Errors
    /// The request failed or was refused.
    pub async fn check_source(&self, name: &str) -> Answer<SourceCheck> {
        self.json(self.request(Method::POST, &["sources", name, "check"])).await
    }

    async fn lines<T: DeserializeOwned>(&self, request: RequestBuilder) -> Answer<Lines<T>> {
        // Any time may pass before a line comes; only the beginning of the answer is awaited.
        let response = self.send(request.timeout(Duration::MAX)).await?;
        if !response.status().is_success() {
            let status = response.status();
            let text = self.body(response).await?;
            return Err(self.refusal(status, &text));
        }
        Ok(Lines::new(self.server.clone(), response))
    }

    /// The schemas of streams.
    ///
    /// # Errors
    /// The request failed or was refused.
    pub async fn schemas(&self) -> Answer<Vec<StreamSchemas>> {
        Ok(self.get::<Listed<StreamSchemas>>(&["schemas"]).await?.items)
    }

    /// A version of a stream's schema.
    ///
    /// # Errors
    /// The request failed or was refused.
    pub async fn schema(
        &self,
        stream: &str,
        version: Option<u32>,
        source: Option<&str>,
    ) -> Answer<SchemaDescription> {
        let request = self.request(Method::GET, &["schemas", stream]);
        self.json(request.query(&[("version", version)]).query(&[("source", source)])).await
    }

    /// What is different between two versions of a stream's schema.
    ///
    /// # Errors
    /// The request failed or was refused.
    pub async fn schema_diff(
        &self,
        stream: &str,
        from: u32,
        to: u32,
        source: Option<&str>,
    ) -> Answer<SchemaDiff> {
        let request = self.request(Method::GET, &["schemas", stream, "diff"]);
        self.json(request.query(&[("from", from), ("to", to)]).query(&[("source", source)])).await
    }

    /// Accepts a version of a schema for a route.
    ///
    /// # Errors
    /// The request failed or was refused.
    pub async fn accept_schema(&self, route: &str, order: &AcceptOrder) -> Answer<SchemaAccepted> {
        self.json(self.request(Method::POST, &["routes", route, "accept"]).json(order)).await
    }

    /// Dead letters, newest first.
    ///
    /// # Errors
    /// The request failed or was refused.
    pub async fn dead_letters(&self, args: &LetterArgs) -> Answer<Vec<DeadLetter>> {
        let request = self.request(Method::GET, &["deadletters"]).query(args);
        Ok(self.json::<Listed<DeadLetter>>(request).await?.items)
    }

    /// One dead letter.
    ///
    /// # Errors
    /// The request failed or was refused.
    pub async fn dead_letter(&self, id: &str) -> Answer<DeadLetter> {
        self.get(&["deadletters", id]).await
    }

    /// Sends a dead letter on its way again.
    ///
    /// # Errors
    /// The request failed or was refused.
    pub async fn replay_dead_letter(&self, id: &str) -> Answer<DeadLetter> {
        self.json(self.request(Method::POST, &["deadletters", id, "replay"])).await
    }

    fn request(&self, method: Method, below_v1: &[&str]) -> RequestBuilder {
        let mut url = self.base.clone();
        url.path_segments_mut().expect("the base is an https address").push("v1").extend(below_v1);
        self.http.request(method, url).timeout(ANSWER_WITHIN)
    }

    async fn get<T: DeserializeOwned>(&self, below_v1: &[&str]) -> Answer<T> {
        self.json(self.request(Method::GET, below_v1)).await
    }

    async fn json<T: DeserializeOwned>(&self, request: RequestBuilder) -> Answer<T> {
        let response = self.send(request).await?;
        self.read(response).await
    }

    async fn read<T: DeserializeOwned>(&self, response: reqwest::Response) -> Answer<T> {
        let status = response.status();
        let text = self.body(response).await?;
        if !status.is_success() {
            return Err(self.refusal(status, &text));
        }
        serde_json::from_str(&text)
            .map_err(|_| ClientError::NotUnderstood { server: self.server.clone(), status })
    }

    async fn done(&self, request: RequestBuilder) -> Answer<()> {
        let response = self.send(request).await?;
        let status = response.status();
        if status.is_success() {
            return Ok(());
        }
        let text = self.body(response).await?;
        Err(self.refusal(status, &text))
    }

    async fn send(&self, request: RequestBuilder) -> Answer<reqwest::Response> {
        let token = self.credential.token(self).await?;
        self.send_unknown(request.bearer_auth(token)).await
    }

    /// Sends a request without saying who asks.
    async fn send_unknown(&self, request: RequestBuilder) -> Answer<reqwest::Response> {
        request.send().await.map_err(|error| self.unreachable(&error))
    }

    async fn body(&self, response: reqwest::Response) -> Answer<String> {
        response.text().await.map_err(|error| self.unreachable(&error))
    }

    fn unreachable(&self, error: &reqwest::Error) -> ClientError {
        connect::unreachable(&self.server, error)
    }

    fn refusal(&self, status: StatusCode, text: &str) -> ClientError {
        match serde_json::from_str::<Problem>(text) {
            Ok(problem) => ClientError::Refused(Box::new(problem)),
            Err(_) => ClientError::NotUnderstood { server: self.server.clone(), status },
        }
    }
}

impl std::fmt::Debug for Client {
    /// Leaves the token out.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Client({})", self.server)
    }
}
