//! What the catalog keeps: a manifest with an identity and a history.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::de::Error as _;
use serde::ser::SerializeStruct;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;
use towpath_record::ResourceName;

use crate::kind::Kind;
use crate::kinds::any_of_each;
use crate::manifest::{API_VERSION, AnyManifest, Manifest, Metadata};
use crate::spec::Spec;
use crate::{each_kind, kind_of, with_kinds};

/// A manifest with an identity and a history.
#[derive(Clone, PartialEq, Debug)]
pub struct Resource<S: Spec> {
    /// Its identity: a resource that was deleted and created again under the same name has another.
    pub id: S::Id,
    /// The catalog's generation that made it as it is. It rises with every change.
    pub generation: u64,
    /// When it was created.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
    /// Its name and labels.
    pub metadata: Metadata,
    /// What it shall be.
    pub spec: S,
}

with_kinds!({any_of_each} [
    /// A resource of any kind.
    AnyResource Resource
]);

impl<S: Spec> Resource<S> {
    /// The name.
    pub fn name(&self) -> &ResourceName {
        &self.metadata.name
    }

    /// What an admin would write to get it.
    pub fn manifest(&self) -> Manifest<S> {
        Manifest { metadata: self.metadata.clone(), spec: self.spec.clone() }
    }
}

impl AnyResource {
    /// The name.
    pub fn name(&self) -> &ResourceName {
        each_kind!(self, Self::resource => resource.name())
    }

    /// Its name and labels.
    pub fn metadata(&self) -> &Metadata {
        each_kind!(self, Self::resource => &resource.metadata)
    }

    /// What an admin would write to get it.
    pub fn manifest(&self) -> AnyManifest {
        each_kind!(self, Self::resource => resource.manifest().into())
    }

    /// The catalog's generation that made it as it is.
    pub fn generation(&self) -> u64 {
        each_kind!(self, Self::resource => resource.generation)
    }

    /// How messages name it: `source erp-files`.
    pub fn subject(&self) -> String {
        format!("{} {}", self.kind(), self.name())
    }
}

#[derive(Serialize, Deserialize)]
struct Stamped<I> {
    name: ResourceName,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    labels: BTreeMap<String, String>,
    id: I,
    generation: u64,
    created_at: Timestamp,
    updated_at: Timestamp,
}

impl<S: Spec> Serialize for Resource<S> {
    fn serialize<Z: Serializer>(&self, serializer: Z) -> Result<Z::Ok, Z::Error> {
        let metadata = Stamped {
            name: self.metadata.name.clone(),
            labels: self.metadata.labels.clone(),
            id: self.id,
            generation: self.generation,
            created_at: self.created_at,
            updated_at: self.updated_at,
        };
        let mut document = serializer.serialize_struct("Resource", 4)?;
        document.serialize_field("apiVersion", API_VERSION)?;
        document.serialize_field("kind", S::KIND.as_str())?;
        document.serialize_field("metadata", &metadata)?;
        document.serialize_field("spec", &self.spec)?;
        document.end()
    }
}

impl Serialize for AnyResource {
    fn serialize<Z: Serializer>(&self, serializer: Z) -> Result<Z::Ok, Z::Error> {
        each_kind!(self, Self::resource => resource.serialize(serializer))
    }
}

/// What was stored. A status, which the API adds when it shows a resource, is passed over.
#[derive(Deserialize)]
struct Stored {
    #[serde(rename = "apiVersion")]
    api_version: String,
    kind: Kind,
    metadata: Value,
    spec: Value,
}

impl Stored {
    fn checked(self) -> Result<Self, String> {
        if self.api_version == API_VERSION {
            return Ok(self);
        }
        Err(format!("apiVersion `{}` is not known here; upgrade this program", self.api_version))
    }

    fn assemble<S: Spec>(self) -> Result<Resource<S>, serde_json::Error> {
        let stamped: Stamped<S::Id> = serde_json::from_value(self.metadata)?;
        Ok(Resource {
            id: stamped.id,
            generation: stamped.generation,
            created_at: stamped.created_at,
            updated_at: stamped.updated_at,
            metadata: Metadata { name: stamped.name, labels: stamped.labels },
            spec: serde_json::from_value(self.spec)?,
        })
    }
}

impl<'de, S: Spec> Deserialize<'de> for Resource<S> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let stored = Stored::deserialize(deserializer)?.checked().map_err(D::Error::custom)?;
        if stored.kind != S::KIND {
            return Err(D::Error::custom(format!("expected a {}, found a {}", S::KIND, stored.kind)));
        }
        stored.assemble().map_err(D::Error::custom)
    }
}

impl<'de> Deserialize<'de> for AnyResource {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let stored = Stored::deserialize(deserializer)?.checked().map_err(D::Error::custom)?;
        kind_of!(stored.kind, S => stored.assemble::<S>().map(Self::from)).map_err(D::Error::custom)
    }
}
