//! What can be followed, and what is told of it.

use std::time::Duration;

use futures_util::stream::{self, BoxStream};
use futures_util::{StreamExt, TryStreamExt};
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};
use towpath_record::{StreamName, TimeSpan};
use towpath_resource::api::{FeedItem, FeedWhat, StreamRecord};
use towpath_resource::{Kind, Object, Permission, StartFrom};

use super::token::{Token, foreign};
use crate::service::{Asker, Filter, Reading, Refusal, Service, WatchEvent, WatchOrder};

const DEFAULT_PULSE: Duration = Duration::from_secs(2);

/// What is told, as it happens.
pub(crate) type Items = BoxStream<'static, Result<FeedItem, Refusal>>;

/// What is followed.
#[derive(Clone, PartialEq, Debug, Deserialize)]
#[serde(tag = "feed", rename_all = "snake_case", deny_unknown_fields)]
pub(crate) enum Topic {
    /// How the fleet goes, again and again.
    Status {
        /// The time from one to the next, `1s` to `60s`. Default: `2s`.
        every: Option<TimeSpan>,
    },
    /// The resources of a kind: what there is, then what changes.
    Resources {
        /// The kind.
        kind: Kind,
        /// Which of them, as in the argument `filter` of a list. Default: all.
        filter: Option<String>,
    },
    /// The records of a stream.
    Records {
        /// The stream.
        stream: StreamName,
        /// Where to begin without a token. Default: `latest`.
        from: Option<StartFrom>,
    },
    /// What happens, by whom and when.
    Events {},
}

impl Topic {
    /// Begins to follow, from the start or behind a token. Dropping the answer ends the work.
    ///
    /// # Errors
    /// It is not the asker's to see, too much is followed, or the token is not of this feed.
    pub(crate) async fn follow(
        &self,
        service: &Service,
        asker: &Asker,
        after: Option<&str>,
    ) -> Result<Items, Refusal> {
        let token = after.map(str::parse::<Token>).transpose()?;
        let refused = || foreign(after.unwrap_or_default());
        match (self, token) {
            (Self::Resources { kind, filter }, None) => {
                resources(service, asker, *kind, filter.as_deref(), None).await
            }
            (Self::Resources { kind, filter }, Some(Token::Event(seq))) => {
                resources(service, asker, *kind, filter.as_deref(), Some(seq)).await
            }
            (Self::Events {}, None) => events(service, asker, None),
            (Self::Events {}, Some(Token::Event(seq))) => events(service, asker, Some(seq)),
            (Self::Status { every }, None) => status(service, asker, *every, None),
            (Self::Status { every }, Some(Token::Moment(at))) => status(service, asker, *every, Some(at)),
            (Self::Records { stream, from }, None) => {
                records(service, asker, stream, from.unwrap_or(StartFrom::Latest), None).await
            }
            (Self::Records { stream, .. }, Some(Token::Record(offset, row))) => {
                records(service, asker, stream, StartFrom::Offset(offset), Some((offset, row))).await
            }
            _ => Err(refused()),
        }
    }

    /// Where the feed stands now, for one that is asked for later.
    pub(super) fn now(&self, service: &Service) -> Option<String> {
        match self {
            Self::Events {} => Some(Token::Event(service.catalog().seq).to_string()),
            _ => None,
        }
    }
}

fn item(what: FeedWhat, of: Option<Value>, after: Option<Token>) -> FeedItem {
    FeedItem { what, of, after: after.map(|token| token.to_string()) }
}

async fn resources(
    service: &Service,
    asker: &Asker,
    kind: Kind,
    filter: Option<&str>,
    since: Option<u64>,
) -> Result<Items, Refusal> {
    asker.principal.decide(Permission::read(Object::Resource(kind)), None)?;
    let filter = filter.map(str::parse::<Filter>).transpose()?.unwrap_or_default();
    let events = service.watch(asker, kind, WatchOrder { filter, since }).await?;
    let mut has_begun = false;
    Ok(events.flat_map(move |event| stream::iter(changes(kind, event, &mut has_begun))).boxed())
}

/// What an event of a watch tells: of a part of what there is, each resource by itself.
fn changes(kind: Kind, event: WatchEvent, has_begun: &mut bool) -> Vec<Result<FeedItem, Refusal>> {
    match event {
        WatchEvent::Snapshot { items, complete } => {
            let begun = (!std::mem::replace(has_begun, true)).then(|| item(FeedWhat::Begun, None, None));
            let present = items.iter().map(|one| item(FeedWhat::Present, Some(one.to_json()), None));
            let complete = complete.map(|seq| item(FeedWhat::Complete, None, Some(Token::Event(seq))));
            begun.into_iter().chain(present).chain(complete).map(Ok).collect()
        }
        WatchEvent::Applied { seq, shown } => {
            vec![Ok(item(FeedWhat::Applied, Some(shown.to_json()), Some(Token::Event(seq))))]
        }
        WatchEvent::Deleted { seq, name } => {
            let gone = json!({ "kind": kind, "metadata": { "name": name } });
            vec![Ok(item(FeedWhat::Deleted, Some(gone), Some(Token::Event(seq))))]
        }
        WatchEvent::Ended { reason } => vec![Err(Refusal::Gone(reason))],
    }
}

fn events(service: &Service, asker: &Asker, after: Option<u64>) -> Result<Items, Refusal> {
    let events = service.follow_events(asker, after)?;
    Ok(events.map_ok(|(seq, event)| item(FeedWhat::Event, Some(event), Some(Token::Event(seq)))).boxed())
}

/// With a moment, the next status comes when it would have come without a break.
fn status(
    service: &Service,
    asker: &Asker,
    every: Option<TimeSpan>,
    after: Option<i64>,
) -> Result<Items, Refusal> {
    let every = every.map_or(DEFAULT_PULSE, |every| every.0);
    let pulse = service.follow_status(asker, every)?.map_ok(|status| {
        let moment = Token::Moment(status.at.as_millisecond());
        let of = serde_json::to_value(&status).expect("a status is always JSON");
        item(FeedWhat::Status, Some(of), Some(moment))
    });
    let since = after.map(|at| Timestamp::now().as_millisecond().saturating_sub(at));
    let since = since.map(|millis| Duration::from_millis(millis.try_into().unwrap_or(0)));
    let pause = since.map_or(Duration::ZERO, |since| every.saturating_sub(since));
    let later = stream::once(tokio::time::sleep(pause)).flat_map(|()| stream::empty());
    Ok(later.chain(pulse).boxed())
}

async fn records(
    service: &Service,
    asker: &Asker,
    stream: &StreamName,
    from: StartFrom,
    after: Option<(towpath_record::LogOffset, u32)>,
) -> Result<Items, Refusal> {
    let reading = Reading { from: Some(from), limit: None, follow: true };
    let records = service.read_stream(asker, stream.as_str(), reading).await?;
    let is_new = move |record: &StreamRecord| after.is_none_or(|told| (record.offset, record.row) > told);
    let told = records.filter_map(move |record| async move {
        match record {
            Ok(record) if !is_new(&record) => None,
            Ok(record) => {
                let place = Token::Record(record.offset, record.row);
                let of = serde_json::to_value(&record).expect("a record is always JSON");
                Some(Ok(item(FeedWhat::Record, Some(of), Some(place))))
            }
            Err(error) => Some(Err(Refusal::from(error))),
        }
    });
    Ok(told.boxed())
}
