//! Random policies: the decision is the one that an exhaustive, slower reading of the same words gives.

use proptest::prelude::*;
use towpath_policy::{NamedPolicy, Place, Rulebook};
use towpath_record::{Column, ColumnType, RegionName, ResourceName, StreamName};
use towpath_resource::{
    Class, ClassPattern, Classification, Mask, OnNewField, PolicySpec, Rule, StreamPattern, Treatment,
};

const CLASSES: [&str; 3] = ["pii.email", "pii.name", "health"];
const PATTERNS: [&str; 4] = ["*", "pii.*", "pii.email", "health"];
const REGIONS: [&str; 2] = ["eu", "us"];

fn treatment() -> impl Strategy<Value = Treatment> {
    prop_oneof![
        Just(Treatment::Allow),
        Just(Treatment::Mask(Mask::All)),
        Just(Treatment::Mask(Mask::Domain)),
        Just(Treatment::Drop),
        Just(Treatment::Block),
    ]
}

fn rule() -> impl Strategy<Value = Rule> {
    let some = |all: &'static [&'static str]| proptest::sample::subsequence(all, 0..=1);
    (proptest::sample::select(&PATTERNS[..]), some(&REGIONS), some(&["care"]), some(&["crm.*"]), treatment())
        .prop_map(|(class, regions, purposes, streams, then)| Rule {
            classes: vec![ClassPattern::new(class).unwrap()],
            streams: streams.into_iter().map(|one| StreamPattern::new(one).unwrap()).collect(),
            regions: regions.into_iter().map(|one| RegionName::new(one).unwrap()).collect(),
            purposes: purposes.into_iter().map(str::to_owned).collect(),
            then,
        })
}

fn policy() -> impl Strategy<Value = PolicySpec> {
    let classes = proptest::sample::subsequence(&CLASSES[..], 0..=2);
    (classes, proptest::collection::vec(rule(), 0..6)).prop_map(|(classes, rules)| PolicySpec {
        streams: vec![StreamPattern::new("crm.*").unwrap()],
        on_new_field: OnNewField::Allow,
        classify: vec![Classification {
            fields: vec!["x".to_owned()],
            classes: classes.into_iter().map(|one| Class::new(one).unwrap()).collect(),
            streams: Vec::new(),
        }],
        rules,
        filter: None,
        description: String::new(),
    })
}

/// The words of the documentation, read one after the other: for each class, what no other rule is more special than,
/// then what no other is stricter than; and nothing passes where what is left says different things.
fn reading(policies: &[PolicySpec], region: &str, purpose: Option<&str>) -> Treatment {
    let classes: Vec<&Class> = policies.iter().flat_map(|one| &one.classify[0].classes).collect();
    let rules: Vec<&Rule> = policies.iter().flat_map(|one| &one.rules).collect();
    let special = |rule: &Rule| {
        let class = match rule.classes[0].as_str() {
            "*" => 0,
            "pii.*" => 1,
            _ => 2,
        };
        [
            u8::from(!rule.streams.is_empty()),
            class,
            u8::from(!rule.regions.is_empty()),
            u8::from(!rule.purposes.is_empty()),
        ]
    };
    let mut fates = Vec::new();
    for class in classes {
        let applies = |rule: &&&Rule| {
            let here = rule.regions.is_empty() || rule.regions.iter().any(|one| one.as_str() == region);
            let so = rule.purposes.is_empty()
                || purpose.is_some_and(|one| rule.purposes.contains(&one.to_owned()));
            rule.classes[0].matches(class) && here && so
        };
        let mut left: Vec<&Rule> = rules.iter().filter(applies).copied().collect();
        let most = left.iter().map(|rule| special(rule)).max();
        left.retain(|rule| Some(special(rule)) == most);
        fates.push(strictest_of(left.into_iter().map(|rule| rule.then.clone()).collect(), Treatment::Block));
    }
    strictest_of(fates, Treatment::Allow)
}

fn strictest_of(mut fates: Vec<Treatment>, otherwise: Treatment) -> Treatment {
    let most = fates.iter().map(Treatment::strictness).max();
    fates.retain(|one| Some(one.strictness()) == most);
    fates.dedup();
    let agree = fates.windows(2).all(|pair| pair[0] == pair[1]);
    match fates.pop() {
        None => otherwise,
        Some(fate) if agree => fate,
        Some(_) => Treatment::Block,
    }
}

proptest! {
    #[test]
    fn the_decision_is_what_the_words_say(
        policies in proptest::collection::vec(policy(), 1..4),
        region in proptest::sample::select(&REGIONS[..]),
        purpose in proptest::option::of(Just("care")),
    ) {
        let named = policies.iter().enumerate().map(|(n, spec)| NamedPolicy {
            name: ResourceName::new(format!("p{n}")).unwrap(),
            spec: spec.clone(),
        });
        let rulebook = Rulebook::new(named).unwrap();
        let column = Column::nullable("x", ColumnType::String);
        let here = RegionName::new(region).unwrap();
        let place = Place { region: &here, purpose };
        let decided = rulebook.field(&StreamName::new("crm.people").unwrap(), &column, place).decision;
        prop_assert_eq!(decided.treatment, reading(&policies, region, purpose));
    }
}
