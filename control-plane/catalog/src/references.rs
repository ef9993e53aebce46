//! Which resources refer to which, kept beside them, so that whoever asks need not look at all of them.

use rpds::RedBlackTreeSetSync;
use towpath_record::ResourceName;
use towpath_resource::{Kind, Resource, Spec};

use crate::state::Map;

type Named = (Kind, ResourceName);

/// For each resource that others name, those others. A clone shares everything with it.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct References(Map<Named, RedBlackTreeSetSync<Named>>);

impl References {
    /// Those that refer to a resource, by kind and name.
    pub(crate) fn to(&self, kind: Kind, name: &ResourceName) -> impl Iterator<Item = (Kind, &ResourceName)> {
        let those = self.0.get(&(kind, name.clone()));
        those.into_iter().flatten().map(|(kind, name)| (*kind, name))
    }

    /// Notes what a resource refers to.
    pub(crate) fn add<S: Spec>(&mut self, resource: &Resource<S>) {
        for named in resource.spec.references() {
            let key = (named.kind, named.name);
            let mut those = self.0.get(&key).cloned().unwrap_or_else(RedBlackTreeSetSync::new_sync);
            those.insert_mut((S::KIND, resource.name().clone()));
            self.0.insert_mut(key, those);
        }
    }

    /// Forgets what a resource referred to.
    pub(crate) fn remove<S: Spec>(&mut self, resource: &Resource<S>) {
        for named in resource.spec.references() {
            let key = (named.kind, named.name);
            let Some(mut those) = self.0.get(&key).cloned() else { continue };
            those.remove_mut(&(S::KIND, resource.name().clone()));
            if those.is_empty() {
                self.0.remove_mut(&key);
            } else {
                self.0.insert_mut(key, those);
            }
        }
    }
}

impl Default for References {
    fn default() -> Self {
        Self(Map::new_sync())
    }
}
