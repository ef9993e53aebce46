//! What an admin writes is understood, and every slip is shown with its place and remedy.

#![allow(clippy::unwrap_used, reason = "a test that cannot set up its scene may panic")]

use towpath_resource::{AnyManifest, AnyResource, Fault, Kind, ReleaseWhen, StartFrom, parse_documents};

const FLEET: &str = r#"
apiVersion: towpath/v1
kind: Site
metadata:
  name: plant
  labels: {country: de}
spec: {description: The old hall}
---
apiVersion: towpath/v1
kind: Source
metadata: {name: erp-files}
spec:
  agent: plant-1
  adapter: file
  config:
    path: /srv/erp/out
    files: [{include: ["*.csv"], stream: erp.orders, postcode: 01067}]
  capture: {max_rows: 1000, linger: 50ms}
  release: spool
---
---
{"apiVersion": "towpath/v1", "kind": "Route", "metadata": {"name": "orders"},
 "spec": {"streams": ["erp.**"], "sink": "crm", "from": {"offset": 7}}}
"#;

fn faults(text: &str) -> Vec<Fault> {
    parse_documents(text).unwrap().remove(0).manifest.unwrap_err()
}

fn source(spec: &str) -> String {
    let spec = spec.replace('\n', "\n  ");
    format!("apiVersion: towpath/v1\nkind: Source\nmetadata: {{name: erp}}\nspec:\n  {spec}\n")
}

#[test]
fn several_documents_of_yaml_and_json_are_read_from_one_text() {
    let documents = parse_documents(FLEET).unwrap();
    let manifests: Vec<_> = documents.iter().map(|d| d.manifest.as_ref().unwrap()).collect();
    let kinds: Vec<_> = manifests.iter().map(|m| m.kind()).collect();
    assert_eq!(kinds, [Kind::Site, Kind::Source, Kind::Route]);
    assert_eq!(documents[1].subject, "source erp-files");
    assert_eq!(documents[1].place.line, 9);
    let AnyManifest::Source(source) = manifests[1] else { panic!("{manifests:?}") };
    assert_eq!(source.spec.release, ReleaseWhen::Spool);
    assert_eq!((source.spec.capture.max_rows, source.spec.capture.max_bytes.0), (1_000, 4 << 20));
    assert_eq!(source.spec.config["files"][0]["postcode"], "01067", "leading zeros are kept");
    let AnyManifest::Route(route) = manifests[2] else { panic!("{manifests:?}") };
    assert_eq!(route.spec.from, StartFrom::Offset(towpath_record::LogOffset(7)));
}

#[test]
fn every_fault_of_a_document_is_found_at_once_with_its_line_and_the_nearest_valid_key() {
    let text = source(
        "agnt: plant-1\nadapter: File\nconfig: {path: /x}\ncapture:\n  max_row: 5\n  linger: soon\nrelease: disk",
    );
    let faults = faults(&text);
    let shown: Vec<_> = faults.iter().map(|f| (f.path.as_str(), f.place.unwrap().line)).collect();
    assert_eq!(
        shown,
        [
            ("spec.adapter", 6),
            ("spec.agent", 4),
            ("spec.agnt", 5),
            ("spec.capture.linger", 10),
            ("spec.capture.max_row", 9),
            ("spec.release", 11),
        ],
        "{faults:#?}"
    );
    assert_eq!(faults[1].message, "is missing");
    assert!(faults[2].message.ends_with("did you mean `agent`?"));
    assert!(faults[3].message.contains("250ms, 10s"));
    assert!(faults[4].message.ends_with("did you mean `max_rows`?"));
}

#[test]
fn values_out_of_range_and_written_secrets_are_refused() {
    let text = source(
        "agent: a\nadapter: postgres\nconfig: {password: hunter2}\ncapture: {max_rows: 0, max_bytes: 1GiB, linger: 2h}",
    );
    let paths: Vec<_> = faults(&text).into_iter().map(|f| f.path).collect();
    assert_eq!(
        paths,
        ["spec.capture.linger", "spec.capture.max_bytes", "spec.capture.max_rows", "spec.config.password"]
    );
}

#[test]
fn the_envelope_is_checked_too() {
    let faults = faults("apiVersion: towpath/v2\nkind: Sorce\nmetadata: {name: Über}\nspecs: {}\n");
    let paths: Vec<_> = faults.iter().map(|f| f.path.as_str()).collect();
    assert_eq!(paths, ["specs"]);
    assert!(faults[0].message.ends_with("did you mean `spec`?"), "{faults:?}");
    let faults = self::faults("apiVersion: towpath/v2\nkind: Sorce\nmetadata: {name: Über}\n");
    let paths: Vec<_> = faults.iter().map(|f| f.path.as_str()).collect();
    assert_eq!(paths, ["apiVersion", "kind", "metadata.name"]);
    assert!(faults[1].message.contains("did you mean `source`?"));
}

#[test]
fn a_list_item_at_fault_is_named_by_its_index() {
    let text = "apiVersion: towpath/v1\nkind: Route\nmetadata: {name: r}\nspec:\n  sink: crm\n  streams:\n    - erp.a\n    - erp/b\n";
    let faults = faults(text);
    assert_eq!(
        (faults[0].path.as_str(), faults[0].place.unwrap().line),
        ("spec.streams[1]", 8),
        "{faults:?}"
    );
    assert_eq!(faults.len(), 1);
}

#[test]
fn what_is_not_yaml_is_refused_with_its_place() {
    let error = parse_documents("kind: Site\nmetadata: {name: [}\n").unwrap_err();
    assert_eq!(error.place.line, 2, "{error}");
    assert!(error.to_string().starts_with("line 2, column "), "{error}");
    assert!(parse_documents("kind: Site\nkind: Sink\n").is_err(), "a repeated key is not guessed at");
}

#[test]
fn hostile_yaml_is_refused_and_does_not_exhaust_memory() {
    let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for n in 1..12 {
        let refs = vec![format!("*a{}", n - 1); 10].join(", ");
        bomb.push_str(&format!("a{n}: &a{n} [{refs}]\n"));
    }
    assert!(parse_documents(&bomb).is_err());
    for nested in ["[", "{a: ", "{\"a\":", "[{\"a\":", "- ", "? "] {
        assert!(parse_documents(&nested.repeat(100_000)).is_err(), "{nested}");
    }
}

#[test]
fn what_is_shown_can_be_applied_again() {
    let document = parse_documents(FLEET).unwrap().remove(0);
    let Ok(AnyManifest::Site(site)) = document.manifest else { panic!("{document:?}") };
    let resource = towpath_resource::Resource {
        id: towpath_record::SiteId::from_bytes([7; 16]),
        generation: 4,
        created_at: jiff::Timestamp::UNIX_EPOCH,
        updated_at: jiff::Timestamp::UNIX_EPOCH,
        metadata: site.metadata.clone(),
        spec: site.spec.clone(),
    };
    let mut shown = serde_json::to_value(AnyResource::from(resource.clone())).unwrap();
    shown["status"] = serde_json::json!({"agents": 3});
    let back: AnyResource = serde_json::from_value(shown.clone()).unwrap();
    assert_eq!(back, AnyResource::from(resource));
    let again = parse_documents(&serde_saphyr::to_string(&shown).unwrap()).unwrap().remove(0);
    assert_eq!(again.manifest.unwrap(), AnyManifest::Site(site));
}
