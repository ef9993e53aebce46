//! Every endpoint by every role: what the table of permissions says is what the doors do, and `docs/permissions.md` shows
//! it. An endpoint that is new, or asks for something else, changes that page and so is seen in review.

use std::fmt::Write;
use std::path::PathBuf;

use axum::body::Body;
use serde_json::json;
use towpath_resource::{BuiltInRole, Permissions};

use super::doors::concrete;
use super::fixture::Fixture;
use crate::api::endpoints;
use crate::graphql;
use crate::service::Need;

/// Set to write the page instead of comparing it.
const WRITE: &str = "TOWPATH_WRITE_DOCS";

const HEAD: &str = "\
# Permissions

What each endpoint of the API and each operation of GraphQL needs, and which of the built-in roles have it everywhere. A role that is given within a
scope reaches only what lies within it; [access](access.md) says how. This page is made from the API itself:
`TOWPATH_WRITE_DOCS=1 cargo nextest run -p towpath-control matrix` writes it.
";

/// What is needed, in a word.
fn word(need: Need) -> String {
    match need {
        Need::Nothing => "nothing".to_owned(),
        Need::ToBeKnown => "to be known".to_owned(),
        Need::DecidedByContent => "what each document needs".to_owned(),
        Need::Permission(permission) => format!("`{permission}`"),
    }
}

fn allows(role: BuiltInRole, need: Need) -> bool {
    match need {
        Need::Permission(needed) => {
            role.permissions().into_iter().any(|some: Permissions| some.contain(needed))
        }
        _ => true,
    }
}

/// A row for each of these: what it needs, and which roles have that.
fn table(page: &mut String, what: &str, rows: impl Iterator<Item = (String, Need)>) {
    write!(page, "\n| {what} | needs |").unwrap();
    BuiltInRole::ALL.iter().for_each(|role| write!(page, " {} |", role.as_str()).unwrap());
    page.push_str("\n|---|---|");
    BuiltInRole::ALL.iter().for_each(|_| page.push_str(":-:|"));
    for (name, need) in rows {
        write!(page, "\n| `{name}` | {} |", word(need)).unwrap();
        for role in BuiltInRole::ALL {
            page.push_str(if allows(role, need) { " ✓ |" } else { " – |" });
        }
    }
}

fn page() -> String {
    let mut page = HEAD.to_owned();
    let rest = endpoints().into_iter();
    table(&mut page, "endpoint", rest.map(|one| (format!("{} {}", one.method, one.path), one.need)));
    page.push_str("\n\n## GraphQL\n");
    let graphql = graphql::operations().into_iter();
    let named =
        graphql.map(|one| (format!("{} {}", one.root.as_str().to_ascii_lowercase(), one.name), one.need));
    table(&mut page, "operation", named);
    page.push_str("\n\n## Roles\n\n| permission |");
    BuiltInRole::ALL.iter().for_each(|role| write!(page, " {} |", role.as_str()).unwrap());
    page.push_str("\n|---|");
    BuiltInRole::ALL.iter().for_each(|_| page.push_str(":-:|"));
    for permission in towpath_resource::Permission::all() {
        let has = |role: &BuiltInRole| role.permissions().iter().any(|some| some.contain(permission));
        write!(page, "\n| `{permission}` |").unwrap();
        BuiltInRole::ALL.iter().for_each(|role| page.push_str(if has(role) { " ✓ |" } else { " – |" }));
    }
    page.push('\n');
    page
}

#[tokio::test]
async fn every_endpoint_lets_in_whom_the_table_of_permissions_says_and_nobody_else() {
    let fixture = Fixture::new();
    let mut wrong = Vec::new();
    let mut keys = Vec::new();
    for role in BuiltInRole::ALL {
        keys.push((role, fixture.key(role.as_str(), json!([{ "role": role.as_str() }])).await));
    }
    for (role, key) in keys {
        for endpoint in endpoints() {
            let path = concrete(&endpoint.path);
            let answer = fixture.send(endpoint.method.clone(), &path, Some(&key), Body::empty()).await;
            let expected = allows(role, endpoint.need);
            let (status, is_open) = (answer.status.as_u16(), endpoint.need == Need::Nothing);
            if (status == 403) == expected || (status == 401 && !is_open) {
                wrong.push(format!("{} {path} by {}: {status}", endpoint.method, role.as_str()));
            }
        }
    }
    assert_eq!(wrong, Vec::<String>::new());
}

#[test]
fn the_page_of_permissions_is_what_the_endpoints_need() {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../docs/permissions.md");
    let made = page();
    if std::env::var_os(WRITE).is_some() {
        std::fs::write(&path, &made).unwrap();
    }
    let written = std::fs::read_to_string(&path).unwrap();
    let differs = written.lines().zip(made.lines()).find(|(old, new)| old != new);
    assert!(
        written == made,
        "docs/permissions.md is not what the endpoints need, first at {differs:?}; run the tests with {WRITE}=1, and look at what changed"
    );
}
