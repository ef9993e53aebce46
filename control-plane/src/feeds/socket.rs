//! A socket: many subscriptions of one client, each bounded by the credit that the client gives.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::ws::{CloseFrame, Message, WebSocket, close_code};
use bytes::Bytes;
use futures_util::StreamExt;
use tokio::sync::{Semaphore, mpsc};
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::task::AbortOnDropHandle;
use towpath_catalog::Origin;

use super::message::{Said, Told};
use super::topic::{Items, Topic};
use crate::api::read;
use crate::service::{Admission, Need, Refusal, Service};

/// Largest message that a client may send.
pub(crate) const MOST_MESSAGE_BYTES: usize = 64 << 10;
/// Subscriptions of one socket.
pub(crate) const MOST_SUBSCRIPTIONS: usize = 16;
/// Longest name that a client may give to a subscription.
pub(crate) const LONGEST_ID: usize = 64;
const DEFAULT_CREDIT: u32 = 64;
/// Credit that a subscription can have at most.
const MOST_CREDIT: usize = 10_000;
/// Items that wait for the socket, of all its subscriptions together.
pub(crate) const WAITING_ITEMS: usize = 16;
/// A client must say who it is within this time.
pub(crate) const LOGIN_WITHIN: Duration = Duration::from_secs(10);
/// How often a client is asked for a sign of life.
pub(crate) const PING_EVERY: Duration = Duration::from_secs(20);
/// A client that was silent for so long, answers to pings included, is gone.
pub(crate) const MOST_SILENCE: Duration = Duration::from_secs(60);
/// A client that does not take a message within this time is cut off.
const TAKEN_WITHIN: Duration = Duration::from_secs(30);

/// A subscription's next word: an item, or its end and why.
struct Word {
    id: String,
    serial: u64,
    said: Result<towpath_resource::api::FeedItem, Option<Refusal>>,
}

struct Subscription {
    serial: u64,
    credit: Arc<Semaphore>,
    _work: AbortOnDropHandle<()>,
}

/// Serves a socket until the client leaves or may stay no longer. Without an admission the client logs in first.
pub(crate) async fn serve(
    mut socket: WebSocket,
    service: Service,
    admitted: Option<Admission>,
    origin: Origin,
) {
    let admitted = match admitted {
        Some(admission) => Ok(admission),
        None => login(&mut socket, &service, origin).await,
    };
    match admitted {
        Ok(admission) => Session::new(socket, service, admission).run().await,
        Err(refusal) => drop(refuse(&mut socket, refusal).await),
    }
}

async fn login(socket: &mut WebSocket, service: &Service, origin: Origin) -> Result<Admission, Refusal> {
    let first = tokio::time::timeout(LOGIN_WITHIN, socket.recv()).await;
    let Ok(Some(Ok(Message::Text(text)))) = first else { return Err(Refusal::unauthenticated()) };
    match said(&text)? {
        Said::Login { token } => {
            let known = service.let_in(Some(token.as_str()), origin, Need::DecidedByContent).await;
            known.map(|(admission, _)| admission)
        }
        _ => Err(Refusal::unauthenticated()),
    }
}

fn said(text: &str) -> Result<Said, Refusal> {
    read(&mut serde_json::Deserializer::from_str(text))
}

/// The client is gone, or shall be.
pub(crate) struct Gone;

struct Session {
    socket: WebSocket,
    service: Service,
    admission: Admission,
    subscriptions: HashMap<String, Subscription>,
    serial: u64,
    speak: mpsc::Sender<Word>,
    words: mpsc::Receiver<Word>,
}

impl Session {
    fn new(socket: WebSocket, service: Service, admission: Admission) -> Self {
        let (speak, words) = mpsc::channel(WAITING_ITEMS);
        Self { socket, service, admission, subscriptions: HashMap::new(), serial: 0, speak, words }
    }

    async fn run(mut self) {
        let mut ended = Box::pin(self.service.clone().until_ended(self.admission.clone()));
        let mut pings = tokio::time::interval(PING_EVERY);
        pings.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut heard = Instant::now();
        if self.tell(&Told::Welcome { most_subscriptions: MOST_SUBSCRIPTIONS }).await.is_err() {
            return;
        }
        loop {
            let done = tokio::select! {
                biased;
                refusal = &mut ended => refuse(&mut self.socket, refusal).await,
                incoming = self.socket.recv() => {
                    heard = Instant::now();
                    self.hear(incoming).await
                }
                Some(word) = self.words.recv() => self.pass_on(word).await,
                _ = pings.tick() => {
                    if heard.elapsed() > MOST_SILENCE { Err(Gone) }
                    else { send(&mut self.socket, Message::Ping(Bytes::new())).await }
                }
            };
            if done.is_err() {
                return;
            }
        }
    }

