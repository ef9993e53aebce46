//! Adding a kind touches its own file and one line of `kinds.rs` (its module and identity are declared beside it); adding a field touches the file of its kind. Everything
//! that describes follows from there: schemas, the API and its document, forms, help, permissions, pages. This test reads
//! the sources and lists every other place that knows a kind by name. Each of them does something with that kind which
//! no other kind has, and says here what.

#![allow(clippy::unwrap_used, reason = "a test that cannot set up its scene may panic")]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use towpath_resource::Kind;
use towpath_resource::form::{Field, KindForm};

/// The files that know kinds by name, and what they do with them. A file that is new here needs a reason; one that no
/// longer knows any kind must go.
const BEHAVIOUR: &[(&str, &str)] = &[
    ("control-plane/access/src/grant.rs", "what a role binding gives"),
    ("control-plane/access/src/target.rs", "where a resource stands: its site and its streams"),
    ("control-plane/catalog/src/catalog.rs", "enrolment tokens are of a site"),
    ("control-plane/catalog/src/desired.rs", "policies are told without what is for people"),
    ("control-plane/catalog/src/event.rs", "what events of their own are about"),
    ("control-plane/catalog/src/plan.rs", "rules beyond references: who may move, what is enrolled"),
    ("control-plane/catalog/src/policies.rs", "a policy must be understood before it counts"),
    ("control-plane/catalog/src/state.rs", "who stands where, reads what and feeds what"),
    ("control-plane/catalog/src/transition.rs", "whom a change concerns"),
    ("control-plane/cli/src/args/complete.rs", "names to complete for commands about one kind"),
    ("control-plane/cli/src/commands/describe.rs", "a route from end to end"),
    ("control-plane/cli/src/commands/get/watch.rs", "the status of the fleet is followed by its routes"),
    ("control-plane/cli/src/commands/wait.rs", "what can be waited for"),
    ("control-plane/src/api/agents.rs", "logs and revocation of agents"),
    ("control-plane/src/api/compare.rs", "a route is compared"),
    ("control-plane/src/api/policies.rs", "what policies make of a field"),
    ("control-plane/src/api/routes.rs", "a route is replayed"),
    ("control-plane/src/api/sources.rs", "a source is checked"),
    ("control-plane/src/cell.rs", "routes are run"),
    ("control-plane/src/control/export/mod.rs", "the audit trail is copied"),
    ("control-plane/src/data/inspect.rs", "sources, sinks and routes are asked about"),
    ("control-plane/src/data/route.rs", "a route is delivered"),
    ("control-plane/src/graphql/feeds.rs", "the records of a route are followed"),
    (
        "control-plane/src/graphql/flow.rs",
        "a route is described, replayed and compared, a source checked, an agent revoked",
    ),
    ("control-plane/src/grpc/needs.rs", "what calls about one kind need"),
    ("control-plane/src/service/agents.rs", "logs and revocation of agents"),
    ("control-plane/src/service/letters.rs", "a dead letter goes back to its route"),
    ("control-plane/src/service/overview.rs", "how each part of the way of the data goes"),
    ("control-plane/src/service/policies.rs", "what policies make of a field"),
    ("control-plane/src/service/providers.rs", "identity providers are asked"),
    ("control-plane/src/service/providers/token.rs", "an identity provider's tokens are checked"),
    ("control-plane/src/service/resources.rs", "what is observed of each kind; what giving rights needs"),
    ("control-plane/src/service/routes.rs", "a route is described, replayed and compared"),
    ("control-plane/src/service/schemas.rs", "the source that brings a stream"),
    ("control-plane/src/service/sources.rs", "a source is checked"),
    ("protocol/policy/src/rulebook.rs", "policies are made ready to be asked"),
    ("protocol/resource/src/desired.rs", "agents are told what policies say"),
    ("protocol/resource/src/lib.rs", "the modules of the model"),
    ("protocol/resource/src/role_grant.rs", "a role given without a binding"),
    ("protocol/resource/src/scope.rs", "a right is limited to sites"),
    ("protocol/resource/src/spec.rs", "agents are enrolled and not applied"),
];

/// Where kinds are described. Nothing here may be said again elsewhere.
const MODEL: &str = "protocol/resource/src/";

