//! One change, four ways: REST, gRPC, GraphQL and the command line leave the same event.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use prost::Message;
use prost_types::value::Kind;
use prost_types::{Struct, Value as Carried};
use serde_json::{Value, json};
use towpath_proto::admin::{ApplyRequest, DeleteResourceRequest, Resource};
use towpath_tests::api::Api;
use towpath_tests::fleet::{Fleet, Plan};

const SITE: &str = "apiVersion: towpath/v1\nkind: Site\nmetadata: {name: plant, labels: {env: prod}}\nspec: {description: The plant}\n";

/// An object of texts, as protobuf carries it.
fn object(members: &[(&str, Kind)]) -> Struct {
    let fields =
        members.iter().map(|(name, kind)| ((*name).to_owned(), Carried { kind: Some(kind.clone()) }));
    Struct { fields: fields.collect::<BTreeMap<_, _>>() }
}

fn text(text: &str) -> Kind {
    Kind::StringValue(text.to_owned())
}

/// Calls a method of gRPC: its message behind a byte that says it is not compressed, and its length.
async fn call(api: &Api, method: &str, message: &impl Message) -> Result<()> {
    let message = message.encode_to_vec();
    let length = u32::try_from(message.len())?.to_be_bytes();
    let body = [&[0], &length[..], &message].concat();
    let path = format!("/towpath.admin.v1.Resources/{method}");
    api.post_bytes(&path, &[("content-type", "application/grpc"), ("te", "trailers")], body).await.map(drop)
}

async fn by_grpc(api: &Api) -> Result<()> {
    let labels = Kind::StructValue(object(&[("env", text("prod"))]));
    let site = Resource {
        api_version: "towpath/v1".to_owned(),
        kind: "Site".to_owned(),
        metadata: Some(object(&[("name", text("plant")), ("labels", labels)])),
        spec: Some(object(&[("description", text("The plant"))])),
        status: None,
    };
    call(api, "Apply", &ApplyRequest { resources: vec![site], dry_run: false }).await?;
    let delete = DeleteResourceRequest {
        kind: "Site".to_owned(),
        name: "plant".to_owned(),
        generation: None,
        dry_run: false,
    };
    call(api, "Delete", &delete).await
}

async fn by_graphql(api: &Api) -> Result<()> {
    let query = r#"mutation {
        putSite(metadata: {name: "plant", labels: {env: "prod"}}, spec: {description: "The plant"}) { kind }
        deleteSite(name: "plant")
    }"#;
    let answer = api.post("/graphql", &json!({ "query": query })).await?;
    ensure!(answer.get("errors").is_none(), "{answer}");
    Ok(())
}

async fn by_rest(api: &Api) -> Result<()> {
    api.apply(SITE).await?;
    api.delete("/v1/sites/plant").await
}

fn by_cli(fleet: &Fleet) -> Result<()> {
    let file = fleet.join("site.yaml");
    std::fs::write(&file, SITE)?;
    fleet.run_cli(&["apply", "-f", &file.display().to_string()])?;
    fleet.run_cli(&["delete", "site", "plant"]).map(drop)
}

/// The events behind this number, and the last number.
async fn events(api: &Api, after: u64) -> Result<(Vec<Value>, u64)> {
    let answer = api.get(&format!("/v1/events?after={after}&limit=1000")).await?;
    let items = answer["items"].as_array().context("no list of events")?.clone();
    let last = items.last().and_then(|event| event["seq"].as_u64()).unwrap_or(after);
    Ok((items, last))
}

/// An event without what is another each time: its number and time, the ids, and the request it came by.
fn timeless(mut event: Value) -> Result<Value> {
    let interface = event["origin"]["interface"].take();
    ensure!(interface.is_string(), "{event} says no interface");
    for (part, volatile) in [
        ("/origin", &["interface", "request"][..]),
        ("", &["seq", "at", "previous", "id"]),
        ("/resource/metadata", &["id", "generation", "created_at", "updated_at"]),
    ] {
        if let Some(members) = event.pointer_mut(part).and_then(Value::as_object_mut) {
            volatile.iter().for_each(|name| drop(members.remove(*name)));
        }
    }
    Ok(event)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_change_leaves_the_same_event_whichever_way_it_is_asked_for() -> Result<()> {
    let fleet = Fleet::start(Plan { agents: Vec::new(), ..Plan::default() }).await?;
    let api = fleet.api();
    let mut after = events(api, 0).await?.1;
    let mut left = Vec::new();
    for way in ["rest", "grpc", "graphql", "cli"] {
        match way {
            "rest" => by_rest(api).await?,
            "grpc" => by_grpc(api).await?,
            "graphql" => by_graphql(api).await?,
            _ => by_cli(&fleet)?,
        }
        let (new, last) = events(api, after).await?;
        after = last;
        let kinds: Vec<_> = new.iter().filter_map(|event| event["event"].as_str()).collect();
        ensure!(kinds == ["resource_applied", "resource_deleted"], "by {way}: {new:?}");
        let interfaces: Vec<_> = new.iter().map(|event| event["origin"]["interface"].clone()).collect();
        // The command line is a client of REST.
        let expected = if way == "cli" { "rest" } else { way };
        ensure!(interfaces == [json!(expected), json!(expected)], "by {way}: {interfaces:?}");
        let events = new.into_iter().map(timeless).collect::<Result<Vec<_>>>()?;
        left.push((way, events));
    }
    let (_, first) = &left[0];
    for (way, events) in &left {
        ensure!(events == first, "by {way}: {events:#?}\nby rest: {first:#?}");
    }
    Ok(())
}
