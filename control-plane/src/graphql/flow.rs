//! How the data flows: the fleet, routes from end to end, streams, schemas, policies and dead letters; and the agents and systems at
//! the ends.

use async_graphql::dynamic::TypeRef;
use towpath_resource::api::{
    AcceptOrder, AgentLog, DeadLetter, ExplainOrder, FleetStatus, MOST_LOG_LINES, PolicyExplanation,
    ReplayOrder, Replayed, RouteDescription, SchemaAccepted, SchemaDescription, SchemaDiff, SourceCheck,
    StreamSchemas, StreamStatus,
};
use towpath_resource::{Kind, Object, Permission};

use super::operation::Operation;
use super::shape::LONG;
use super::types::{Answers, Types};
use crate::service::MOST_LETTERS;

const USUAL_LETTERS: usize = 100;
const USUAL_LINES: usize = 100;
const STREAM: &str = "The stream.";
const NAME: &str = "Its name.";
const SOURCE: &str = "The source that brings the stream. Needed only where several do.";

/// The operations on what flows.
pub(super) fn operations(types: &mut Types) -> Vec<Operation> {
    let mut all = of_fleet(types);
    all.extend(of_routes(types));
    all.extend(of_schemas(types));
    all.extend(of_policies(types));
    all.extend(of_letters(types));
    all.extend(of_ends(types));
    all
}

fn of_fleet(types: &mut Types) -> Vec<Operation> {
    let (status, streams) = (types.answer::<FleetStatus>(), types.answers::<StreamStatus>());
    let about = "Every stage of the way of the data, with rates and lags.";
    vec![
        Operation::query("status", about, Permission::read(Object::Status), status, |call| async move {
            Ok(call.service.status(call.asker()))
        }),
        Operation::query(
            "streams",
            "The streams of the logs, what feeds them and where they go.",
            Permission::read(Object::Stream),
            streams,
            |call| async move { Ok(call.service.streams(call.asker())) },
        ),
    ]
}

fn of_routes(types: &mut Types) -> Vec<Operation> {
    let route = Object::Resource(Kind::Route);
    let (described, replayed) = (types.answer::<RouteDescription>(), types.answer::<Replayed>());
    let about = "A route from end to end: what feeds it, what it guarantees, how far it is behind and why.";
    let describe =
        Operation::query("describeRoute", about, Permission::read(route), described, |call| async move {
            call.service.describe_route(call.asker(), call.text("name")?)
        });
    let about = "Sends a route back to deliver again what the log retains from there on.";
    let replay =
        Operation::mutation("replayRoute", about, Permission::operate(route), replayed, |call| async move {
            let order: ReplayOrder = call.order()?;
            call.service.replay_route(call.asker(), call.text("name")?, order).await
        });
    vec![describe.text("name", NAME), replay.text("name", NAME).takes::<ReplayOrder>(types)]
}

fn of_schemas(types: &mut Types) -> Vec<Operation> {
    let read = Permission::read(Object::Schema);
    let number = || TypeRef::named_nn(LONG);
    let (schemas, one) = (types.answers::<StreamSchemas>(), types.answer::<SchemaDescription>());
    let (diff, accepted) = (types.answer::<SchemaDiff>(), types.answer::<SchemaAccepted>());
    let list = Operation::query(
        "schemas",
        "The schemas of streams, and what changed last.",
        read,
        schemas,
        |call| async move { Ok(call.service.schemas(call.asker())) },
    );
    let about = "A version of a stream's schema, and what changed from version to version.";
    let show = Operation::query("schema", about, read, one, |call| async move {
        let (version, source) = (call.maybe("version")?, call.maybe_text("source"));
        call.service.schema(call.asker(), call.text("stream")?, version, source)
    });
    let about = "What is different between two versions of a stream's schema.";
    let diff = Operation::query("diffSchema", about, read, diff, |call| async move {
        let versions = (call.must("from")?, call.must("to")?);
        call.service.schema_diff(call.asker(), call.text("stream")?, versions, call.maybe_text("source"))
    });
    let about = "Accepts a version of a schema for a route that stopped before it, or will.";
    let operate = Permission::operate(Object::Schema);
    let accept = Operation::mutation("acceptSchema", about, operate, accepted, |call| async move {
        let order: AcceptOrder = call.order()?;
        call.service.accept_schema(call.asker(), call.text("name")?, order).await
    });
    vec![
        list,
        show.text("stream", STREAM)
            .argument("version", TypeRef::named(LONG), "The version. Default: the newest.")
            .maybe_text("source", SOURCE),
        diff.text("stream", STREAM)
            .argument("from", number(), "The one version.")
            .argument("to", number(), "The other version.")
            .maybe_text("source", SOURCE),
        accept.text("name", "The route.").takes::<AcceptOrder>(types),
    ]
}

