//! What an admin writes.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::ser::SerializeStruct;
use serde::{Deserialize, Serialize, Serializer};
use towpath_record::ResourceName;

use crate::fault::{Faults, Invalid};
use crate::kinds::any_of_each;
use crate::spec::Spec;
use crate::{each_kind, with_kinds};

/// The version of the resource model, as manifests name it.
pub const API_VERSION: &str = "towpath/v1";

const MOST_LABELS: usize = 64;
const LONGEST_LABEL_KEY: usize = 63;
const LONGEST_LABEL_VALUE: usize = 256;
/// What a label's key looks like, as a regular expression of JSON Schema.
const LABEL_KEY: &str = "^[A-Za-z0-9_./-]{1,63}$";

/// What an admin says of a resource.
#[derive(Clone, PartialEq, Debug)]
pub struct Manifest<S> {
    /// Its name and labels.
    pub metadata: Metadata,
    /// What it shall be.
    pub spec: S,
}

/// What resources of all kinds have.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Metadata {
    /// The name, unique within the kind: up to 63 lower-case letters, digits and `-`.
    pub name: ResourceName,
    /// Words of the admin's own, for sorting and searching.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = MOST_LABELS, "propertyNames" = { "pattern": LABEL_KEY }))]
    #[schemars(extend("additionalProperties" = { "type": "string", "maxLength": LONGEST_LABEL_VALUE }))]
    pub labels: BTreeMap<String, String>,
}

with_kinds!({any_of_each} [
    /// A manifest of any kind.
    AnyManifest Manifest
]);

impl<S: Spec> Manifest<S> {
    /// A manifest without labels.
    pub fn new(name: ResourceName, spec: S) -> Self {
        Self { metadata: Metadata { name, labels: BTreeMap::new() }, spec }
    }

    /// How messages name it: `source erp-files`.
    pub fn subject(&self) -> String {
        format!("{} {}", S::KIND, self.metadata.name)
    }

    /// Whether it is right in itself. Whether what it refers to exists, the catalog knows.
    ///
    /// # Errors
    /// [`Invalid`] names each field that is not.
    pub fn check(&self) -> Result<(), Invalid> {
        let mut faults = Faults::default();
        self.check_into(&mut faults);
        faults.into_result(self.subject())
    }

    pub(crate) fn check_into(&self, faults: &mut Faults) {
        let labels = &self.metadata.labels;
        faults.require(labels.len() <= MOST_LABELS, "metadata.labels", || {
            format!("has {} labels; at most {MOST_LABELS} are allowed", labels.len())
        });
        for (key, value) in labels {
            let path = format!("metadata.labels.{key}");
            let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.' | b'/');
            let key_is_good = !key.is_empty() && key.len() <= LONGEST_LABEL_KEY && key.bytes().all(plain);
            faults.require(key_is_good, &path, || {
                format!("a label's key has 1 to {LONGEST_LABEL_KEY} letters, digits, `-`, `_`, `.` or `/`")
            });
            faults.require(value.chars().count() <= LONGEST_LABEL_VALUE, &path, || {
                format!("a label's value has at most {LONGEST_LABEL_VALUE} characters")
            });
        }
        S::check_name(&self.metadata.name, faults);
        self.spec.check(faults);
    }
}

impl AnyManifest {
    /// The name and labels.
    pub fn metadata(&self) -> &Metadata {
        each_kind!(self, Self::manifest => &manifest.metadata)
    }

    /// The name.
    pub fn name(&self) -> &ResourceName {
        &self.metadata().name
    }

    /// How messages name it: `source erp-files`.
    pub fn subject(&self) -> String {
        format!("{} {}", self.kind(), self.name())
    }

    /// Whether it is right in itself.
    ///
    /// # Errors
    /// As [`Manifest::check`].
    pub fn check(&self) -> Result<(), Invalid> {
        each_kind!(self, Self::manifest => manifest.check())
    }
}

impl<S: Spec> Serialize for Manifest<S> {
    fn serialize<Z: Serializer>(&self, serializer: Z) -> Result<Z::Ok, Z::Error> {
        let mut document = serializer.serialize_struct("Manifest", 4)?;
        document.serialize_field("apiVersion", API_VERSION)?;
        document.serialize_field("kind", S::KIND.as_str())?;
        document.serialize_field("metadata", &self.metadata)?;
        document.serialize_field("spec", &self.spec)?;
        document.end()
    }
}

impl Serialize for AnyManifest {
    fn serialize<Z: Serializer>(&self, serializer: Z) -> Result<Z::Ok, Z::Error> {
        each_kind!(self, Self::manifest => manifest.serialize(serializer))
    }
}
