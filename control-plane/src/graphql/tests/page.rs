//! The examples of `docs/api-graphql.md` do what they say.

use std::path::Path;

use axum::http::Extensions;
use futures_util::StreamExt;
use serde_json::json;
use towpath_catalog::Interface;

use super::caller::data;
use crate::api::tests::fixture::{Fixture, TOKEN};
use crate::graphql::schema::WHOLE;
use crate::service::Need;

/// The blocks of a page that are marked as tested.
fn examples(page: &str) -> Vec<String> {
    let (mut found, mut lines) = (Vec::new(), page.lines());
    while let Some(line) = lines.next() {
        if line == "```graphql tested" {
            found.push(lines.by_ref().take_while(|line| *line != "```").collect::<Vec<_>>().join("\n"));
        }
    }
    found
}

#[tokio::test]
async fn the_examples_of_the_page_work_as_they_stand() {
    let (fixture, _) = Fixture::furnished().await;
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/api-graphql.md");
    let examples = examples(&std::fs::read_to_string(path).unwrap());
    assert!(examples.len() >= 6, "{examples:?}");
    for example in examples {
        if !example.starts_with("subscription") {
            data(&fixture, &example, json!({})).await;
            continue;
        }
        let origin = crate::door::origin(&Extensions::new(), Interface::Graphql);
        let admission = fixture.service.admit(Some(TOKEN), origin, Need::DecidedByContent).await.unwrap();
        let request = async_graphql::Request::new(&example).data(fixture.service.clone()).data(admission);
        let first = WHOLE.schema.execute_stream(request).next().await.unwrap();
        assert!(first.errors.is_empty(), "{example}: {:?}", first.errors);
    }
}
