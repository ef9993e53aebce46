//! Attacks: what is too deep, too costly, too much at once, circular or too large is refused before anything is done.

use axum::body::Body;
use axum::http::Method;
use serde_json::{Value, json};

use super::caller::{ask, refused, request};
use crate::api::tests::fixture::{Fixture, TOKEN};
use crate::api::{ApiSettings, GraphqlSettings, RateSettings};

/// What graphql-js asks for to find out the schema, with the types of types as deep as it goes.
fn introspection() -> String {
    let of_type = |depth: usize| "ofType { kind name ".repeat(depth) + &"}".repeat(depth);
    format!(
        "query IntrospectionQuery {{ __schema {{ queryType {{ name }} mutationType {{ name }} subscriptionType {{ name }}
            types {{ ...FullType }} directives {{ name description locations args {{ ...InputValue }} }} }} }}
        fragment FullType on __Type {{ kind name description
            fields(includeDeprecated: true) {{ name description args {{ ...InputValue }} type {{ ...TypeRef }} isDeprecated deprecationReason }}
            inputFields {{ ...InputValue }} interfaces {{ ...TypeRef }}
            enumValues(includeDeprecated: true) {{ name description isDeprecated deprecationReason }}
            possibleTypes {{ ...TypeRef }} }}
        fragment InputValue on __InputValue {{ name description type {{ ...TypeRef }} defaultValue }}
        fragment TypeRef on __Type {{ kind name {} }}",
        of_type(9)
    )
}

#[tokio::test]
async fn what_tools_ask_for_the_schema_is_within_the_limits() {
    let fixture = Fixture::new();
    let answer = ask(&fixture, &introspection(), json!({})).await;
    assert!(answer.get("errors").is_none(), "{}", answer["errors"]);
    assert!(answer["data"]["__schema"]["types"].as_array().unwrap().len() > 100);
}

#[tokio::test]
async fn strangers_learn_nothing_of_the_schema() {
    let fixture = Fixture::new();
    for token in [None, Some("wrong")] {
        let body = Body::from(request(&introspection(), json!({})));
        let answer = fixture.send(Method::POST, "/graphql", token, body).await;
        answer.problem(401);
        assert!(!answer.text.contains("Site"), "{}", answer.text);
        fixture.send(Method::GET, "/graphql/schema", token, Body::empty()).await.problem(401);
    }
}

#[tokio::test]
async fn the_schema_is_not_told_in_circles() {
    let fixture = Fixture::new();
    let circle = "{ __schema { types { fields { type { fields { type { fields { name } } } } } } } }";
    assert_eq!(refused(&fixture, circle, json!({})).await.0, "too-costly");
    let spread = "{ __type(name: \"Site\") { ...F } } fragment F on __Type { fields { type { ...G } } } fragment G on __Type { fields { name } }";
    assert_eq!(refused(&fixture, spread, json!({})).await.0, "too-costly");
}

#[tokio::test]
async fn what_is_too_deep_is_refused_however_it_is_written() {
    let fixture = Fixture::new();
    let fields = "a { ".repeat(20) + "b" + &" }".repeat(20);
    let inline = "... { ".repeat(70) + "__typename" + &" }".repeat(70);
    let values = format!("{{ site(name: {}1{}) {{ kind }} }}", "[".repeat(30_000), "]".repeat(30_000));
    let open = format!("{{ site(name: \"\"\"a\" {}", "[".repeat(30_000));
    let types = format!("query($a: {}Int{}) {{ __typename }}", "[".repeat(30_000), "]".repeat(30_000));
    let chain: String = (0..500).map(|n| format!("fragment F{n} on Query {{ ...F{} }} ", n + 1)).collect();
    let chain = format!("{{ ...F0 }} {chain} fragment F500 on Query {{ __typename }}");
    for text in [format!("{{ {fields} }}"), format!("{{ {inline} }}"), values, open, types, chain] {
        let (code, said) = refused(&fixture, &text, json!({})).await;
        assert_eq!(code, "too-costly", "{said}");
        assert!(said.contains("deep"), "{said}");
    }
}

#[tokio::test]
async fn fragments_in_circles_are_refused_even_where_nobody_spreads_them() {
    let fixture = Fixture::new();
    for text in [
        "{ ...A } fragment A on Query { ...A }",
        "{ ...A } fragment A on Query { whoami { who } ...B } fragment B on Query { ...A }",
        "{ __typename } fragment A on Query { ...B } fragment B on Query { ...A }",
        "{ whoami { ...W } } fragment W on WhoAmI { who ...W }",
    ] {
        let (code, said) = refused(&fixture, text, json!({})).await;
        assert_eq!(code, "too-costly", "{said}");
        assert!(said.contains("spreads itself"), "{said}");
    }
}

#[tokio::test]
async fn fragments_that_double_again_and_again_count_as_all_they_come_to() {
    let fixture = Fixture::new();
    let doubling: String =
        (0..40).map(|n| format!("fragment F{n} on Query {{ ...F{0} ...F{0} }} ", n + 1)).collect();
    for start in ["{ ...F0 }", "{ __typename }"] {
        let text = format!("{start} {doubling} fragment F40 on Query {{ __typename }}");
        let (code, said) = refused(&fixture, &text, json!({})).await;
        assert_eq!(code, "too-costly", "{said}");
    }
}

