//! What someone may see of the resources of a kind.

use towpath_access::Target;
use towpath_catalog::State;
use towpath_resource::{AnyManifest, Manifest, Permission, Resource, Spec};

use super::Asker;

/// What someone may see of the resources of a kind.
pub(super) struct Sight<'a> {
    asker: &'a Asker,
    state: &'a State,
    read: Permission,
    everything: bool,
}

impl<'a> Sight<'a> {
    pub(super) fn of(asker: &'a Asker, state: &'a State, read: Permission) -> Self {
        Self { asker, state, read, everything: asker.principal.may_everywhere(read) }
    }

    /// Whether all of them may be seen.
    pub(super) fn is_unlimited(&self) -> bool {
        self.everything
    }

    /// Whether this one may be seen.
    pub(super) fn shows<S: Spec>(&self, resource: &Resource<S>) -> bool
    where
        AnyManifest: From<Manifest<S>>,
    {
        self.everything
            || self.asker.may(self.read, &Target::resource(self.state, &resource.manifest().into()))
    }
}