/// Where the types of single values are, which bring what they are called.
const VALUES: &str = "protocol/record/src/";

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The sources that are built into programs, by their paths from the root, without tests.
fn sources() -> Vec<(String, String)> {
    let mut found = Vec::new();
    for folder in ["protocol", "adapters", "agent", "control-plane"] {
        walk(&root().join(folder), &mut found);
    }
    assert!(found.len() > 300, "only {} files were read", found.len());
    found
}

fn walk(folder: &Path, found: &mut Vec<(String, String)>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        if path.is_dir() && !["tests", "target", "node_modules"].contains(&name) {
            walk(&path, found);
        } else if path.extension().is_some_and(|end| end == "rs" || end == "proto") && name != "tests.rs" {
            let text = std::fs::read_to_string(&path).unwrap();
            let built = text.split("#[cfg(test)]\nmod tests {").next().unwrap().to_owned();
            found.push((path.strip_prefix(root()).unwrap().display().to_string(), built));
        }
    }
}

/// The file that a kind is described in.
fn home(kind: Kind) -> String {
    format!("{MODEL}{}.rs", kind.noun().replace('-', "_"))
}

fn knows(text: &str, kind: Kind) -> bool {
    let word = kind.as_str();
    let names = [
        format!("Kind::{word}"),
        format!("AnyManifest::{word}"),
        format!("AnyResource::{word}"),
        format!("{word}Spec"),
    ];
    names.iter().any(|name| has_word(text, name))
}

/// Whether a name stands in the text and not as a part of a longer one.
fn has_word(text: &str, name: &str) -> bool {
    let is_part = |c: char| c.is_alphanumeric() || c == '_';
    text.match_indices(name).any(|(at, _)| {
        let (before, after) = (text[..at].chars().next_back(), text[at + name.len()..].chars().next());
        !before.is_some_and(is_part) && !after.is_some_and(is_part)
    })
}

#[test]
fn a_kind_is_known_by_name_only_where_something_is_done_that_no_other_kind_has() {
    let homes: Vec<_> = Kind::ALL.map(home).into_iter().chain([format!("{MODEL}kinds.rs")]).collect();
    let sources = sources();
    for home in &homes {
        assert!(sources.iter().any(|(path, _)| path == home), "{home} is missing");
    }
    let knowing: BTreeSet<_> = sources
        .iter()
        .filter(|(path, text)| !homes.contains(path) && Kind::ALL.into_iter().any(|kind| knows(text, kind)))
        .map(|(path, _)| path.as_str())
        .collect();
    let allowed: BTreeSet<_> = BEHAVIOUR.iter().map(|(path, _)| *path).collect();
    let new: Vec<_> = knowing.difference(&allowed).collect();
    assert!(
        new.is_empty(),
        "these know kinds by name; derive what they need, or say here what they do: {new:#?}"
    );
    let gone: Vec<_> = allowed.difference(&knowing).collect();
    assert!(gone.is_empty(), "these know no kind by name any more; take them out here: {gone:#?}");
    assert!(BEHAVIOUR.iter().all(|(_, why)| why.len() > 10), "each has a reason");
}

#[test]
fn what_a_field_means_is_said_once() {
    fn helps(fields: &[Field], found: &mut Vec<String>) {
        for field in fields {
            found.push(field.help.clone());
            helps(&field.fields, found);
            field.choices.iter().for_each(|choice| helps(&choice.fields, found));
        }
    }
    let elsewhere: Vec<_> = sources()
        .into_iter()
        .filter(|(path, _)| !path.starts_with(MODEL) && !path.starts_with(VALUES))
        .map(|(path, text)| {
            let text = text.replace("///", " ");
            (path, text.split_whitespace().collect::<Vec<_>>().join(" "))
        })
        .collect();
    let mut said = Vec::new();
    Kind::ALL.into_iter().for_each(|kind| helps(&KindForm::of(kind).fields, &mut said));
    // What is shorter can be said of other things too.
    said.retain(|help| help.len() >= 50);
    assert!(said.len() > 20, "{said:?}");
    for help in said {
        let again: Vec<_> =
            elsewhere.iter().filter(|(_, text)| text.contains(&help)).map(|(path, _)| path).collect();
        assert!(again.is_empty(), "{again:?} say again what a field means: {help}");
    }
}
