//! A caller of GraphQL, without a network between.

use serde_json::{Value, json};

use crate::api::tests::fixture::Fixture;

/// What a request is answered.
pub(crate) async fn ask(fixture: &Fixture, query: &str, variables: Value) -> Value {
    let answer = fixture.post("/graphql", &request(query, variables)).await;
    assert_eq!(answer.status.as_u16(), 200, "{}", answer.text);
    answer.json()
}

/// The data of a request of which nothing is refused.
pub(crate) async fn data(fixture: &Fixture, query: &str, variables: Value) -> Value {
    let mut answer = ask(fixture, query, variables).await;
    assert!(answer.get("errors").is_none(), "{answer}");
    answer["data"].take()
}

/// The first error of a request: its code, and what it says.
pub(crate) async fn refused(fixture: &Fixture, query: &str, variables: Value) -> (String, String) {
    let answer = ask(fixture, query, variables).await;
    let text = |value: &Value| value.as_str().unwrap_or_else(|| panic!("{answer}")).to_owned();
    let error = &answer["errors"][0];
    (text(&error["extensions"]["code"]), text(&error["message"]))
}

/// A request.
pub(crate) fn request(query: &str, variables: Value) -> String {
    json!({ "query": query, "variables": variables }).to_string()
}
