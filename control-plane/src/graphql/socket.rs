//! A socket that speaks `graphql-transport-ws`: many operations of one client, subscriptions among them.
//!
//! ```text
//! connection_init {payload: {authorization}} ->          who it is, unless the header said so
//!                                            <- connection_ack
//! subscribe {id, payload: request}           ->
//!                                            <- next {id, payload: answer}, again and again
//!                                            <- error {id, payload: errors} or complete {id}
//! complete {id}                              ->          no more of it
//! ping, pong                                 either way
//! ```
//!
//! What a client does against the protocol closes the socket, with the code that the protocol has for it.

use std::collections::HashMap;

use async_graphql::{Response, Value as Given};
use axum::extract::ws::{CloseFrame, Message, WebSocket};
use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::task::AbortOnDropHandle;
use towpath_catalog::Origin;
use uuid::Uuid;

use super::{Graph, GraphqlRequest, error};
use crate::door::token;
use crate::feeds::{
    Gone, LOGIN_WITHIN, LONGEST_ID, MOST_SILENCE, MOST_SUBSCRIPTIONS, PING_EVERY, WAITING_ITEMS, send,
};
use crate::service::{Admission, Need, Refusal};

/// The protocol, as `Sec-WebSocket-Protocol` names it.
pub(crate) const PROTOCOL: &str = "graphql-transport-ws";

/// Longest reason that fits into the frame that closes a socket, in bytes.
const LONGEST_REASON: usize = 120;

/// Why a socket is closed, in the codes of the protocol.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Code {
    Away = 1001,
    Invalid = 4400,
    Unauthorized = 4401,
    Forbidden = 4403,
    InitTimeout = 4408,
    SubscriberExists = 4409,
    TooMany = 4429,
}

/// What a client says. Without [`Debug`], since it can hold a secret.
#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Said {
    ConnectionInit {
        #[serde(default)]
        payload: Option<Map<String, Value>>,
    },
    Ping {},
    Pong {},
    Subscribe {
        id: String,
        payload: GraphqlRequest,
    },
    Complete {
        id: String,
    },
}

/// What the control plane says.
#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Told<'a> {
    ConnectionAck,
    Pong,
    Next { id: &'a str, payload: &'a Response },
    Error { id: &'a str, payload: &'a [async_graphql::ServerError] },
    Complete { id: &'a str },
}

/// Why a socket ends.
enum End {
    /// The client is gone, or takes nothing.
    Gone,
    /// It is closed, with this code and reason.
    Closed(Code, String),
}

impl From<Gone> for End {
    fn from(_: Gone) -> Self {
        Self::Gone
    }
}

/// An operation's next word: an answer, or its end.
struct Word {
    id: String,
    serial: u64,
    said: Option<Response>,
}

struct Work {
    serial: u64,
    _task: AbortOnDropHandle<()>,
}

/// Serves a socket until the client leaves or may stay no longer. Whoever was not admitted says who it is first.
pub(crate) async fn serve(mut socket: WebSocket, graph: Graph, admitted: Option<Admission>, origin: Origin) {
    let end = match begin(&mut socket, &graph, admitted, origin).await {
        Ok(admission) => Session::new(&mut socket, graph, admission).run().await,
        Err(end) => end,
    };
    if let End::Closed(code, mut reason) = end {
        reason.truncate(reason.floor_char_boundary(LONGEST_REASON));
        let frame = CloseFrame { code: code as u16, reason: reason.into() };
        // The client may be gone already.
        drop(send(&mut socket, Message::Close(Some(frame))).await);
    }
}

/// Waits for the first message, and lets the client in.
async fn begin(
    socket: &mut WebSocket,
    graph: &Graph,
    admitted: Option<Admission>,
    origin: Origin,
) -> Result<Admission, End> {
    let Ok(first) = tokio::time::timeout(LOGIN_WITHIN, heard(socket)).await else {
        return Err(End::Closed(Code::InitTimeout, "Connection initialisation timeout".to_owned()));
    };
    let Said::ConnectionInit { payload } = first? else {
        return Err(End::Closed(Code::Unauthorized, "Unauthorized".to_owned()));
    };
    let sent = payload.as_ref().and_then(|payload| payload.get("authorization")).and_then(Value::as_str);
    let admission = match (admitted, sent) {
        (Some(admission), None) => admission,
        (None, Some(sent)) => {
            let admitted = graph.service.let_in(token(sent), origin, Need::DecidedByContent).await;
            admitted.map_err(|refusal| End::Closed(Code::Forbidden, refusal.to_string()))?.0
        }
        (Some(_), Some(_)) => {
            let reason = "the header said who you are; leave `authorization` out of the payload";
            return Err(End::Closed(Code::Forbidden, reason.to_owned()));
        }
        (None, None) => {
            let reason =
                "send `authorization: Bearer TOKEN` as a header, or in the payload of connection_init";
            return Err(End::Closed(Code::Forbidden, reason.to_owned()));
        }
    };
    tell(socket, &Told::ConnectionAck).await?;
    Ok(admission)
}

/// The next message of the client; what keeps a socket alive is answered and passed over.
async fn heard(socket: &mut WebSocket) -> Result<Said, End> {
    loop {
        if let Some(said) = read(socket.recv().await)? {
            match said {
                Said::Ping {} => tell(socket, &Told::Pong).await?,
                Said::Pong {} => {}
                other => return Ok(other),
            }
        }
    }
}

