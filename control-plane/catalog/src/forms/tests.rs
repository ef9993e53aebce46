//! Every form that was ever written can be read, and none changes without a version.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde_json::json;
use towpath_record::{AgentId, RouteId, SchemaHash, SourceId, StreamName};
use towpath_resource::{AnyResource, Resource, RoleGrant, Scope, StartFrom, parse_documents};
use uuid::Uuid;

use super::*;
use crate::event::{Actor, Cause, EventKind, Interface, Origin};
use crate::secret::SecretHash;
use crate::state::AcceptedSchema;
use crate::users::{PasswordHash, SessionEnd};

fn id<I: From<Uuid>>() -> I {
    Uuid::from_u128(0x0190_0000_0000_7000_8000_0000_0000_0001).into()
}

fn time() -> Timestamp {
    Timestamp::from_second(1_800_000_000).unwrap()
}

fn agent() -> Resource<towpath_resource::AgentSpec> {
    let text = "apiVersion: towpath/v1\nkind: Agent\nmetadata: {name: plant-1, labels: {hall: '7'}}\nspec: {site: plant}\n";
    let manifest = parse_documents(text).unwrap().remove(0).manifest.unwrap();
    let towpath_resource::AnyManifest::Agent(manifest) = manifest else { panic!("an agent") };
    Resource {
        id: id::<AgentId>(),
        generation: 7,
        created_at: time(),
        updated_at: time(),
        metadata: manifest.metadata,
        spec: manifest.spec,
    }
}

/// One of each event, as it is written today.
fn samples() -> Vec<Event> {
    let name = |text: &str| towpath_record::ResourceName::new(text).unwrap();
    let accepted = AcceptedSchema {
        source: id::<SourceId>(),
        stream: StreamName::new("erp.orders").unwrap(),
        version: 3,
        schema: SchemaHash([7; 32]),
    };
    let kinds = vec![
        EventKind::CertificateAuthorityCreated { fingerprint: "ab".repeat(32) },
        EventKind::AdminTokenCreated { id: id(), name: "bootstrap".into(), hash: SecretHash([1; 32]) },
        EventKind::AdminTokenRevoked { id: id(), name: "bootstrap".into() },
        EventKind::KeyCreated {
            id: id(),
            name: name("robot"),
            hash: SecretHash([3; 32]),
            grants: vec![RoleGrant { role: name("viewer"), scope: Scope::default() }],
            expires_at: Some(time()),
        },
        EventKind::KeyRotated {
            id: id(),
            name: name("robot"),
            hash: SecretHash([4; 32]),
            previous_until: time(),
            expires_at: None,
        },
        EventKind::KeyRevoked { id: id(), name: name("robot") },
        EventKind::UserCreated { id: id(), name: name("ada"), hash: PasswordHash("$argon2id$1".into()) },
        EventKind::UserPasswordSet { id: id(), name: name("ada"), hash: PasswordHash("$argon2id$2".into()) },
        EventKind::UserDeleted { id: id(), name: name("ada") },
        EventKind::SessionOpened { id: id(), user: id(), name: name("ada"), expires_at: time() },
        EventKind::SessionClosed {
            id: id(),
            user: id(),
            name: name("ada"),
            why: SessionEnd::RefreshTokenReused,
        },
        EventKind::ResourceApplied { resource: AnyResource::from(agent()) },
        EventKind::ResourceDeleted { resource: AnyResource::from(agent()) },
        EventKind::TokenCreated {
            id: id(),
            hash: SecretHash([2; 32]),
            site: name("plant"),
            expires_at: time(),
        },
        EventKind::TokenRevoked { id: id() },
        EventKind::AgentEnrolled { token: id(), agent: agent(), version: "0.1.0".into() },
        EventKind::CertificateIssued { agent: id(), serial: "4f".into(), not_after: time() },
        EventKind::AgentRevoked { agent: id(), name: name("plant-1") },
        EventKind::RouteReplayed {
            route: id::<RouteId>(),
            name: name("orders"),
            from: StartFrom::Earliest,
            replay: 2,
        },
        EventKind::SchemaAccepted { route: id::<RouteId>(), name: name("orders"), accepted },
        EventKind::DeadLetterReplayed { letter: "main.17.3".into() },
        EventKind::AccessDenied { lacking: "route:write".into(), on: Some("route orders".into()), count: 12 },
    ];
    let actor = Actor::Admin { token: id(), name: "ada".into() };
    let origin = Origin {
        address: Some("192.0.2.7".parse().unwrap()),
        interface: Interface::Rest,
        request: Uuid::from_u128(5),
    };
    let cause = Cause { actor, origin: Some(origin) };
    kinds.into_iter().map(|kind| Event { seq: 7, at: time(), cause: cause.clone(), kind }).collect()
}

