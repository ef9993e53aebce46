//! What may stand where, as policies say it.

#![allow(clippy::unwrap_used, reason = "a test that cannot set up its scene may panic")]

mod oracle;
mod explain;

use towpath_policy::{NamedPolicy, Place, Reason, Rulebook, check_border};
use towpath_record::{Column, ColumnType, RegionName, StreamName, StreamSchema};
use towpath_resource::{AnyManifest, Treatment, parse_documents};

fn policy(name: &str, spec: &str) -> NamedPolicy {
    let text = format!("{{apiVersion: towpath/v1, kind: Policy, metadata: {{name: {name}}}, spec: {spec}}}");
    match parse_documents(&text).unwrap().remove(0).manifest {
        Ok(AnyManifest::Policy(policy)) => NamedPolicy { name: policy.metadata.name, spec: policy.spec },
        other => panic!("{other:?}"),
    }
}

fn rulebook(specs: &[&str]) -> Rulebook {
    let policies = specs.iter().enumerate().map(|(n, spec)| policy(&format!("p{}", n + 1), spec));
    Rulebook::new(policies).unwrap()
}

fn stream() -> StreamName {
    StreamName::new("crm.people").unwrap()
}

fn region(name: &str) -> RegionName {
    RegionName::new(name).unwrap()
}

/// What becomes of a field of text with this name in this region, and why.
fn fate(rulebook: &Rulebook, field: &str, at: &str, purpose: Option<&str>) -> (Treatment, Reason) {
    let column = Column::nullable(field, ColumnType::String);
    let region = region(at);
    let plan = rulebook.field(&stream(), &column, Place { region: &region, purpose });
    (plan.decision.treatment, plan.decision.reason)
}

fn word(rulebook: &Rulebook, field: &str, at: &str) -> String {
    fate(rulebook, field, at, None).0.to_string()
}

const CUSTOMERS: &str = r#"{
    streams: [crm.**],
    classify: [
        {fields: [email, "*_mail"], classes: [pii.email]},
        {fields: [name], classes: [pii.name]},
        {fields: [id], classes: []}],
    rules: [
        {classes: ["pii.*"], regions: [eu], then: allow},
        {classes: [pii.email], then: {mask: domain}},
        {classes: ["pii.*"], then: drop}]}"#;

#[test]
fn the_most_special_rule_counts() {
    let rules = rulebook(&[CUSTOMERS]);
    assert_eq!(word(&rules, "email", "us"), "mask domain");
    assert_eq!(word(&rules, "Work_Mail", "us"), "mask domain");
    assert_eq!(word(&rules, "name", "us"), "drop");
    assert_eq!(word(&rules, "name", "eu"), "allow");
    assert_eq!(word(&rules, "email", "eu"), "mask domain", "the class comes before the region");
    assert_eq!(word(&rules, "id", "us"), "allow");
}

#[test]
fn a_field_that_nobody_knows_is_held_unless_the_policy_says_otherwise() {
    let held = rulebook(&[CUSTOMERS]);
    assert_eq!(word(&held, "shoe_size", "eu"), "block");
    assert!(fate(&held, "shoe_size", "eu", None).1.to_string().contains("new fields are held"));
    let dropped = rulebook(&["{streams: [crm.**], on_new_field: drop, rules: []}"]);
    assert_eq!(word(&dropped, "shoe_size", "eu"), "drop");
    let strictest = rulebook(&["{streams: [crm.**], on_new_field: allow, rules: []}", CUSTOMERS]);
    assert_eq!(word(&strictest, "shoe_size", "eu"), "block");
}

#[test]
fn a_class_without_a_rule_is_blocked() {
    let rules =
        rulebook(&["{streams: ['**'], classify: [{fields: [iban], classes: [financial.iban]}], rules: []}"]);
    let (treatment, reason) = fate(&rules, "iban", "eu", None);
    assert_eq!(treatment, Treatment::Block);
    assert!(matches!(reason, Reason::NoRule { .. }));
}

