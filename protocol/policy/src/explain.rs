//! Why something becomes of a field: where its classes come from, and what was made of every rule.
//!
//! Nothing is decided here. What counts is what [`Rulebook::decide`] says; this says of each other rule why it does not.

use std::collections::BTreeSet;
use std::fmt;

use towpath_record::{Column, ResourceName, StreamName};
use towpath_resource::{Class, Rule, Treatment};

use crate::decide::{Place, Reason, specificity};
use crate::rulebook::Rulebook;

/// Who said which classes a field has.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Origin {
    /// The policy, and the number of the classification in it, from 1. None if the source said it.
    pub policy: Option<(ResourceName, usize)>,
    /// The classes. None says that it needs no protection.
    pub classes: BTreeSet<Class>,
}

/// A rule that was looked at for a field, and what was made of it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Considered {
    /// The policy.
    pub policy: ResourceName,
    /// The number of the rule in it, from 1.
    pub rule: usize,
    /// What it would make of the field.
    pub then: Treatment,
    /// What was made of it.
    pub standing: Standing,
}

/// What was made of a rule.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Standing {
    /// It counts.
    Counts,
    /// It says something else than another that is equally special and equally strict, so that nothing passes.
    Contradicts,
    /// It is for other classes.
    OtherClasses,
    /// It is for other streams.
    OtherStreams,
    /// It is for other regions.
    OtherRegions,
    /// It is for other purposes.
    OtherPurposes,
    /// Another names the stream, the class, the region or the purpose more closely, or is as special and stricter: the
    /// policy, and the number of the rule in it.
    Yields {
        /// The policy of the other.
        policy: ResourceName,
        /// Its number, from 1.
        rule: usize,
    },
    /// It counts for one class of the field, and for another class something stricter does.
    OutdoneByClass(Class),
}

impl fmt::Display for Standing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Counts => f.write_str("it counts"),
            Self::Contradicts => f.write_str("it contradicts another that is as special and as strict"),
            Self::OtherClasses => f.write_str("it is for other classes"),
            Self::OtherStreams => f.write_str("it is for other streams"),
            Self::OtherRegions => f.write_str("it is for other regions"),
            Self::OtherPurposes => f.write_str("it is for other purposes"),
            Self::Yields { policy, rule } => {
                write!(f, "rule {rule} of policy {policy} is more special, or as special and stricter")
            }
            Self::OutdoneByClass(class) => write!(f, "class {class} of the field asks for more"),
        }
    }
}

impl Rulebook {
    /// The policies that cover a stream, by name.
    pub fn names_covering<'a>(&'a self, stream: &'a StreamName) -> impl Iterator<Item = &'a ResourceName> {
        self.covering(stream).map(|one| &one.policy.name)
    }

    /// Who said what of a field.
    pub fn origins(&self, stream: &StreamName, column: &Column) -> Vec<Origin> {
        let said = column.class.iter().map(|classes| Origin {
            policy: None,
            classes: classes.split(',').filter_map(|class| Class::new(class.trim()).ok()).collect(),
        });
        let policies = self.covering(stream).flat_map(|policy| {
            policy.classifications(stream, &column.name).map(|(number, one)| Origin {
                policy: Some((policy.policy.name.clone(), number)),
                classes: one.classes.iter().cloned().collect(),
            })
        });
        said.chain(policies).collect()
    }

    /// Every rule of the policies that cover the stream, with what was made of it for a field with these classes.
    pub fn considered(
        &self,
        stream: &StreamName,
        classes: &BTreeSet<Class>,
        place: Place<'_>,
    ) -> Vec<Considered> {
        let decided = self.decide(stream, classes, place).reason;
        let mut all = Vec::new();
        for policy in self.covering(stream) {
            for (n, rule) in policy.policy.spec.rules.iter().enumerate() {
                let named = (policy.policy.name.clone(), n + 1);
                let standing = self.standing(stream, classes, place, &decided, &named, rule);
                let (policy, number) = named;
                all.push(Considered { policy, rule: number, then: rule.then.clone(), standing });
            }
        }
        all
    }

    fn standing(
        &self,
        stream: &StreamName,
        classes: &BTreeSet<Class>,
        place: Place<'_>,
        decided: &Reason,
        named: &(ResourceName, usize),
        rule: &Rule,
    ) -> Standing {
        match decided {
            Reason::Rule { policy, rule, .. } if (policy, rule) == (&named.0, &named.1) => {
                return Standing::Counts;
            }
            Reason::Conflict { one, other, .. } if one == named || other == named => {
                return Standing::Contradicts;
            }
            _ => {}
        }
        let mut yields_to = None;
        for class in classes.iter().filter(|class| specificity(rule, stream, class, place).is_some()) {
            match self.decide_class(stream, class, place).reason {
                // It would count, were it for this class alone.
                Reason::Rule { policy, rule, .. } if (&policy, rule) == (&named.0, named.1) => {
                    return Standing::OutdoneByClass(class_of(decided).unwrap_or(class).clone());
                }
                Reason::Rule { policy, rule, .. } | Reason::Conflict { one: (policy, rule), .. } => {
                    yields_to.get_or_insert(Standing::Yields { policy, rule });
                }
                _ => {}
            }
        }
        yields_to.unwrap_or_else(|| not_for_this(rule, stream, classes, place))
    }
}

fn class_of(reason: &Reason) -> Option<&Class> {
    match reason {
        Reason::Rule { class, .. } | Reason::NoRule { class } | Reason::Conflict { class, .. } => Some(class),
        Reason::Harmless | Reason::Free | Reason::NewField { .. } => None,
    }
}

/// Why a rule is not for a field here.
fn not_for_this(rule: &Rule, stream: &StreamName, classes: &BTreeSet<Class>, place: Place<'_>) -> Standing {
    let of_class = classes.iter().any(|class| rule.classes.iter().any(|pattern| pattern.matches(class)));
    if !of_class {
        Standing::OtherClasses
    } else if !rule.streams.is_empty() && !rule.streams.iter().any(|pattern| pattern.matches(stream)) {
        Standing::OtherStreams
    } else if !rule.regions.is_empty() && !rule.regions.contains(place.region) {
        Standing::OtherRegions
    } else {
        Standing::OtherPurposes
    }
}
