//! Every operation by every role: what the list of operations says is what the doors do.

use std::time::Duration;

use async_graphql::dynamic::TypeRef;
use axum::body::Body;
use axum::http::Method;
use futures_util::StreamExt;
use serde_json::{Map, Value, json};
use towpath_resource::BuiltInRole;

use super::caller::request;
use crate::api::tests::fixture::Fixture;
use crate::graphql::operation::{Operation, Root};
use crate::graphql::schema;
use crate::graphql::shape::{JSON, LONG, Shape};
use crate::graphql::types::Types;
use crate::service::Need;

/// A value that the type takes, with no more than it must have.
fn sample(types: &Types, of: &TypeRef) -> Value {
    match of {
        TypeRef::NonNull(inner) => match &**inner {
            TypeRef::List(_) => json!([]),
            inner => sample(types, inner),
        },
        TypeRef::List(_) => json!([]),
        TypeRef::Named(name) => match &**name {
            TypeRef::STRING => json!("x"),
            TypeRef::BOOLEAN => json!(true),
            TypeRef::INT | LONG => json!(1),
            JSON => json!({}),
            named => of_schema(types.known(named).unwrap_or_else(|| panic!("{named}"))),
        },
    }
}

fn of_schema(schema: &Value) -> Value {
    match Shape::of(schema) {
        Shape::Object(fields, required) => {
            let must = fields.iter().filter(|(name, _)| required.contains(name.as_str()));
            Value::Object(must.map(|(name, schema)| (name.clone(), of_schema(schema))).collect())
        }
        Shape::List(_) => json!([]),
        Shape::Words(words) => json!(words[0].0),
        Shape::Scalar(TypeRef::STRING) => json!("x"),
        Shape::Scalar(TypeRef::BOOLEAN) => json!(true),
        Shape::Scalar(JSON) => json!({}),
        Shape::Scalar(_) => json!(1),
    }
}

/// A request for one operation, with the arguments that it must have.
fn asked(types: &Types, operation: &Operation) -> String {
    let must: Vec<_> =
        operation.arguments.iter().filter(|argument| matches!(argument.of, TypeRef::NonNull(_))).collect();
    let declared: String =
        must.iter().map(|argument| format!("${}: {} ", argument.name, argument.of)).collect();
    let given: String = must.iter().map(|argument| format!("{0}: ${0} ", argument.name)).collect();
    let around = |text: &str| if text.is_empty() { String::new() } else { format!("({text})") };
    let variables: Map<_, _> =
        must.iter().map(|argument| (argument.name.clone(), sample(types, &argument.of))).collect();
    let root = operation.root.as_str().to_ascii_lowercase();
    let (declared, given, name) = (around(&declared), around(&given), &operation.name);
    let selected = if operation.answers.is_leaf { "" } else { "{ __typename }" };
    request(&format!("{root}{declared} {{ {name}{given} {selected} }}"), Value::Object(variables))
}

fn allows(role: BuiltInRole, need: Need) -> bool {
    match need {
        Need::Permission(needed) => role.permissions().iter().any(|some| some.contain(needed)),
        _ => true,
    }
}

/// The code of the first error of an answer.
fn code(answer: &Value) -> &str {
    answer["errors"][0]["extensions"]["code"].as_str().unwrap_or_default()
}

#[tokio::test]
async fn every_operation_lets_in_whom_the_table_of_permissions_says_and_nobody_else() {
    let fixture = Fixture::new();
    let mut types = Types::default();
    let operations = schema::operations(&mut types);
    let (mut wrong, mut keys) = (Vec::new(), Vec::new());
    for role in BuiltInRole::ALL {
        keys.push((role, fixture.key(role.as_str(), json!([{ "role": role.as_str() }])).await));
    }
    for (role, key) in keys {
        for operation in &operations {
            let asked = asked(&types, operation);
            let answer = if operation.root == Root::Subscription {
                first_of(&fixture, &key, &asked).await
            } else {
                fixture.send(Method::POST, "/graphql", Some(&key), Body::from(asked)).await.json()
            };
            let errors = answer["errors"].as_array().map(Vec::len);
            let told = answer["errors"][0]["extensions"]["instance"].is_string();
            let was_called = errors.is_none() || told;
            if !was_called || (code(&answer) == "denied") == allows(role, operation.need) {
                wrong.push(format!("{:?} {} by {}: {answer}", operation.root, operation.name, role.as_str()));
            }
        }
    }
    assert_eq!(wrong, Vec::<String>::new());
    assert!(operations.len() > 100, "{}", operations.len());
}

/// The first answer of a subscription, if one comes at once.
async fn first_of(fixture: &Fixture, key: &str, asked: &str) -> Value {
    let origin = crate::door::origin(&axum::http::Extensions::new(), towpath_catalog::Interface::Graphql);
    let admission = fixture.service.admit(Some(key), origin, Need::DecidedByContent).await.unwrap();
    let request: async_graphql::Request = serde_json::from_str(asked).unwrap();
    let request = request.data(fixture.service.clone()).data(admission);
    let mut answers = schema::WHOLE.schema.execute_stream(request);
    match tokio::time::timeout(Duration::from_millis(100), answers.next()).await {
        Ok(Some(answer)) => serde_json::to_value(answer).unwrap(),
        Ok(None) | Err(_) => json!({}),
    }
}

#[tokio::test]
async fn what_was_denied_is_in_the_audit_trail_and_comes_as_the_problem() {
    let fixture = Fixture::new();
    let key = fixture.key("looker", json!([{ "role": "viewer" }])).await;
    let put = request(r#"mutation { putSite(metadata: {name: "plant"}) { kind } }"#, json!({}));
    let answer = fixture.send(Method::POST, "/graphql", Some(&key), Body::from(put)).await.json();
    let told = &answer["errors"][0]["extensions"];
    assert_eq!(
        (&told["code"], &told["type"], &told["status"]),
        (&json!("denied"), &json!("towpath:denied"), &json!(403))
    );
    let denied = fixture.get("/v1/audit?outcome=denied&limit=1").await.json();
    let event = &denied["items"][0];
    assert_eq!(event["origin"]["interface"], "graphql", "{event}");
    assert_eq!(event["actor"]["name"], "looker");
    assert_eq!(told["instance"], format!("urn:uuid:{}", event["origin"]["request"].as_str().unwrap()));
}

#[test]
fn no_two_operations_have_one_name_and_each_says_what_it_is_for() {
    let operations = schema::operations(&mut Types::default());
    let mut names: Vec<_> = operations.iter().map(|one| (one.root, one.name.as_str())).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), operations.len());
    assert!(operations.iter().all(|one| one.about.ends_with('.')));
    assert!(schema::build().is_ok());
}
