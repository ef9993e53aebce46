//! That gRPC offers what REST does, made from the endpoints of the one and the descriptors of the other.

use std::collections::BTreeSet;

use towpath_resource::Kind;

use super::doors::described;
use crate::api::tests::operations;
use crate::grpc::needs;
use crate::service::Need;

/// What an operation of REST is here.
enum Twin {
    Call(&'static str),
    /// Nothing, and why.
    Nothing(&'static str),
}

const FEED: &str = "for browsers; calls that stream follow the same feeds here";
const FORMS: &str = "forms are for browsers; reflection tells what messages are";
const GRAPHQL: &str = "another interface, with operations of its own";

/// Calls that are a way of an operation that REST has behind an argument, or of its feeds.
const OF_FEEDS: [&str; 3] = ["Resources/Watch", "Fleet/WatchStatus", "Events/Follow"];

/// Operations on resources of a kind, without its noun or plural.
const OF_KINDS: [(&str, &str); 7] = [
    ("list_", "Resources/List"),
    ("get_", "Resources/Get"),
    ("put_", "Resources/Put"),
    ("patch_", "Resources/Patch"),
    ("delete_", "Resources/Delete"),
    ("history_of_", "Resources/History"),
    ("rollback_", "Resources/Rollback"),
];

fn twin(operation: &str) -> Option<Twin> {
    let is_kind = |rest: &str| Kind::ALL.iter().any(|kind| kind.noun() == rest || kind.plural() == rest);
    let of_kind = OF_KINDS.iter().find(|(verb, _)| operation.strip_prefix(verb).is_some_and(is_kind));
    if let Some((_, call)) = of_kind {
        return Some(Twin::Call(call));
    }
    Some(match operation {
        "open_feed_socket" | "create_feed_ticket" | "poll_feed" => Twin::Nothing(FEED),
        "list_kinds" | "get_kind" => Twin::Nothing(FORMS),
        "graphql" | "open_graphql_socket" | "get_graphql_schema" => Twin::Nothing(GRAPHQL),
        other => Twin::Call(CALLS.iter().find(|(operation, _)| *operation == other)?.1),
    })
}

const CALLS: &[(&str, &str)] = &[
    ("apply", "Resources/Apply"),
    ("agent_logs", "Agents/GetLog"),
    ("revoke_agent", "Agents/Revoke"),
    ("describe_route", "Routes/Describe"),
    ("replay_route", "Routes/Replay"),
    ("compare_route", "Routes/Compare"),
    ("accept_schema", "Routes/AcceptSchema"),
    ("check_source", "Sources/Check"),
    ("create_token", "Tokens/Create"),
    ("list_tokens", "Tokens/List"),
    ("revoke_token", "Tokens/Revoke"),
    ("create_key", "Keys/Create"),
    ("list_keys", "Keys/List"),
    ("get_key", "Keys/Get"),
    ("revoke_key", "Keys/Revoke"),
    ("rotate_key", "Keys/Rotate"),
    ("revoke_admin_token", "Keys/RevokeAdminToken"),
    ("create_user", "Users/Create"),
    ("list_users", "Users/List"),
    ("get_user", "Users/Get"),
    ("delete_user", "Users/Delete"),
    ("set_password", "Users/SetPassword"),
    ("login", "Sessions/Login"),
    ("refresh_session", "Sessions/Refresh"),
    ("list_login_providers", "Sessions/ListProviders"),
    ("whoami", "Sessions/WhoAmI"),
    ("logout", "Sessions/Logout"),
    ("set_own_password", "Sessions/SetOwnPassword"),
    ("list_sessions", "Sessions/List"),
    ("close_session", "Sessions/Close"),
    ("get_status", "Fleet/GetStatus"),
    ("list_streams", "Streams/List"),
    ("read_stream", "Streams/Read"),
    ("list_schemas", "Schemas/List"),
    ("get_schema", "Schemas/Get"),
    ("diff_schema", "Schemas/Diff"),
    ("explain_policy", "Policies/Explain"),
    ("list_dead_letters", "DeadLetters/List"),
    ("get_dead_letter", "DeadLetters/Get"),
    ("replay_dead_letter", "DeadLetters/Replay"),
    ("list_events", "Events/List"),
    ("list_audit", "Audit/List"),
    ("verify_audit", "Audit/Verify"),
    ("list_checkpoints", "Audit/ListCheckpoints"),
    ("get_audit_key", "Audit/GetKey"),
    ("export_audit", "Audit/Export"),
];

fn path(call: &str) -> String {
    format!("/towpath.admin.v1.{call}")
}

#[test]
fn every_operation_of_rest_is_a_call_that_needs_the_same_or_says_why_it_is_none() {
    let described = described();
    let mut wrong = Vec::new();
    for (operation, need) in operations() {
        match twin(&operation) {
            None => wrong.push(format!("{operation} has no call and no reason")),
            Some(Twin::Nothing(why)) => assert!(!why.is_empty()),
            Some(Twin::Call(call)) => {
                let (is_there, needs) = (described.contains(&path(call)), needs::of(&path(call)));
                // The kind stands in the message, so that the method decides.
                let by_method = call.starts_with("Resources/") && needs == Some(Need::DecidedByContent);
                if !is_there || !(by_method || needs == Some(need)) {
                    wrong.push(format!("{operation} needs {need:?}, {call} needs {needs:?}"));
                }
            }
        }
    }
    assert_eq!(wrong, Vec::<String>::new());
}

#[test]
fn every_call_is_an_operation_of_rest_too() {
    let operations = operations();
    let twins = operations.iter().filter_map(|(operation, _)| match twin(operation) {
        Some(Twin::Call(call)) => Some(path(call)),
        _ => None,
    });
    let known: BTreeSet<_> = twins.chain(OF_FEEDS.map(path)).collect();
    assert_eq!(described(), known);
}
