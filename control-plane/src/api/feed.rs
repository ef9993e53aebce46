//! Feeds: what changes, as it changes, over a socket or by long polling.

use axum::extract::ws::{WebSocketUpgrade, rejection::WebSocketUpgradeRejection};
use axum::extract::{Request, State};
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json, routing};
use serde::Deserialize;
use serde_json::json;
use towpath_catalog::Interface;
use towpath_record::{StreamName, TimeSpan};
use towpath_resource::Kind;
use towpath_resource::api::{FeedPage, FeedTicket};

use super::endpoint::{Endpoint, place, word};
use super::extract::{Args, read};
use super::problem::Refused;
use super::problem_type::ProblemType;
use crate::door::{bearer, origin};
use crate::feeds::{self, Topic};
use crate::service::{Admission, Need, Refusal, Service};

/// How long it is waited for something to happen, if nobody says how long.
const DEFAULT_WAIT: TimeSpan = TimeSpan(std::time::Duration::from_secs(30));

pub(super) fn endpoints() -> Vec<Endpoint> {
    let text = || json!({ "type": "string" });
    vec![
        Endpoint::new(
            Need::DecidedByContent,
            Method::GET,
            "/v1/feed",
            routing::get(open),
            "feeds",
            "open_feed_socket",
            "Opens a WebSocket. Who asks, a header says, a ticket or the first message.",
        )
        .unguarded()
        .argument("ticket", "A ticket from `/v1/feed/ticket`.", text())
        .status(StatusCode::SWITCHING_PROTOCOLS)
        .refuses(ProblemType::SocketOnly),
        Endpoint::new(
            Need::DecidedByContent,
            Method::POST,
            "/v1/feed/ticket",
            routing::post(ticket),
            "feeds",
            "create_feed_ticket",
            "Makes a ticket with which the socket at `/v1/feed?ticket=` can be opened, once, within 30 s.",
        )
        .answers::<FeedTicket>()
        .status(StatusCode::CREATED),
        Endpoint::new(
            Need::DecidedByContent,
            Method::GET,
            "/v1/feed/poll",
            routing::get(poll),
            "feeds",
            "poll_feed",
            "Waits for what happens behind a token, and answers it with the next token.",
        )
        .needs(
            "feed",
            "What is followed.",
            json!({ "type": "string", "enum": ["status", "resources", "records", "events"] }),
        )
        .argument("kind", "Of `resources`, which needs it: the kind.", word::<Kind>())
        .argument("filter", "Of `resources`: which, as in lists. Default: all.", text())
        .argument("stream", "Of `records`, which needs it: the stream.", word::<StreamName>())
        .argument("from", "Of `records`: where they begin without a token. Default: `latest`.", place())
        .argument(
            "every",
            "Of `status`: the time between two, `1s` to `60s`. Default: `2s`.",
            word::<TimeSpan>(),
        )
        .argument(
            "after",
            "The token of the last answer. Default: from now on; of resources what there is.",
            text(),
        )
        .argument("timeout", "How long to wait, at most `50s`. Default: `30s`.", word::<TimeSpan>())
        .answers::<FeedPage>(),
    ]
}

async fn ticket(
    State(service): State<Service>,
    Extension(admission): Extension<Admission>,
) -> Result<(StatusCode, Json<FeedTicket>), Refusal> {
    Ok((StatusCode::CREATED, Json(service.issue_ticket(&admission)?)))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PollArgs {
    feed: String,
    kind: Option<String>,
    filter: Option<String>,
    stream: Option<String>,
    from: Option<String>,
    every: Option<String>,
    after: Option<String>,
    timeout: Option<TimeSpan>,
}

async fn poll(
    State(service): State<Service>,
    Extension(admission): Extension<Admission>,
    Args(args): Args<PollArgs>,
) -> Result<Json<FeedPage>, Refusal> {
    let topic = topic(&args)?;
    let wait = args.timeout.unwrap_or(DEFAULT_WAIT).0;
    Ok(Json(feeds::poll(&service, admission, &topic, args.after, wait).await?))
}

/// What the arguments follow, read as a subscription of a socket is.
fn topic(args: &PollArgs) -> Result<Topic, Refusal> {
    let mut topic = json!({ "feed": args.feed });
    let others =
        [("filter", &args.filter), ("stream", &args.stream), ("from", &args.from), ("every", &args.every)];
    for (name, given) in others {
        if let Some(given) = given {
            topic[name] = json!(given);
        }
    }
    if let Some(kind) = &args.kind {
        let kind = kind.parse::<Kind>();
        topic["kind"] =
            json!(kind.map_err(|unknown| Refusal::invalid_argument("kind", unknown.to_string()))?);
    }
    read::<Topic>(topic)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct OpenArgs {
    ticket: Option<String>,
}

async fn open(
    State(service): State<Service>,
    Args(args): Args<OpenArgs>,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
    request: Request,
) -> Result<Response, Refused> {
    let upgrade = upgrade.map_err(|error| {
        Refused::new(ProblemType::SocketOnly, format!("/v1/feed/poll answers plain requests ({error})"))
    })?;
    let origin = origin(request.extensions(), Interface::Rest);
    let _place = service.arrive(origin.address)?;
    let admission = match (&args.ticket, bearer(request.headers())) {
        (Some(ticket), _) => Some(service.redeem_ticket(ticket)?),
        (None, bearer @ Some(_)) => {
            Some(service.let_in(bearer, origin.clone(), Need::DecidedByContent).await?.0)
        }
        (None, None) => None,
    };
    let permit = service.socket_permit()?;
    let upgrade = upgrade.max_message_size(feeds::MOST_MESSAGE_BYTES);
    Ok(upgrade
        .on_upgrade(move |socket| async move {
            feeds::serve(socket, service, admission, origin).await;
            drop(permit);
        })
        .into_response())
}