fn of_policies(types: &mut Types) -> Vec<Operation> {
    let read = Permission::read(Object::Resource(Kind::Policy));
    let explanation = types.answer::<PolicyExplanation>();
    let about = "What becomes of a field, region by region: its classes, the rule that counts, and why others do not.";
    let explain = Operation::query("explainPolicy", about, read, explanation, |call| async move {
        let order = ExplainOrder {
            stream: call.text("stream")?.to_owned(),
            field: call.text("field")?.to_owned(),
            region: call.maybe_text("region").map(str::to_owned),
            purpose: call.maybe_text("purpose").map(str::to_owned),
        };
        call.service.explain_policy(call.asker(), &order)
    });
    vec![
        explain
            .text("stream", STREAM)
            .text("field", "The field.")
            .maybe_text("region", "The region. Default: every region that is known.")
            .maybe_text("purpose", "The purpose, as a route declares it. Default: none."),
    ]
}

fn of_letters(types: &mut Types) -> Vec<Operation> {
    let (read, operate) = (Permission::read(Object::DeadLetter), Permission::operate(Object::DeadLetter));
    let (letters, letter) = (types.answers::<DeadLetter>(), types.answer::<DeadLetter>());
    let list =
        Operation::query("deadLetters", "Dead letters, newest first.", read, letters, |call| async move {
            let (stream, route) = (call.maybe_text("stream"), call.maybe_text("route"));
            let limit = call.maybe("limit")?.unwrap_or(USUAL_LETTERS);
            call.service.dead_letters(call.asker(), stream, route, limit).await
        });
    let about = "A dead letter with its record or raw input.";
    let show = Operation::query("deadLetter", about, read, letter.clone(), |call| async move {
        call.service.dead_letter(call.asker(), call.text("id")?).await
    });
    let about = "Sends a record that a sink refused on its way again.";
    let replay = Operation::mutation("replayDeadLetter", about, operate, letter, |call| async move {
        call.service.replay_dead_letter(call.asker(), call.text("id")?).await
    });
    vec![
        list.pages("limit", USUAL_LETTERS, MOST_LETTERS)
            .maybe_text("stream", "Those of this stream only.")
            .maybe_text("route", "Those of this route only."),
        show.text("id", "Its id."),
        replay.text("id", "Its id."),
    ]
}

fn of_ends(types: &mut Types) -> Vec<Operation> {
    let (agent, source) = (Object::Resource(Kind::Agent), Object::Resource(Kind::Source));
    let (log, check) = (types.answer::<AgentLog>(), types.answer::<SourceCheck>());
    let about = "The newest lines of an agent's log, oldest of them first. The agent must be connected.";
    let logs =
        Operation::query("agentLogs", about, Permission::read(Object::AgentLog), log, |call| async move {
            let limit: Option<u32> = call.maybe("limit")?;
            let limit = limit.unwrap_or(USUAL_LINES as u32);
            call.service.agent_log(call.asker(), call.text("name")?, call.maybe("after")?, limit).await
        });
    let about = "Cuts an agent off at once and for good. Its certificate is refused from then on.";
    let shown = Answers::object(Kind::Agent.as_str());
    let revoke =
        Operation::mutation("revokeAgent", about, Permission::operate(agent), shown, |call| async move {
            Ok(call.service.revoke_agent(call.asker(), call.text("name")?).await?.to_json())
        });
    let about = "Looks whether the system behind a source is ready to be read.";
    let check =
        Operation::mutation("checkSource", about, Permission::operate(source), check, |call| async move {
            call.service.check_source(call.asker(), call.text("name")?).await
        });
    vec![
        logs.text("name", NAME)
            .pages("limit", USUAL_LINES, MOST_LOG_LINES as usize)
            .maybe_text("after", "Those after this cursor, oldest first. Default: the newest."),
        revoke.text("name", NAME),
        check.text("name", NAME),
    ]
}