fn golden() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden")
}

/// The names of all events, from what a parser says that it would have taken.
fn every_event() -> BTreeSet<String> {
    let said = serde_json::from_value::<EventKind>(json!({ "event": "?" })).unwrap_err().to_string();
    said.split('`').skip(3).step_by(2).map(ToOwned::to_owned).collect()
}

#[test]
fn every_event_has_a_sample_and_is_written_as_it_always_was() {
    let mut seen = BTreeSet::new();
    for event in samples() {
        let (name, written) = (event.kind.name(), String::from_utf8(write(&event)).unwrap());
        let path = golden().join(format!("{name}.v{}.json", present(UPCASTS, &name)));
        let kept = fs::read_to_string(&path).unwrap_or_default();
        assert_eq!(
            kept.trim_end(),
            written,
            "{} holds another form; events that were written must stay readable: add an upcast from the old form, \
             and a file for the new one",
            path.display()
        );
        seen.insert(name);
    }
    assert_eq!(seen, every_event());
}

#[test]
fn every_form_that_was_ever_written_is_read() {
    let mut read_forms = 0;
    for entry in fs::read_dir(golden()).unwrap() {
        let path = entry.unwrap().path();
        let text = fs::read_to_string(&path).unwrap();
        let event =
            read(text.trim_end().as_bytes()).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let again = read(&write(&event)).unwrap();
        assert_eq!(again, event, "{}", path.display());
        read_forms += 1;
    }
    assert!(read_forms >= samples().len());
}

/// A form that was renamed and then split a member in two.
const TRIED: &[Upcast] = &[
    Upcast {
        from: ("door_opened", 1),
        to: ("gate_opened", 1),
        change: |event| drop(event.insert("gate".into(), json!("north"))),
    },
    Upcast {
        from: ("gate_opened", 1),
        to: ("gate_opened", 2),
        change: |event| {
            let by = event.shift_remove("by").unwrap_or_default();
            event.insert("actor".into(), json!({ "type": "admin", "name": by }));
        },
    },
];

#[test]
fn an_old_form_is_led_to_the_present_one_step_by_step() {
    let object = |value: Value| value.as_object().cloned().unwrap();
    let old = object(json!({ "seq": 3, "event": "door_opened", "by": "ada" }));
    let led = upcast(TRIED, old).unwrap();
    let wanted = json!({ "seq": 3, "event": "gate_opened", "gate": "north", "actor": { "type": "admin", "name": "ada" } });
    assert_eq!(Value::Object(led), wanted);
    assert_eq!((present(TRIED, "gate_opened"), present(TRIED, "door_opened")), (2, 1));
    let present_form = object(json!({ "v": 2, "seq": 3, "event": "gate_opened", "gate": "south" }));
    assert_eq!(upcast(TRIED, present_form).unwrap()["gate"], "south", "the present form is left alone");
}

#[test]
fn a_form_of_a_later_release_is_refused_with_its_name_and_version() {
    let written = write(&samples()[0]);
    let later = String::from_utf8(written).unwrap().replacen('{', "{\"v\":9,", 1);
    let refused = read(later.as_bytes()).unwrap_err().to_string();
    assert!(refused.contains("`certificate_authority_created` is written in version 9"), "{refused}");
}
