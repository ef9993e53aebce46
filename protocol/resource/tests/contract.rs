//! What agents and control planes of different age say to each other is understood, and schemas say what is taken.

#![allow(clippy::unwrap_used, reason = "a test that cannot set up its scene may panic")]

use serde_json::{Value, json};
use towpath_resource::desired::Desired;
use towpath_resource::observed::{Condition, Observed, SinkGuarantee};
use towpath_resource::{AnyManifest, Kind, Lookup, SourceSpec, check_references, parse_documents, schema};

#[test]
fn an_older_agent_understands_a_newer_control_plane_and_the_other_way_round() {
    let id = "01890000-0000-7000-8000-000000000001";
    let desired: Desired = serde_json::from_value(json!({
        "generation": 9, "agent": id, "agent_name": "plant-1", "policies": [],
        "sources": [{"id": id, "name": "s", "adapter": "file", "config": {}, "region": "main", "minimise": true}],
    }))
    .unwrap();
    assert_eq!(desired.sources[0].capture.max_rows, 16_384);
    let observed: Observed = serde_json::from_value(json!({
        "generation": 8, "moods": [], "sources": [{"id": id, "condition": "dreaming"}],
        "sinks": [{"id": id, "guarantee": "exactly_once"}],
    }))
    .unwrap();
    assert_eq!(observed.sources[0].condition, Condition::Unknown);
    assert_eq!(observed.sinks[0].guarantee, SinkGuarantee::ExactlyOnce);
}

#[test]
fn every_field_of_every_kind_is_explained() {
    fn walk(path: &str, schema: &Value) {
        for (name, field) in schema["properties"].as_object().into_iter().flatten() {
            let path = format!("{path}.{name}");
            assert!(
                field["description"].is_string() || field["title"].is_string(),
                "{path} has no description"
            );
            walk(&path, field);
        }
    }
    for kind in Kind::ALL {
        let schema = schema::of(kind);
        assert!(schema["description"].is_string(), "{kind}");
        let spec = &schema["properties"]["spec"];
        assert_eq!(spec["additionalProperties"], json!(false), "{kind}");
        walk(kind.noun(), &spec.clone());
    }
}

#[test]
fn the_example_of_every_kind_is_valid_and_its_columns_lead_somewhere() {
    for kind in Kind::ALL {
        let mut documents = parse_documents(kind.example()).unwrap();
        let manifest = documents.remove(0).manifest.unwrap_or_else(|faults| panic!("{kind}: {faults:?}"));
        assert_eq!(manifest.kind(), kind);
        let schema = schema::of(kind);
        for (title, pointer) in kind.columns().iter().filter(|(_, pointer)| pointer.starts_with("/spec/")) {
            let field = pointer.trim_start_matches("/spec/");
            assert!(schema["properties"]["spec"]["properties"][field].is_object(), "{kind} {title}");
        }
    }
}

struct Known;

impl Lookup for Known {
    fn names(&self, kind: Kind) -> Vec<&towpath_record::ResourceName> {
        static NAME: std::sync::LazyLock<towpath_record::ResourceName> =
            std::sync::LazyLock::new(|| towpath_record::ResourceName::new("plant-1").unwrap());
        if kind == Kind::Agent { vec![&NAME] } else { vec![] }
    }

    fn regions(&self) -> Vec<&towpath_record::RegionName> {
        vec![]
    }
}

fn source(agent: &str) -> SourceSpec {
    let text = format!(
        "apiVersion: towpath/v1\nkind: Source\nmetadata: {{name: s}}\nspec: {{agent: {agent}, adapter: file}}"
    );
    match parse_documents(&text).unwrap().remove(0).manifest {
        Ok(AnyManifest::Source(source)) => source.spec,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_reference_to_nothing_is_refused_with_what_was_probably_meant() {
    let said = |agent: &str| {
        let mut faults = towpath_resource::Faults::default();
        check_references(&source(agent), &Known, &mut faults);
        faults.into_vec(|_| None).pop().map(|fault| fault.to_string())
    };
    assert_eq!(said("plant-1"), None);
    assert_eq!(said("plant1").unwrap(), "spec.agent: there is no agent `plant1`; did you mean `plant-1`?");
    assert!(said("cloud").unwrap().contains("towpath token create"));
}

#[test]
fn what_must_not_change_is_refused() {
    use towpath_resource::Spec;
    let before = source("plant-1");
    let after =
        SourceSpec { adapter: towpath_resource::AdapterName::new("postgres").unwrap(), ..before.clone() };
    let mut faults = towpath_resource::Faults::default();
    after.check_change(&before, &mut faults);
    assert!(faults.has("spec.adapter"));
}
