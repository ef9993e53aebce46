//! Why something becomes of a field, rule by rule.

use std::collections::BTreeSet;

use proptest::prelude::*;
use towpath_policy::{NamedPolicy, Place, Reason, Rulebook, Standing};
use towpath_record::{Column, ColumnType, RegionName, ResourceName, StreamName};
use towpath_resource::{AnyManifest, Class, parse_documents};

fn rulebook(rules: &str) -> Rulebook {
    let text = format!(
        "{{apiVersion: towpath/v1, kind: Policy, metadata: {{name: p}}, spec: {{streams: [crm.**], classify: [\
         {{fields: [email], classes: [pii.email, secret]}}, {{fields: ['*mail'], classes: [pii]}}], rules: [{rules}]}}}}"
    );
    match parse_documents(&text).unwrap().remove(0).manifest {
        Ok(AnyManifest::Policy(policy)) => {
            Rulebook::new([NamedPolicy { name: policy.metadata.name, spec: policy.spec }]).unwrap()
        }
        other => panic!("{other:?}"),
    }
}

fn stream() -> StreamName {
    StreamName::new("crm.people").unwrap()
}

fn standings(rulebook: &Rulebook, classes: &[&str]) -> Vec<Standing> {
    let (region, classes) =
        (RegionName::main(), classes.iter().map(|class| Class::new(*class).unwrap()).collect());
    let all = rulebook.considered(&stream(), &classes, Place { region: &region, purpose: None });
    all.into_iter().map(|one| one.standing).collect()
}

#[test]
fn every_rule_that_does_not_count_says_why() {
    let rules = rulebook(
        "{classes: [health], then: drop}, {classes: ['pii.*'], streams: [crm.orders], then: drop}, \
         {classes: ['pii.*'], regions: [us], then: drop}, {classes: ['pii.*'], purposes: [billing], then: drop}, \
         {classes: ['pii.*'], then: allow}, {classes: [pii.email], then: {mask: domain}}, {classes: [secret], then: drop}",
    );
    let by = |rule| Standing::Yields { policy: ResourceName::new("p").unwrap(), rule };
    let expected = [
        Standing::OtherClasses,
        Standing::OtherStreams,
        Standing::OtherRegions,
        Standing::OtherPurposes,
        by(6),
        Standing::Counts,
        Standing::OtherClasses,
    ];
    assert_eq!(standings(&rules, &["pii.email"]), expected);
    let outdone = Standing::OutdoneByClass(Class::new("secret").unwrap());
    assert_eq!(standings(&rules, &["pii.email", "secret"])[5..], [outdone, Standing::Counts]);
}

#[test]
fn rules_that_contradict_each_other_are_both_named() {
    let rules = rulebook("{classes: [secret], then: {mask: all}}, {classes: [secret], then: {mask: domain}}");
    assert_eq!(standings(&rules, &["secret"]), [Standing::Contradicts, Standing::Contradicts]);
}

#[test]
fn whoever_gave_a_class_is_named() {
    let column = Column { class: Some("health".into()), ..Column::nullable("email", ColumnType::String) };
    let origins = rulebook("{classes: ['*'], then: drop}").origins(&stream(), &column);
    let said: Vec<_> = origins
        .iter()
        .map(|origin| (origin.policy.as_ref().map(|(_, number)| *number), origin.classes.len()))
        .collect();
    assert_eq!(said, [(None, 1), (Some(1), 2), (Some(2), 1)]);
}

proptest! {
    #[test]
    fn what_is_said_to_count_is_what_was_decided(
        rules in proptest::collection::vec(("(pii|pii\\.\\*|pii\\.email|secret|\\*)", "(allow|drop|block|\\{mask: all\\})"), 1..8),
        classes in proptest::collection::btree_set("(pii|pii\\.email|secret|health)", 0..4),
    ) {
        let rules: Vec<_> =
            rules.iter().map(|(class, then)| format!("{{classes: ['{class}'], then: {then}}}")).collect();
        let rules = rulebook(&rules.join(", "));
        let classes: BTreeSet<_> = classes.into_iter().map(|class| Class::new(class).unwrap()).collect();
        let region = RegionName::main();
        let place = Place { region: &region, purpose: None };
        let considered = rules.considered(&stream(), &classes, place);
        let counting: Vec<_> =
            considered.iter().filter(|one| one.standing == Standing::Counts).map(|one| one.rule).collect();
        match rules.decide(&stream(), &classes, place).reason {
            Reason::Rule { rule, .. } => prop_assert_eq!(counting, [rule]),
            _ => prop_assert!(counting.is_empty()),
        }
    }
}