#[test]
fn of_equally_special_rules_the_stricter_counts_and_a_contradiction_blocks() {
    let rules = |one: &str, other: &str| {
        rulebook(&[
            &format!(
                "{{streams: ['**'], classify: [{{fields: [x], classes: [health]}}], rules: [{{classes: [health], then: {one}}}]}}"
            ),
            &format!("{{streams: ['**'], rules: [{{classes: [health], then: {other}}}]}}"),
        ])
    };
    assert_eq!(word(&rules("allow", "drop"), "x", "eu"), "drop");
    assert_eq!(word(&rules("{mask: all}", "{mask: all}"), "x", "eu"), "mask all");
    let (treatment, reason) = fate(&rules("{mask: all}", "{mask: domain}"), "x", "eu", None);
    assert_eq!(treatment, Treatment::Block);
    assert!(reason.to_string().contains("contradict"), "{reason}");
}

#[test]
fn what_is_stricter_than_a_contradiction_still_counts() {
    let rules =
        rulebook(&["{streams: ['**'], classify: [{fields: [x], classes: [pii.email, pii.name, secret]}],
        rules: [{classes: [pii.email], then: {mask: all}}, {classes: [pii.name], then: {mask: domain}},
            {classes: [secret], then: drop}]}"]);
    assert_eq!(word(&rules, "x", "eu"), "drop");
}

#[test]
fn a_rule_for_a_purpose_counts_for_that_purpose_only() {
    let rules = rulebook(&["{streams: ['**'], classify: [{fields: [x], classes: [health]}],
        rules: [{classes: [health], purposes: [care], then: allow}, {classes: [health], then: drop}]}"]);
    assert_eq!(fate(&rules, "x", "eu", Some("care")).0, Treatment::Allow);
    assert_eq!(fate(&rules, "x", "eu", Some("marketing")).0, Treatment::Drop);
    assert_eq!(fate(&rules, "x", "eu", None).0, Treatment::Drop);
}

fn people() -> StreamSchema {
    let text = |name: &str| Column::nullable(name, ColumnType::String);
    let before = ColumnType::Struct(vec![text("id"), text("email"), text("name")]);
    let columns = vec![text("id"), text("email"), text("name"), Column::nullable("_before", before)];
    StreamSchema::new(columns, vec!["id".to_owned()]).unwrap()
}

#[test]
fn what_may_stand_says_how_every_field_was_treated_and_so_does_the_row_before_a_change() {
    let (rules, us) = (rulebook(&[CUSTOMERS]), region("us"));
    let place = Place { region: &us, purpose: None };
    let shape = rules.shape(&stream(), &people(), place).unwrap();
    let left: Vec<_> = shape.schema.columns().iter().map(|c| (&*c.name, c.treatment.as_deref())).collect();
    assert_eq!(left, [("id", None), ("email", Some("mask domain")), ("_before", None)]);
    let ColumnType::Struct(before) = &shape.schema.columns()[2].column_type else { panic!() };
    assert_eq!(before.iter().map(|c| &*c.name).collect::<Vec<_>>(), ["id", "email"]);
    assert_eq!(shape.schema.columns()[1].class.as_deref(), Some("pii.email"));
}

#[test]
fn the_border_takes_what_was_treated_and_refuses_what_was_not() {
    let (rules, us, eu) = (rulebook(&[CUSTOMERS]), region("us"), region("eu"));
    let at = |region| Place { region, purpose: None };
    let shape = rules.shape(&stream(), &people(), at(&us)).unwrap();
    check_border(&rules, &stream(), &shape.schema, at(&us)).unwrap();
    let said = check_border(&rules, &stream(), &people(), at(&us)).unwrap_err().to_string();
    assert!(said.contains("`email`") && said.contains("`mask domain`"), "{said}");
    let for_eu = rules.shape(&stream(), &people(), at(&eu)).unwrap();
    assert!(check_border(&rules, &stream(), &for_eu.schema, at(&us)).is_err());
}

#[test]
fn a_field_that_hides_in_the_row_before_a_change_is_found() {
    let (rules, us) = (rulebook(&[CUSTOMERS]), region("us"));
    let place = Place { region: &us, purpose: None };
    let shape = rules.shape(&stream(), &people(), place).unwrap();
    let mut columns = shape.schema.columns().to_vec();
    columns[2] = people().columns()[3].clone();
    let hiding = StreamSchema::new(columns, vec!["id".to_owned()]).unwrap();
    assert!(check_border(&rules, &stream(), &hiding, place).is_err());
}

/// What is said of the only field of a stream, `x`, when this becomes of it.
fn refusal(then: &str, of: ColumnType, is_key: bool) -> String {
    let rules = rulebook(&[&format!(
        "{{streams: ['**'], classify: [{{fields: [x], classes: [health]}}], rules: [{{classes: [health], then: {then}}}]}}"
    )]);
    let key = if is_key { vec!["x".to_owned()] } else { Vec::new() };
    let schema = StreamSchema::new(vec![Column::nullable("x", of)], key).unwrap();
    let us = region("us");
    let shape = rules.shape(&stream(), &schema, Place { region: &us, purpose: None });
    shape.map_or_else(|faults| faults[0].to_string(), |_| String::new())
}

#[test]
fn a_key_is_never_made_such_that_rows_cannot_be_told_apart() {
    for then in ["drop", "{mask: all}", "{mask: {keep_last: 4}}", "{bucket: {width: 10}}"] {
        let said = refusal(then, ColumnType::Int32, true);
        assert!(said.contains("part of the key") && said.contains("hashed or tokenised"), "{then}: {said}");
        assert!(!refusal(then, ColumnType::Int32, false).contains("part of the key"), "{then}");
    }
    for then in ["allow", "{hash: {key: '${env:K}'}}", "{tokenise: {key: '${env:K}'}}"] {
        assert_eq!(refusal(then, ColumnType::String, true), "", "{then}");
    }
}

#[test]
fn a_value_that_cannot_be_treated_so_is_named() {
    let said = refusal("{bucket: month}", ColumnType::Int32, false);
    assert!(said.contains("bucket month") && said.contains("choose another"), "{said}");
    let said = refusal("{encrypt: {to: reader}}", ColumnType::String, false);
    assert!(said.contains("not offered by this version"), "{said}");
}

#[test]
fn a_field_that_merely_has_the_name_of_a_change_is_a_field_like_any_other() {
    let rules = rulebook(&["{streams: ['**'], rules: []}"]);
    let us = region("us");
    let place = Place { region: &us, purpose: None };
    for name in ["_before", "_unchanged"] {
        let schema = StreamSchema::new(vec![Column::nullable(name, ColumnType::String)], vec![]).unwrap();
        let said = rules.shape(&stream(), &schema, place).unwrap_err()[0].to_string();
        assert!(said.contains(name) && said.contains("new fields are held"), "{said}");
        assert!(check_border(&rules, &stream(), &schema, place).is_err());
    }
}

#[test]
fn a_row_before_a_change_of_which_nothing_is_left_is_left_out() {
    let rules = rulebook(&["{streams: ['**'], on_new_field: drop, rules: []}"]);
    let us = region("us");
    let shape = |columns| {
        let schema = StreamSchema::new(columns, vec![]).unwrap();
        rules.shape(&stream(), &schema, Place { region: &us, purpose: None }).unwrap()
    };
    let secret = Column::nullable("secret", ColumnType::String);
    let before = Column::nullable("_before", ColumnType::Struct(vec![secret.clone()]));
    assert_eq!(shape(vec![secret, before]).schema.columns(), []);
}

#[test]
fn a_filter_that_cannot_be_used_is_named_with_its_policy() {
    let broken = policy("broken", "{streams: ['**'], rules: [], filter: 'country =='}");
    let said = Rulebook::new([broken]).unwrap_err().to_string();
    assert!(said.contains("policy broken") && said.contains("line 1"), "{said}");
}

#[test]
fn a_field_that_a_filter_cannot_read_is_named_before_any_row_comes() {
    let filter = "row.span == null || row.city == 'Ulm' || has(row.zip)";
    let rules = rulebook(&[&format!("{{streams: ['**'], rules: [], filter: \"{filter}\"}}")]);
    let schema = StreamSchema::new(vec![Column::nullable("span", ColumnType::Interval)], vec![]).unwrap();
    let faults = rules.filter_faults(&stream(), &schema, &region("us"));
    let said: Vec<_> = faults.iter().map(ToString::to_string).collect();
    assert_eq!(said.len(), 2, "{said:?}");
    assert!(said[0].contains("`city`") && said[0].contains("it is not there"), "{said:?}");
    assert!(said[1].contains("`span`") && said[1].contains("type interval"), "{said:?}");
}

#[test]
fn what_no_policy_covers_is_free() {
    let rules = rulebook(&["{streams: [erp.**], rules: []}"]);
    assert_eq!(fate(&rules, "anything", "us", None), (Treatment::Allow, Reason::Free));
}
