//! What breaks a client and what does not, change by change.

use serde_json::{Value, json};

use super::breaks;

fn document() -> Value {
    json!({
        "paths": { "/v1/sites/{name}": { "put": {
            "operationId": "put_site",
            "parameters": [
                { "name": "name", "in": "path", "required": true, "schema": { "type": "string" } },
                { "name": "limit", "in": "query", "schema": { "type": "integer", "minimum": 1, "maximum": 10 } },
            ],
            "requestBody": { "required": true, "content": { "application/json": { "schema": { "$ref": "#/components/schemas/Site" } } } },
            "responses": {
                "200": { "headers": { "ETag": {} }, "content": { "application/json": { "schema": { "$ref": "#/components/schemas/Site" } } } },
                "404": { "$ref": "#/components/responses/Problem" },
            },
        } } },
        "components": { "schemas": { "Site": {
            "type": "object",
            "properties": {
                "region": { "type": "string", "enum": ["eu", "us"] },
                "tags": { "type": "array", "items": { "type": "string" } },
                "target": { "oneOf": [
                    { "type": "object", "properties": { "file": { "type": "string" } }, "required": ["file"] },
                    { "type": "object", "properties": { "url": { "type": "string" } }, "required": ["url"] },
                ] },
            },
            "required": ["region"],
        } } },
    })
}

/// What breaks when the document is changed at the pointer.
fn after(pointer: &str, value: Value) -> Vec<String> {
    let (old, mut new) = (document(), document());
    let (parent, name) = pointer.rsplit_once('/').unwrap();
    let parent = new.pointer_mut(parent).unwrap_or_else(|| panic!("{pointer}"));
    match (value, parent) {
        (Value::Null, Value::Object(members)) => drop(members.remove(&name.replace("~1", "/"))),
        (value, Value::Array(items)) if name == "-" => items.push(value),
        (Value::Null, Value::Array(items)) => drop(items.remove(name.parse().unwrap())),
        (value, parent) => match name.parse::<usize>() {
            Ok(n) if parent.is_array() => parent[n] = value,
            _ => parent[name.replace("~1", "/")] = value,
        },
    }
    breaks(&old, &new)
}

const OPERATION: &str = "/paths/~1v1~1sites~1{name}/put";
const SITE: &str = "/components/schemas/Site";

#[test]
fn a_document_is_compatible_with_itself() {
    assert_eq!(breaks(&document(), &document()), Vec::<String>::new());
}

#[test]
fn what_is_added_and_may_be_left_out_breaks_nobody() {
    let other = json!({ "get": { "operationId": "x", "responses": {} } });
    assert_eq!(after("/paths/~1v1~1other", other), Vec::<String>::new());
    let parameter = json!({ "name": "dry_run", "in": "query", "schema": { "type": "boolean" } });
    assert_eq!(after(&format!("{OPERATION}/parameters/-"), parameter), Vec::<String>::new());
    assert_eq!(
        after(&format!("{SITE}/properties/colour"), json!({ "type": "string" })),
        Vec::<String>::new()
    );
    assert_eq!(after(&format!("{OPERATION}/responses/404"), Value::Null), Vec::<String>::new());
    assert_eq!(after(&format!("{OPERATION}/parameters/1/schema/maximum"), json!(20)), Vec::<String>::new());
    let words = json!({ "type": "string", "enum": ["eu", "us", "apac"] });
    assert_eq!(after(&format!("{SITE}/properties/region"), words), Vec::<String>::new());
}

#[test]
fn what_is_taken_away_breaks_clients() {
    for (pointer, said) in [
        ("/paths/~1v1~1sites~1{name}".to_owned(), "/v1/sites/{name} is gone"),
        (OPERATION.to_owned(), "PUT /v1/sites/{name} is gone"),
        (format!("{OPERATION}/parameters/1"), "parameter limit is gone"),
        (format!("{OPERATION}/requestBody/content/application~1json"), "body: application/json is gone"),
        (format!("{OPERATION}/responses/200"), "status 200 is gone"),
        (format!("{OPERATION}/responses/200/headers/ETag"), "header ETag is gone"),
        (format!("{SITE}/properties/tags"), ".tags is gone"),
        (format!("{SITE}/required/0"), "region was always there"),
        (format!("{SITE}/properties/target/oneOf/1"), "alternative 1 is not taken any more"),
    ] {
        let found = after(&pointer, Value::Null);
        assert!(found.iter().any(|one| one.contains(said)), "{pointer}: {found:?}");
    }
}

#[test]
fn what_is_narrowed_or_newly_required_breaks_clients() {
    let required = json!({ "name": "why", "in": "query", "required": true, "schema": { "type": "string" } });
    for (pointer, value, said) in [
        (format!("{OPERATION}/parameters/-"), required, "is new and required"),
        (format!("{OPERATION}/parameters/1/required"), json!(true), "limit is required now"),
        (format!("{OPERATION}/parameters/1/schema/maximum"), json!(5), "its maximum was 10, now 5"),
        (format!("{OPERATION}/parameters/1/schema/type"), json!("string"), "its type was"),
        (format!("{OPERATION}/operationId"), json!("replace_site"), "its operationId was"),
        (format!("{SITE}/required/-"), json!("tags"), ".tags is required now"),
        (format!("{SITE}/properties/region/enum/1"), json!("uk"), "no more"),
        (format!("{SITE}/properties/region/pattern"), json!("^e"), "its pattern was"),
        (format!("{SITE}/properties/tags/items/type"), json!("integer"), "tags[]: its type was"),
        (format!("{SITE}/additionalProperties"), json!(false), "no other members"),
    ] {
        let found = after(&pointer, value);
        assert!(found.iter().any(|one| one.contains(said)), "{pointer}: {found:?}");
    }
}

#[test]
fn an_answer_may_not_become_something_else() {
    let either = json!({ "type": ["string", "null"] });
    let found = after(&format!("{SITE}/properties/region"), either);
    assert!(found.iter().any(|one| one.contains("answer 200") && one.contains("its type was")), "{found:?}");
}
