//! What someone was given: permissions, and where they hold.

use towpath_catalog::{Actor, State};
use towpath_record::ResourceName;
use towpath_resource::{BuiltInRole, Permission, Permissions, RoleBindingSpec, RoleGrant, Scope, Subject};

use crate::target::Target;

/// Permissions, and where they hold.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Grant {
    /// The role they come from.
    pub role: ResourceName,
    /// The permissions.
    pub permissions: Vec<Permissions>,
    /// Where they hold.
    pub scope: Scope,
}

impl Grant {
    /// A role everywhere.
    pub fn everywhere(role: BuiltInRole) -> Self {
        let name = ResourceName::new(role.as_str()).expect("a role is named as resources are");
        Self { role: name, permissions: role.permissions(), scope: Scope::default() }
    }

    /// What a role gives within a scope. Nothing, if there is no such role any more.
    pub fn of_role(state: &State, role: &ResourceName, scope: Scope) -> Self {
        let permissions = BuiltInRole::named(role.as_str())
            .map(BuiltInRole::permissions)
            .or_else(|| state.roles.get(role).map(|role| role.spec.permissions.clone()));
        Self { role: role.clone(), permissions: permissions.unwrap_or_default(), scope }
    }

    /// Whether it allows this, on something or other.
    pub(crate) fn contains(&self, permission: Permission) -> bool {
        self.permissions.iter().any(|some| some.contain(permission))
    }

    /// Whether it allows this on that.
    pub(crate) fn allows(&self, permission: Permission, target: &Target) -> bool {
        self.contains(permission) && target.is_within(&self.scope)
    }
}

impl From<Grant> for RoleGrant {
    fn from(grant: Grant) -> Self {
        Self { role: grant.role, scope: grant.scope }
    }
}

/// What role bindings give to someone: to the person or machine itself, and to the groups it belongs to.
pub fn grants_of(state: &State, actor: &Actor, groups: &[String]) -> Vec<Grant> {
    let bound = state.role_bindings.values().filter(|binding| names(&binding.spec, actor, groups));
    bound.map(|binding| Grant::of_role(state, &binding.spec.role, binding.spec.scope.clone())).collect()
}

fn names(binding: &RoleBindingSpec, actor: &Actor, groups: &[String]) -> bool {
    binding.subjects.iter().any(|subject| match (subject, actor) {
        (Subject::User(name), Actor::User { name: known, .. }) => name == known,
        (Subject::Identity { provider, subject }, Actor::Identity { provider: by, subject: known, .. }) => {
            provider == by && subject == known
        }
        (Subject::Group { provider, name }, Actor::Identity { provider: by, .. }) => {
            provider == by && groups.contains(name)
        }
        _ => false,
    })
}
