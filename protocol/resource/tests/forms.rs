//! What a console shows and asks for follows from the types alone.

#![allow(clippy::unwrap_used, reason = "a test that cannot set up its scene may panic")]

use serde_json::{Value, json};
use towpath_resource::form::{Field, Input, KindForm};
use towpath_resource::{AnyManifest, Kind, Spec, parse_documents, schema};

/// Every field, with those within groups, lists and choices.
fn all(fields: &[Field]) -> Vec<Field> {
    let with_those_below = |field: &Field| -> Vec<Field> {
        let chosen = field.choices.iter().flat_map(|choice| all(&choice.fields));
        std::iter::once(field.clone()).chain(chosen).chain(all(&field.fields)).collect()
    };
    fields.iter().flat_map(with_those_below).collect()
}

fn field(kind: Kind, path: &str) -> Field {
    let form = KindForm::of(kind);
    let found = all(&form.fields).into_iter().find(|field| field.path == path);
    found.unwrap_or_else(|| panic!("{kind} has no {path}"))
}

#[test]
fn a_field_is_asked_for_as_its_type_says() {
    let rows = field(Kind::Source, "spec.capture.max_rows");
    assert_eq!((rows.title.as_str(), rows.input), ("Max rows", Input::Number));
    assert_eq!((rows.min, rows.max), (Some(1), Some(1 << 20)));
    let linger = field(Kind::Source, "spec.capture.linger");
    assert_eq!((linger.input, linger.default), (Input::Text, Some(json!("5ms"))));
    assert!(!linger.help.contains('\n') && linger.help.contains("Default: `5ms`."), "{}", linger.help);
    assert_eq!(field(Kind::Route, "spec.paused").input, Input::Switch);
    assert_eq!(field(Kind::Source, "spec.config").input, Input::Map);
    assert_eq!(field(Kind::Route, "metadata.labels").input, Input::Map);
    assert!(field(Kind::Route, "spec.sink").required && !field(Kind::Route, "spec.from").required);
}

#[test]
fn what_can_be_chosen_is_told_with_what_it_means_and_needs() {
    let from = field(Kind::Route, "spec.from");
    let words: Vec<_> = from.choices.iter().map(|choice| choice.value.as_str()).collect();
    assert_eq!((from.input, words), (Input::Choice, vec!["earliest", "latest", "offset", "time"]));
    assert!(from.choices.iter().all(|choice| !choice.help.is_empty()), "{from:?}");
    assert_eq!(from.choices[2].fields[0].input, Input::Number);
    let target = field(Kind::AuditExport, "spec.target");
    let webhook = target.choices.iter().find(|choice| choice.value == "webhook").unwrap();
    let names: Vec<_> = webhook.fields.iter().map(|field| field.path.as_str()).collect();
    assert!(names.starts_with(&["spec.target.webhook.url", "spec.target.webhook.secret"]), "{names:?}");
}

#[test]
fn a_secret_is_known_as_one_and_never_asked_for() {
    assert!(field(Kind::IdentityProvider, "spec.client_secret").secret);
    assert!(field(Kind::AuditExport, "spec.target.webhook.secret").secret);
    assert!(!field(Kind::IdentityProvider, "spec.client_id").secret);
    for kind in Kind::ALL {
        let form = KindForm::of(kind);
        for field in all(&form.fields).into_iter().filter(|field| field.path.contains("secret")) {
            assert!(field.secret, "{kind}: {} is taken for no secret", field.path);
        }
    }
}

/// The kinds that fields at the path or below it name.
fn named_at(kind: Kind, path: &str) -> Vec<Kind> {
    let form = KindForm::of(kind);
    let below = all(&form.fields).into_iter().filter(|field| field.path.starts_with(path));
    below.filter_map(|field| field.reference).collect()
}

#[test]
fn what_a_resource_refers_to_its_form_knows_as_a_reference() {
    let more = [
        "apiVersion: towpath/v1\nkind: RoleBinding\nmetadata: {name: b}\nspec:\n  role: replayer\n  subjects: [{identity: {provider: corp, subject: x}}]\n",
    ];
    let mut seen = 0;
    for text in Kind::ALL.map(Kind::example).into_iter().chain(more) {
        let manifest = parse_documents(text).unwrap().remove(0).manifest.unwrap();
        let kind = manifest.kind();
        for reference in towpath_resource::each_kind!(manifest, AnyManifest::one => one.spec.references()) {
            let known = named_at(kind, reference.path);
            assert!(known.contains(&reference.kind), "{kind} {}: {known:?}", reference.path);
            seen += 1;
        }
    }
    assert!(seen >= 8, "{seen}");
}

#[test]
fn a_patch_may_be_any_part_of_a_manifest() {
    let patch = schema::patch(Kind::Route);
    let spec = &patch["properties"]["spec"];
    assert!(patch.get("required").is_none() && spec.get("required").is_none());
    assert_eq!(spec["properties"]["sink"]["type"], "string", "what must be there cannot be taken out");
    assert_eq!(spec["properties"]["paused"]["anyOf"][1], json!({ "type": "null" }));
    assert_eq!(spec["additionalProperties"], json!(false));
    let text = patch.to_string();
    assert!(!text.contains(":null") && !text.contains("\"required\":[]"), "{text}");
}

#[test]
fn whole_numbers_have_the_bounds_of_their_types() {
    fn unbounded(schema: &Value, path: &str, found: &mut Vec<String>) {
        match schema {
            Value::Object(members) => {
                if members.get("type") == Some(&json!("integer")) && !members.contains_key("maximum") {
                    found.push(path.to_owned());
                }
                members.iter().for_each(|(name, one)| unbounded(one, &format!("{path}/{name}"), found));
            }
            Value::Array(items) => items.iter().for_each(|one| unbounded(one, path, found)),
            _ => {}
        }
    }
    for kind in Kind::ALL {
        let mut found = Vec::new();
        unbounded(&schema::of(kind), kind.as_str(), &mut found);
        assert_eq!(found, Vec::<String>::new());
    }
}