#[tokio::test]
async fn a_flood_of_aliases_is_refused_and_nothing_of_it_done() {
    let fixture = Fixture::new();
    let before = fixture.catalog.state().seq;
    let flood: String =
        (0..21).map(|n| format!("a{n}: putSite(metadata: {{name: \"s{n}\"}}) {{ kind }} ")).collect();
    let (code, said) = refused(&fixture, &format!("mutation {{ {flood} }}"), json!({})).await;
    assert_eq!(code, "too-costly");
    assert!(said.contains("21 operations") && said.contains("at most 20"), "{said}");
    let hidden: String = (0..21).map(|n| format!("a{n}: __typename ")).collect();
    let hidden = format!("{{ ...F }} fragment F on Query {{ ... {{ {hidden} }} }}");
    assert_eq!(refused(&fixture, &hidden, json!({})).await.0, "too-costly");
    assert_eq!(fixture.catalog.state().seq, before);
    let many: String = (0..20_000).map(|n| format!("a{n}:b ")).collect();
    let said = refused(&fixture, &format!("{{ whoami {{ {many} }} }}"), json!({})).await.1;
    assert!(said.contains("bytes") || said.contains("fields"), "{said}");
}

#[tokio::test]
async fn what_costs_too_much_is_refused_by_the_length_of_its_pages() {
    let fixture = Fixture::new();
    let wide: String = (0..60).map(|n| format!("a{n}: kind ")).collect();
    let of =
        |limit: &str| format!("query($n: Int = 1000) {{ sites(limit: {limit}) {{ items {{ {wide} }} }} }}");
    for limit in ["1000", "$n", "2000000000"] {
        let (code, said) = refused(&fixture, &of(limit), json!({})).await;
        assert_eq!(code, "too-costly", "{said}");
        assert!(said.contains("`limit`"), "{said}");
    }
    assert_eq!(refused(&fixture, &of("$n"), json!({ "n": 1000 })).await.0, "too-costly");
    let small = ask(&fixture, &of("$n"), json!({ "n": 10 })).await;
    assert!(small.get("errors").is_none(), "{small}");
}

#[tokio::test]
async fn the_limits_are_those_of_the_configuration() {
    let graphql = GraphqlSettings { depth: 2, cost: 10, operations: 1 };
    let fixture = Fixture::set_up(&ApiSettings { graphql, ..ApiSettings::default() });
    assert!(ask(&fixture, "{ whoami { who } }", json!({})).await.get("errors").is_none());
    for text in ["{ status { agents { name } } }", "{ __typename whoami { who } }", "{ tokens { id } }"] {
        assert_eq!(refused(&fixture, text, json!({})).await.0, "too-costly", "{text}");
    }
}

#[tokio::test]
async fn what_is_too_large_or_several_requests_at_once_is_refused() {
    let fixture = Fixture::new();
    let long = format!("{{ __typename }} # {}", "x".repeat(70_000));
    assert_eq!(refused(&fixture, &long, json!({})).await.0, "too-costly");
    let large = request("{ __typename }", json!({ "a": "x".repeat(9 << 20) }));
    fixture.post("/graphql", &large).await.problem(413);
    let batch = format!("[{}]", request("{ __typename }", json!({})));
    assert!(fixture.post("/graphql", &batch).await.problem(422).contains("several requests"));
    let nested = format!(
        "{{\"query\": \"{{ __typename }}\", \"variables\": {}}}",
        "{\"a\":".repeat(200) + "1" + &"}".repeat(200)
    );
    fixture.post("/graphql", &nested).await.problem(422);
    let errors: String = (0..1000).map(|n| format!("e{n} ")).collect();
    let answer = ask(&fixture, &format!("{{ whoami {{ {errors} }} }}"), json!({})).await;
    assert!(answer["errors"].as_array().unwrap().len() <= 25);
}

#[tokio::test]
async fn each_operation_is_charged_as_a_request() {
    let rate = RateSettings { per_principal: 1, burst_seconds: 10, ..RateSettings::default() };
    let fixture = Fixture::set_up(&ApiSettings { rate, ..ApiSettings::default() });
    let six: String = (0..6).map(|n| format!("a{n}: __typename ")).collect();
    let six = format!("{{ {six} }}");
    assert!(ask(&fixture, &six, json!({})).await.get("errors").is_none());
    let (code, said) = refused(&fixture, &six, json!({})).await;
    assert_eq!(code, "rate-limited");
    assert!(said.contains("try again in"), "{said}");
}

#[tokio::test]
async fn what_is_no_graphql_is_an_error_and_no_fault_of_ours() {
    let fixture = Fixture::new();
    for text in [
        "",
        "{",
        "}",
        "query",
        "{ a(b: \"",
        "mutation { nothing }",
        "{ whoami }",
        "subscription { a b }",
        "\u{0}",
    ] {
        assert_eq!(refused(&fixture, text, json!({})).await.0, "invalid", "{text}");
    }
    let (_, said) = refused(&fixture, "subscription { sites { what } }", json!({})).await;
    assert!(said.contains("WebSocket"), "{said}");
    fixture.post("/graphql", "{}").await.problem(422);
    fixture.post("/graphql", r#"{"query": 5}"#).await.problem(422);
    let plain = fixture.get("/graphql").await;
    assert_eq!((plain.problem(426).contains("POST"), plain.header("upgrade")), (true, "websocket"));
    let unknown: Value =
        fixture.post("/graphql", r#"{"query": "query A { __typename }", "operationName": "B"}"#).await.json();
    assert_eq!(unknown["errors"][0]["extensions"]["code"], "invalid", "{unknown} {TOKEN:.0}");
}