    async fn hear(&mut self, incoming: Option<Result<Message, axum::Error>>) -> Result<(), Gone> {
        match incoming {
            Some(Ok(Message::Text(text))) => match said(&text) {
                Ok(said) => self.obey(said).await,
                Err(refusal) => refuse(&mut self.socket, refusal).await,
            },
            Some(Ok(Message::Ping(_) | Message::Pong(_))) => Ok(()),
            Some(Ok(Message::Binary(_))) => {
                refuse(&mut self.socket, Refusal::invalid("messages are JSON in text frames")).await
            }
            Some(Ok(Message::Close(_)) | Err(_)) | None => Err(Gone),
        }
    }

    async fn obey(&mut self, said: Said) -> Result<(), Gone> {
        match said {
            Said::Login { .. } => {
                refuse(&mut self.socket, Refusal::invalid("this socket knows who you are already")).await
            }
            Said::Subscribe { id, topic, after, credit } => {
                let begun = self.subscribe(&id, &topic, after.as_deref(), credit).await;
                let told = match begun {
                    Ok(()) => Told::Subscribed { id },
                    Err(refusal) => Told::Ended { id, problem: Some(refusal.into_problem()) },
                };
                self.tell(&told).await
            }
            Said::Credit { id, more } => {
                // What is given to a subscription that has just ended is lost, and nobody's fault.
                if let Some(subscription) = self.subscriptions.get(&id) {
                    let room = MOST_CREDIT.saturating_sub(subscription.credit.available_permits());
                    subscription.credit.add_permits(room.min(more as usize));
                }
                Ok(())
            }
            Said::Unsubscribe { id } => {
                self.subscriptions.remove(&id);
                self.tell(&Told::Ended { id, problem: None }).await
            }
        }
    }

    async fn subscribe(
        &mut self,
        id: &str,
        topic: &Topic,
        after: Option<&str>,
        credit: Option<u32>,
    ) -> Result<(), Refusal> {
        if id.is_empty() || id.len() > LONGEST_ID {
            return Err(Refusal::invalid(format!("id: it has 1 to {LONGEST_ID} characters")));
        }
        if self.subscriptions.contains_key(id) {
            return Err(Refusal::Conflict(format!(
                "there is a subscription `{id}` on this socket already; end it or choose another id"
            )));
        }
        if self.subscriptions.len() >= MOST_SUBSCRIPTIONS {
            return Err(Refusal::TooMany(format!(
                "a socket has at most {MOST_SUBSCRIPTIONS} subscriptions; end one or open another socket"
            )));
        }
        let items = topic.follow(&self.service, &self.admission.asker, after).await?;
        let credit = credit.unwrap_or(DEFAULT_CREDIT) as usize;
        let credit = Arc::new(Semaphore::new(credit.min(MOST_CREDIT)));
        self.serial += 1;
        let work = speak(self.speak.clone(), id.to_owned(), self.serial, credit.clone(), items);
        let work = AbortOnDropHandle::new(tokio::spawn(work));
        let subscription = Subscription { serial: self.serial, credit, _work: work };
        self.subscriptions.insert(id.to_owned(), subscription);
        Ok(())
    }

    /// Passes on what a subscription said, unless it was ended meanwhile.
    async fn pass_on(&mut self, word: Word) -> Result<(), Gone> {
        let Word { id, serial, said } = word;
        if self.subscriptions.get(&id).is_none_or(|subscription| subscription.serial != serial) {
            return Ok(());
        }
        let told = match said {
            Ok(item) => Told::Item { id, item },
            Err(why) => {
                self.subscriptions.remove(&id);
                Told::Ended { id, problem: why.map(Refusal::into_problem) }
            }
        };
        self.tell(&told).await
    }

    async fn tell(&mut self, told: &Told) -> Result<(), Gone> {
        send(&mut self.socket, text(told)).await
    }
}

/// Passes on the items of a subscription, one for each credit.
async fn speak(out: mpsc::Sender<Word>, id: String, serial: u64, credit: Arc<Semaphore>, mut items: Items) {
    loop {
        let Ok(permit) = credit.acquire().await else { return };
        permit.forget();
        let said = match items.next().await {
            Some(Ok(item)) => Ok(item),
            Some(Err(refusal)) => Err(Some(refusal)),
            None => Err(None),
        };
        let is_end = said.is_err();
        if out.send(Word { id: id.clone(), serial, said }).await.is_err() || is_end {
            return;
        }
    }
}

/// Says why the client may not stay, and closes the socket.
async fn refuse(socket: &mut WebSocket, refusal: Refusal) -> Result<(), Gone> {
    let code = match refusal {
        Refusal::Stopping => close_code::AWAY,
        Refusal::Invalid { .. } => close_code::INVALID,
        _ => close_code::POLICY,
    };
    send(socket, text(&Told::Refused { problem: refusal.into_problem() })).await?;
    send(socket, Message::Close(Some(CloseFrame { code, reason: "".into() }))).await?;
    Err(Gone)
}

fn text(told: &Told) -> Message {
    Message::Text(serde_json::to_string(told).expect("what is told is always JSON").into())
}

/// Sends a message, unless the client does not take it in time.
pub(crate) async fn send(socket: &mut WebSocket, message: Message) -> Result<(), Gone> {
    match tokio::time::timeout(TAKEN_WITHIN, socket.send(message)).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(_)) | Err(_) => Err(Gone),
    }
}
