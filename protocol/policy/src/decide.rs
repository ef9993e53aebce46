//! What becomes of a field at a place.
//!
//! For each of its classes the most special rule counts, over all policies that cover the stream; of rules that are
//! equally special the stricter one. Two that are equally special and equally strict but say different things contradict
//! each other, and then nothing passes. Over all classes of the field the strictest counts.

use std::collections::BTreeSet;
use std::fmt;

use towpath_record::{RegionName, ResourceName, StreamName};
use towpath_resource::{Class, OnNewField, Rule, Treatment};

use crate::rulebook::Rulebook;

/// Where a field would stand or go, and for what.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Place<'a> {
    /// The region of the log or sink.
    pub region: &'a RegionName,
    /// The purpose, as a route declares it. None where a log stores.
    pub purpose: Option<&'a str>,
}

/// What becomes of a field, and why.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Decision {
    /// What becomes of it.
    pub treatment: Treatment,
    /// Why.
    pub reason: Reason,
}

/// Why something becomes of a field.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Reason {
    /// It has no class, and that was declared.
    Harmless,
    /// No policy covers its stream.
    Free,
    /// Nobody knows the field.
    NewField {
        /// What policies say of such fields.
        rule: OnNewField,
    },
    /// A rule says so.
    Rule {
        /// The class it was applied for.
        class: Class,
        /// The policy.
        policy: ResourceName,
        /// The number of the rule in it, from 1.
        rule: usize,
    },
    /// No rule is for this class here.
    NoRule {
        /// The class.
        class: Class,
    },
    /// Two rules contradict each other.
    Conflict {
        /// The class.
        class: Class,
        /// The one rule: its policy, and its number from 1.
        one: (ResourceName, usize),
        /// The other.
        other: (ResourceName, usize),
    },
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Harmless => f.write_str("it was declared to have no class"),
            Self::NewField { rule: OnNewField::Hold } => {
                f.write_str("nobody said which classes it has, and new fields are held")
            }
            Self::NewField { .. } => f.write_str("nobody said which classes it has"),
            Self::Free => f.write_str("no policy covers its stream"),
            Self::Rule { class, policy, rule } => {
                write!(f, "rule {rule} of policy {policy} for class {class}")
            }
            Self::NoRule { class } => write!(f, "there is no rule for class {class} here"),
            Self::Conflict { class, one, other } => write!(
                f,
                "rule {} of policy {} and rule {} of policy {} contradict each other for class {class}",
                one.1, one.0, other.1, other.0
            ),
        }
    }
}

/// How special a rule is: one that names the stream more closely, then the class, then the region, then the purpose.
pub(crate) type Specificity = (bool, u32, bool, bool);

struct Candidate<'a> {
    specificity: Specificity,
    policy: &'a ResourceName,
    number: usize,
    rule: &'a Rule,
}

impl Rulebook {
    /// What becomes of a field with these classes. One without classes passes.
    pub fn decide(&self, stream: &StreamName, classes: &BTreeSet<Class>, place: Place<'_>) -> Decision {
        let passes = |reason| Decision { treatment: Treatment::Allow, reason };
        if !self.covers(stream) {
            return passes(Reason::Free);
        }
        let of_each: Vec<_> = classes.iter().map(|class| self.decide_class(stream, class, place)).collect();
        let most = of_each.iter().map(|one| one.treatment.strictness()).max();
        // Of those that say the same the first, so that the same policies always give the same reason.
        let mut strictest = of_each.into_iter().filter(|one| Some(one.treatment.strictness()) == most);
        let Some(first) = strictest.next() else { return passes(Reason::Harmless) };
        match strictest.find(|next| next.treatment != first.treatment) {
            Some(next) => contradiction(first, next),
            None => first,
        }
    }

    pub(crate) fn decide_class(&self, stream: &StreamName, class: &Class, place: Place<'_>) -> Decision {
        let candidates = self.candidates(stream, class, place);
        let Some(most) = candidates.iter().map(|one| one.specificity).max() else {
            return Decision { treatment: Treatment::Block, reason: Reason::NoRule { class: class.clone() } };
        };
        let mut best = candidates.iter().filter(|one| one.specificity == most);
        let first = best.next().expect("one of them is the most special");
        let (mut strictest, mut contradicts) = (first, None);
        for next in best {
            let (was, is) = (strictest.rule.then.strictness(), next.rule.then.strictness());
            if is > was {
                (strictest, contradicts) = (next, None);
            } else if is == was && next.rule.then != strictest.rule.then {
                contradicts = Some(next);
            }
        }
        let named = |one: &Candidate<'_>| (one.policy.clone(), one.number);
        if let Some(other) = contradicts {
            let reason =
                Reason::Conflict { class: class.clone(), one: named(strictest), other: named(other) };
            return Decision { treatment: Treatment::Block, reason };
        }
        let (policy, rule) = named(strictest);
        let reason = Reason::Rule { class: class.clone(), policy, rule };
        Decision { treatment: strictest.rule.then.clone(), reason }
    }

    fn candidates<'a>(
        &'a self,
        stream: &'a StreamName,
        class: &Class,
        place: Place<'_>,
    ) -> Vec<Candidate<'a>> {
        let mut found = Vec::new();
        for policy in self.covering(stream) {
            for (n, rule) in policy.policy.spec.rules.iter().enumerate() {
                if let Some(specificity) = specificity(rule, stream, class, place) {
                    found.push(Candidate { specificity, policy: &policy.policy.name, number: n + 1, rule });
                }
            }
        }
        found
    }
}

/// How special the rule is here, if it is for this at all.
pub(crate) fn specificity(
    rule: &Rule,
    stream: &StreamName,
    class: &Class,
    place: Place<'_>,
) -> Option<Specificity> {
    let class = rule.classes.iter().filter(|one| one.matches(class)).map(|one| one.specificity()).max()?;
    let of_stream = rule.streams.is_empty() || rule.streams.iter().any(|one| one.matches(stream));
    let of_region = rule.regions.is_empty() || rule.regions.contains(place.region);
    let of_purpose = rule.purposes.is_empty()
        || place.purpose.is_some_and(|purpose| rule.purposes.iter().any(|one| one == purpose));
    (of_stream && of_region && of_purpose).then_some((
        !rule.streams.is_empty(),
        class,
        !rule.regions.is_empty(),
        !rule.purposes.is_empty(),
    ))
}

/// Two decisions for two classes of one field, equally strict. They say different things, so neither can be kept to, and
/// nothing passes.
fn contradiction(first: Decision, next: Decision) -> Decision {
    match (first.reason, next.reason) {
        (Reason::Rule { class, policy, rule }, Reason::Rule { policy: other, rule: other_rule, .. }) => {
            let reason = Reason::Conflict { class, one: (policy, rule), other: (other, other_rule) };
            Decision { treatment: Treatment::Block, reason }
        }
        // What no rule decided is blocked, which is one treatment and contradicts nothing.
        (reason, _) => Decision { treatment: first.treatment, reason },
    }
}
