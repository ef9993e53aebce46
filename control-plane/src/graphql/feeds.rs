//! What can be followed: the feeds, one in each subscription, with the same tokens to go on.

use async_graphql::dynamic::{Object, TypeRef};
use futures_util::{StreamExt, TryStreamExt};
use serde_json::{Map, Value, json};
use towpath_resource::api::{CompareLine, CompareOrder, FeedItem, FeedWhat, FleetStatus, StreamRecord};
use towpath_resource::{Kind, Object as Subject, Permission};

use super::call::Call;
use super::kinds::camel;
use super::operation::{Flow, Operation, json};
use super::types::{Answers, Types, member, not_null};
use crate::api::read;
use crate::feeds::Topic;
use crate::service::Refusal;

/// The operations that follow.
pub(super) fn operations(types: &mut Types) -> Vec<Operation> {
    let mut all: Vec<_> = Kind::ALL.into_iter().map(|kind| of_kind(types, kind)).collect();
    all.extend([status(types), records(types), events(types), compare(types)]);
    all
}

fn after(operation: Operation) -> Operation {
    operation.maybe_text("after", "`after` of the last item, to go on behind it.")
}

/// The resources of a kind: what there is, then what changes.
fn of_kind(types: &mut Types, kind: Kind) -> Operation {
    let (name, many) = (kind.as_str(), kind.plural());
    let item = Object::new(format!("{name}Change")).description(format!("What became of the {many}."));
    let what = types.answer::<FeedWhat>();
    let text = || TypeRef::named(TypeRef::STRING);
    let about = "The resource as it is now, unless it is gone.";
    types.add(
        item.field(member("what", not_null(what.of), true).description("What is told."))
            .field(member("name", text(), true).description("The name of the resource, if it is about one."))
            .field(member("resource", TypeRef::named(name), false).description(about))
            .field(
                member("after", text(), true)
                    .description("With this the feed is taken up again behind this item."),
            ),
    );
    let answers = Answers::object(format!("{name}Change"));
    let read = Permission::read(Subject::Resource(kind));
    let about = format!("The {many} that there are, then what changes.");
    let follow = Operation::subscription(camel("", many), about, read, answers, move |call| async move {
        let items = followed(&call, json!({ "feed": "resources", "kind": kind }), &["filter"]).await?;
        Ok(items.map_ok(change).boxed())
    });
    after(follow.maybe_text("filter", "Which, as in lists. Default: all."))
}

fn change(item: FeedItem) -> Value {
    let FeedItem { what, of, after } = item;
    let name = of.as_ref().map(|of| of["metadata"]["name"].clone());
    let resource = of.filter(|_| what != FeedWhat::Deleted);
    json!({ "what": what, "name": name, "resource": resource, "after": after })
}

/// The type of an item that is always about something.
fn item(types: &mut Types, name: &str, of: Answers, field: &str) -> Answers {
    let token = member("after", TypeRef::named(TypeRef::STRING), true);
    types.add(
        Object::new(name)
            .description("One thing that a feed tells.")
            .field(member(field, not_null(of.of), of.is_leaf).description("What is told."))
            .field(token.description("With this the feed is taken up again behind this item.")),
    );
    Answers::object(name)
}

fn status(types: &mut Types) -> Operation {
    let fleet = types.answer::<FleetStatus>();
    let answers = item(types, "StatusItem", fleet, "status");
    let (about, need) = ("How the fleet goes, again and again.", Permission::read(Subject::Status));
    let follow = Operation::subscription("status", about, need, answers, |call| async move {
        told(&call, "status", "status", &["every"]).await
    });
    after(follow.maybe_text("every", "The time from one to the next, `1s` to `60s`. Default: `2s`."))
}

fn records(types: &mut Types) -> Operation {
    let record = types.answer::<StreamRecord>();
    let answers = item(types, "RecordItem", record, "record");
    let (about, need) = ("The records of a stream.", Permission::read(Subject::Record));
    let follow = Operation::subscription("records", about, need, answers, |call| async move {
        told(&call, "records", "record", &["stream", "from"]).await
    });
    let from = "Where to begin: `earliest`, `latest`, an offset or a time. Default: `latest`.";
    after(follow.text("stream", "The stream.").maybe_text("from", from))
}

fn events(types: &mut Types) -> Operation {
    let answers = item(types, "EventItem", Answers::json(), "event");
    let (about, need) = ("What happens, by whom and when.", Permission::read(Subject::Audit));
    after(Operation::subscription("events", about, need, answers, |call| async move {
        told(&call, "events", "event", &[]).await
    }))
}

fn compare(types: &mut Types) -> Operation {
    let line = types.answer::<CompareLine>();
    let about =
        "Compares what the sources of a route have with what its sink keeps, line by line as it is known.";
    let need = Permission::operate(Subject::Resource(Kind::Route));
    let compare = Operation::subscription("compareRoute", about, need, line, |call| async move {
        let order: CompareOrder = call.order()?;
        let lines = call.service.compare_route(call.asker(), call.text("name")?, order).await?;
        let told: Flow = lines.map(|line| Ok(json(&line))).boxed();
        Ok(told)
    });
    compare.text("name", "Its name.").takes::<CompareOrder>(types)
}

/// The items of a feed that are each about something, in a field of this name.
async fn told(call: &Call, feed: &str, field: &'static str, arguments: &[&str]) -> Result<Flow, Refusal> {
    let items = followed(call, json!({ "feed": feed }), arguments).await?;
    let item = move |FeedItem { of, after, .. }: FeedItem| {
        let members = [(field.to_owned(), of.unwrap_or_default()), ("after".to_owned(), json!(after))];
        Value::Object(Map::from_iter(members))
    };
    Ok(items.map_ok(item).boxed())
}

async fn followed(
    call: &Call,
    mut topic: Value,
    arguments: &[&str],
) -> Result<impl futures_util::Stream<Item = Result<FeedItem, Refusal>> + Send + use<>, Refusal> {
    for argument in arguments {
        if let Some(given) = call.maybe_text(argument) {
            topic[argument] = json!(given);
        }
    }
    let topic: Topic = read(topic)?;
    topic.follow(&call.service, call.asker(), call.maybe_text("after")).await
}
