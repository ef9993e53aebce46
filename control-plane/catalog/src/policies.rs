//! What is checked of a policy before it is taken, beyond its form: once it is in force nobody may find that it cannot be
//! understood, or that a rule is for a region that there is not, which would leave the field to a weaker rule.

use towpath_policy::{Filter, NamedPolicy, Rulebook};
use towpath_record::RegionName;
use towpath_resource::{Faults, Manifest, PolicySpec};

/// Notes what is wrong with a policy.
pub(crate) fn check(policy: &Manifest<PolicySpec>, regions: &[&RegionName], faults: &mut Faults) {
    let spec = &policy.spec;
    for (n, one) in spec.classify.iter().enumerate() {
        let alone = PolicySpec { classify: vec![one.clone()], filter: None, ..spec.clone() };
        if let Err(error) = Rulebook::new([NamedPolicy { name: policy.metadata.name.clone(), spec: alone }]) {
            faults.add(format!("spec.classify[{n}].fields"), error.to_string());
        }
    }
    if let Some(Err(fault)) = spec.filter.as_deref().map(Filter::parse) {
        faults.add("spec.filter", fault.to_string());
    }
    for (n, rule) in spec.rules.iter().enumerate() {
        if let Some(unknown) = rule.regions.iter().find(|region| !regions.contains(region)) {
            let known: Vec<_> = regions.iter().map(|region| region.as_str()).collect();
            faults.add(
                format!("spec.rules[{n}].regions"),
                format!("region `{unknown}` is not known; this control plane knows: {}", known.join(", ")),
            );
        }
    }
}
