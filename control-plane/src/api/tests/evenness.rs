//! That GraphQL offers what REST does, for the same permissions. An endpoint that is new needs a twin, or a reason.

use std::collections::BTreeMap;

use crate::api::endpoints;
use crate::graphql;
use crate::service::Need;

/// Endpoints without a twin of the same name, and why.
const OTHERWISE: [(&str, &str); 13] = [
    ("login", "whoever logs in is not known yet, and GraphQL is for those who are"),
    ("refresh_session", "the refresh token is all that is known of whoever asks"),
    ("list_login_providers", "whoever asks is not known yet"),
    ("export_audit", "it is byte for byte as it was written, which is no answer of GraphQL"),
    ("open_feed_socket", "GraphQL has a socket of its own"),
    ("create_feed_ticket", "the socket takes the token in its first message"),
    ("poll_feed", "subscriptions follow"),
    ("read_stream", "the subscription `records`"),
    ("list_kinds", "GraphQL tells what its types are by introspection"),
    ("get_kind", "GraphQL tells what its types are by introspection"),
    ("graphql", "it is GraphQL itself"),
    ("open_graphql_socket", "it is GraphQL itself"),
    ("get_graphql_schema", "it is asked for at its address, or by introspection"),
];

/// `list_role-bindings` as `roleBindings`.
fn twin(endpoint: &str) -> String {
    let words = endpoint.strip_prefix("list_").or_else(|| endpoint.strip_prefix("get_")).unwrap_or(endpoint);
    let mut words = words.split(['_', '-']);
    let first = words.next().unwrap_or_default().to_owned();
    words.fold(first, |name, word| name + &word[..1].to_ascii_uppercase() + &word[1..])
}

#[test]
fn what_rest_offers_graphql_offers_for_the_same_permission() {
    let mut offered: BTreeMap<String, Vec<Need>> = BTreeMap::new();
    for operation in graphql::operations() {
        offered.entry(operation.name).or_default().push(operation.need);
    }
    let otherwise: BTreeMap<_, _> = OTHERWISE.into_iter().collect();
    let mut wrong = Vec::new();
    for endpoint in endpoints() {
        let twins = offered.remove(&twin(&endpoint.name)).unwrap_or_default();
        match (twins.is_empty(), otherwise.get(endpoint.name.as_str())) {
            (true, Some(_)) => {}
            (true, None) => wrong.push(format!("{} has no twin and no reason", endpoint.name)),
            (false, Some(reason)) => wrong.push(format!("{} has a twin, though {reason}", endpoint.name)),
            (false, None) if twins.iter().any(|need| *need != endpoint.need) => {
                wrong.push(format!("{} needs {:?}, its twin {twins:?}", endpoint.name, endpoint.need));
            }
            (false, None) => {}
        }
    }
    assert_eq!(wrong, Vec::<String>::new());
    assert_eq!(offered.into_keys().collect::<Vec<_>>(), ["records"], "GraphQL offers what REST does not");
}
