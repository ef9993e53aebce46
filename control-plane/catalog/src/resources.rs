//! The resources of one kind, by name and by identity.

use std::ops::Index;

use towpath_record::ResourceName;
use towpath_resource::{Resource, Spec};

use crate::state::Map;

/// The resources of one kind. A clone shares everything with it. Equal are those that hold the same.
#[derive(Clone, Debug)]
pub struct Resources<S: Spec> {
    by_name: Map<ResourceName, Resource<S>>,
    names: Map<S::Id, ResourceName>,
    edits: u64,
}

impl<S: Spec> Resources<S> {
    /// The resource of this name.
    pub fn get(&self, name: &ResourceName) -> Option<&Resource<S>> {
        self.by_name.get(name)
    }

    /// The resource with this identity.
    pub fn by_id(&self, id: S::Id) -> Option<&Resource<S>> {
        self.by_name.get(self.names.get(&id)?)
    }

    /// Whether there is one of this name.
    pub fn contains_key(&self, name: &ResourceName) -> bool {
        self.by_name.contains_key(name)
    }

    /// All of them, in the order of their names.
    pub fn values(&self) -> impl Iterator<Item = &Resource<S>> {
        self.by_name.values()
    }

    /// Those whose names come after this one, in order.
    pub fn after<'a>(&'a self, name: &'a ResourceName) -> impl Iterator<Item = &'a Resource<S>> {
        use std::ops::Bound::{Excluded, Unbounded};
        self.by_name.range((Excluded(name), Unbounded)).map(|(_, resource)| resource)
    }

    /// Those whose names come before this one, the last of them first.
    pub fn before<'a>(&'a self, name: &'a ResourceName) -> impl Iterator<Item = &'a Resource<S>> {
        use std::ops::Bound::{Excluded, Unbounded};
        self.by_name.range((Unbounded, Excluded(name))).rev().map(|(_, resource)| resource)
    }

    /// All of them, in the order of their names from the last.
    pub fn values_from_last(&self) -> impl Iterator<Item = &Resource<S>> {
        self.by_name.values().rev()
    }

    /// Their names, in order.
    pub fn names(&self) -> impl Iterator<Item = &ResourceName> {
        self.by_name.keys()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.by_name.size()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.by_name.is_empty()
    }

    /// How often one of them was put or removed since this process began. Where it is the same in two states of one
    /// catalog, nothing changed between them.
    pub fn edits(&self) -> u64 {
        self.edits
    }

    pub(crate) fn put(&mut self, resource: Resource<S>) {
        self.remove(resource.name());
        self.edits += 1;
        self.names.insert_mut(resource.id, resource.name().clone());
        self.by_name.insert_mut(resource.name().clone(), resource);
    }

    pub(crate) fn remove(&mut self, name: &ResourceName) {
        if let Some(before) = self.by_name.get(name) {
            self.edits += 1;
            self.names.remove_mut(&before.id);
            self.by_name.remove_mut(name);
        }
    }
}

impl<S: Spec> Default for Resources<S> {
    fn default() -> Self {
        Self { by_name: Map::new_sync(), names: Map::new_sync(), edits: 0 }
    }
}

impl<S: Spec> PartialEq for Resources<S> {
    fn eq(&self, other: &Self) -> bool {
        self.by_name == other.by_name && self.names == other.names
    }
}

impl<S: Spec> Index<&ResourceName> for Resources<S> {
    type Output = Resource<S>;

    fn index(&self, name: &ResourceName) -> &Resource<S> {
        self.get(name).expect("there is a resource of this name")
    }
}