/// What a frame says, if it is one that says something.
fn read(incoming: Option<Result<Message, axum::Error>>) -> Result<Option<Said>, End> {
    let invalid = |reason: String| End::Closed(Code::Invalid, reason);
    match incoming {
        Some(Ok(Message::Text(text))) => serde_json::from_str(&text)
            .map(Some)
            .map_err(|error| invalid(format!("Invalid message: {error}"))),
        Some(Ok(Message::Ping(_) | Message::Pong(_))) => Ok(None),
        Some(Ok(Message::Binary(_))) => Err(invalid("Invalid message: send JSON in text frames".to_owned())),
        Some(Ok(Message::Close(_)) | Err(_)) | None => Err(End::Gone),
    }
}

struct Session<'a> {
    socket: &'a mut WebSocket,
    graph: Graph,
    admission: Admission,
    works: HashMap<String, Work>,
    serial: u64,
    speak: mpsc::Sender<Word>,
    words: mpsc::Receiver<Word>,
}

impl<'a> Session<'a> {
    fn new(socket: &'a mut WebSocket, graph: Graph, admission: Admission) -> Self {
        let (speak, words) = mpsc::channel(WAITING_ITEMS);
        Self { socket, graph, admission, works: HashMap::new(), serial: 0, speak, words }
    }

    async fn run(mut self) -> End {
        let service = self.graph.service.clone();
        let mut ended = Box::pin(service.until_ended(self.admission.clone()));
        let mut pings = tokio::time::interval(PING_EVERY);
        pings.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut alive = Instant::now();
        loop {
            let done = tokio::select! {
                biased;
                refusal = &mut ended => Err(self.refuse(refusal).await),
                incoming = self.socket.recv() => {
                    alive = Instant::now();
                    self.hear(incoming).await
                }
                Some(word) = self.words.recv() => self.pass_on(word).await,
                _ = pings.tick() => {
                    if alive.elapsed() > MOST_SILENCE { Err(End::Gone) }
                    else { send(self.socket, Message::Ping(Bytes::new())).await.map_err(End::from) }
                }
            };
            if let Err(end) = done {
                return end;
            }
        }
    }

    async fn hear(&mut self, incoming: Option<Result<Message, axum::Error>>) -> Result<(), End> {
        match read(incoming)? {
            None | Some(Said::Pong {}) => Ok(()),
            Some(Said::Ping {}) => tell(self.socket, &Told::Pong).await,
            Some(Said::ConnectionInit { .. }) => {
                Err(End::Closed(Code::TooMany, "Too many initialisation requests".to_owned()))
            }
            Some(Said::Subscribe { id, payload }) => self.subscribe(id, payload),
            Some(Said::Complete { id }) => {
                self.works.remove(&id);
                Ok(())
            }
        }
    }

    fn subscribe(&mut self, id: String, asked: GraphqlRequest) -> Result<(), End> {
        if id.is_empty() || id.len() > LONGEST_ID {
            return Err(End::Closed(Code::Invalid, format!("an id has 1 to {LONGEST_ID} characters")));
        }
        if self.works.contains_key(&id) {
            return Err(End::Closed(Code::SubscriberExists, format!("Subscriber for {id} already exists")));
        }
        if self.works.len() >= MOST_SUBSCRIPTIONS {
            let reason =
                format!("at most {MOST_SUBSCRIPTIONS} operations are open on one socket; open another");
            return Err(End::Closed(Code::TooMany, reason));
        }
        // The audit trail tells the operations of one socket apart.
        let mut admission = self.admission.clone();
        if let Some(origin) = &mut admission.asker.cause.origin {
            origin.request = Uuid::now_v7();
        }
        self.serial += 1;
        let answers = self.graph.answers(admission, asked);
        let task = tokio::spawn(speak(self.speak.clone(), id.clone(), self.serial, answers));
        let work = Work { serial: self.serial, _task: AbortOnDropHandle::new(task) };
        self.works.insert(id, work);
        Ok(())
    }

    /// Passes on what an operation said, unless it was ended meanwhile.
    async fn pass_on(&mut self, word: Word) -> Result<(), End> {
        let Word { id, serial, said } = word;
        if self.works.get(&id).is_none_or(|work| work.serial != serial) {
            return Ok(());
        }
        match said {
            // What was refused before there was anything to tell.
            Some(answer) if answer.data == Given::Null && !answer.errors.is_empty() => {
                self.works.remove(&id);
                tell(self.socket, &Told::Error { id: &id, payload: &answer.errors }).await
            }
            Some(answer) => tell(self.socket, &Told::Next { id: &id, payload: &answer }).await,
            None => {
                self.works.remove(&id);
                tell(self.socket, &Told::Complete { id: &id }).await
            }
        }
    }

    /// Ends every operation, since whoever asked may ask no longer.
    async fn refuse(&mut self, refusal: Refusal) -> End {
        let code = if matches!(refusal, Refusal::Stopping) { Code::Away } else { Code::Forbidden };
        let problem = refusal.into_problem();
        let reason = problem.detail.clone();
        let errors = error::refused(problem).errors;
        for (id, _) in std::mem::take(&mut self.works) {
            if tell(self.socket, &Told::Error { id: &id, payload: &errors }).await.is_err() {
                return End::Gone;
            }
        }
        End::Closed(code, reason)
    }
}

/// Passes on the answers of an operation, no faster than the socket takes them.
async fn speak(out: mpsc::Sender<Word>, id: String, serial: u64, mut answers: BoxStream<'static, Response>) {
    while let Some(answer) = answers.next().await {
        if out.send(Word { id: id.clone(), serial, said: Some(answer) }).await.is_err() {
            return;
        }
    }
    // Nobody hears it when the socket is closed.
    drop(out.send(Word { id, serial, said: None }).await);
}

async fn tell(socket: &mut WebSocket, told: &Told<'_>) -> Result<(), End> {
    let text = serde_json::to_string(told).expect("what is told is always JSON");
    Ok(send(socket, Message::Text(text.into())).await?)
}
