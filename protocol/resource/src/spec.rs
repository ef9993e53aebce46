//! What every kind has in common, and the rules between resources.

use std::fmt::{Debug, Display};

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::Serialize;
use serde::de::DeserializeOwned;
use towpath_record::{RegionName, ResourceName};
use uuid::Uuid;

use crate::fault::Faults;
use crate::kind::Kind;
use crate::nearest::nearest;

/// What an admin says of a resource of one kind.
pub trait Spec:
    Clone + PartialEq + Debug + Serialize + DeserializeOwned + JsonSchema + Send + Sync + 'static
{
    /// The identity of such a resource.
    type Id: Copy + Ord + Debug + Display + From<Uuid> + Serialize + DeserializeOwned + Send + Sync + 'static;

    /// The kind.
    const KIND: Kind;

    /// What a table of such resources shows beside their names: a title, and where the value stands in the resource as
    /// JSON (RFC 6901).
    const COLUMNS: &'static [(&'static str, &'static str)];

    /// One such resource as an admin writes it, in YAML.
    const EXAMPLE: &'static str;

    /// Notes what is wrong with it in itself. Paths begin with `spec.`.
    fn check(&self, faults: &mut Faults);

    /// Notes what is wrong with its name.
    fn check_name(name: &ResourceName, faults: &mut Faults) {
        let _ = (name, faults);
    }

    /// Notes what must not change while the resource lives.
    fn check_change(&self, before: &Self, faults: &mut Faults) {
        let _ = (before, faults);
    }

    /// What it refers to.
    fn references(&self) -> Vec<Reference> {
        Vec::new()
    }

    /// The JSON Schema of what is observed of such a resource, if anything is.
    fn status_schema(generator: &mut SchemaGenerator) -> Option<Schema> {
        let _ = generator;
        None
    }

    /// The region it names, if it does.
    fn region(&self) -> Option<&RegionName> {
        None
    }
}

/// One resource named by another.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Reference {
    /// The field that names it.
    pub path: &'static str,
    /// The kind it must have.
    pub kind: Kind,
    /// Its name.
    pub name: ResourceName,
}

/// Knows which resources exist.
pub trait Lookup {
    /// Whether there is such a resource.
    fn has(&self, kind: Kind, name: &ResourceName) -> bool {
        self.names(kind).contains(&name)
    }

    /// The names of the resources of this kind.
    fn names(&self, kind: Kind) -> Vec<&ResourceName>;

    /// The regions in which sites may stand.
    fn regions(&self) -> Vec<&RegionName>;
}

/// Notes whatever the spec refers to and is not there.
pub fn check_references<S: Spec>(spec: &S, lookup: &impl Lookup, faults: &mut Faults) {
    for Reference { path, kind, name } in spec.references() {
        check_reference(path, kind, &name, lookup, faults);
    }
    if let Some(region) = spec.region() {
        let regions = lookup.regions();
        let known = || regions.iter().map(|region| region.as_str()).collect::<Vec<_>>().join(", ");
        faults.require(regions.contains(&region), "spec.region", || {
            format!("region `{region}` is not known; this control plane knows: {}", known())
        });
    }
}

/// Notes that something is referred to and not there.
pub fn check_reference(
    path: &str,
    kind: Kind,
    name: &ResourceName,
    lookup: &impl Lookup,
    faults: &mut Faults,
) {
    if lookup.has(kind, name) {
        return;
    }
    let names = lookup.names(kind);
    let near = nearest(name.as_str(), names.iter().map(|known| known.as_str()));
    let hint = near.map(|near| format!("; did you mean `{near}`?"));
    faults.add(path, format!("there is no {kind} `{name}`{}", hint.unwrap_or_else(|| missing_remedy(kind))));
}

fn missing_remedy(kind: Kind) -> String {
    match kind {
        Kind::Agent => "; enrol it first, with a token from `towpath token create --site SITE`".to_owned(),
        other => format!("; apply the {other} first, or together with this"),
    }
}
