//! Who asks, and the one place that decides.

use towpath_catalog::Actor;
use towpath_resource::Permission;

use crate::grant::Grant;
use crate::target::Target;

/// Someone who is known, with what was given to them.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Principal {
    /// Who it is.
    pub actor: Actor,
    /// What they were given.
    pub grants: Vec<Grant>,
}

/// Someone may not do something.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("you lack the permission {permission}{}; ask an admin for a role that has it", on(subject.as_deref()))]
pub struct Denied {
    /// The permission that is lacking.
    pub permission: Permission,
    /// On what, if it is there somewhere else.
    pub subject: Option<String>,
}

fn on(subject: Option<&str>) -> String {
    subject.map(|subject| format!(" on {subject}")).unwrap_or_default()
}

impl Principal {
    /// Decides whether this may be done: only if a grant allows it there. Without a target it is asked whether it may
    /// be done on anything at all, before it is known on what.
    ///
    /// # Errors
    /// [`Denied`] names the permission that is lacking.
    pub fn decide(&self, permission: Permission, target: Option<&Target>) -> Result<(), Denied> {
        let allowed = self.grants.iter().any(|grant| match target {
            Some(target) => grant.allows(permission, target),
            None => grant.contains(permission),
        });
        let subject = || target.map(|target| target.subject.clone());
        if allowed { Ok(()) } else { Err(Denied { permission, subject: subject() }) }
    }

    /// Whether this may be done there.
    pub fn may(&self, permission: Permission, target: &Target) -> bool {
        self.decide(permission, Some(target)).is_ok()
    }

    /// Whether this may be done everywhere.
    pub fn may_everywhere(&self, permission: Permission) -> bool {
        self.grants.iter().any(|grant| grant.scope.is_everywhere() && grant.contains(permission))
    }

    /// Decides whether all of this may be given to another: nobody gives more than they have. Each permission must be
    /// held everywhere, or by a grant of the very same scope.
    ///
    /// # Errors
    /// [`Denied`] names the first permission that is lacking.
    pub fn decide_giving(&self, given: &Grant) -> Result<(), Denied> {
        let holds = |permission| {
            let enough = |grant: &&Grant| grant.scope.is_everywhere() || grant.scope == given.scope;
            self.grants.iter().filter(enough).any(|grant| grant.contains(permission))
        };
        let lacking = Permission::all().filter(|one| given.contains(*one)).find(|one| !holds(*one));
        match lacking {
            Some(permission) => Err(Denied {
                permission,
                subject: Some(format!("everything that role {} reaches", given.role)),
            }),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use towpath_record::ResourceName;
    use towpath_resource::{BuiltInRole, Object, Scope};

    use super::*;

    fn name(text: &str) -> ResourceName {
        ResourceName::new(text).unwrap()
    }

    fn someone(grants: Vec<Grant>) -> Principal {
        Principal { actor: Actor::Stranger, grants }
    }

    fn at(site: &str, role: BuiltInRole) -> Grant {
        Grant { scope: Scope { sites: vec![name(site)], ..Scope::default() }, ..Grant::everywhere(role) }
    }

    const REPLAY: Permission = Permission::operate(Object::DeadLetter);

    #[test]
    fn what_no_grant_allows_is_denied() {
        let nobody = someone(Vec::new());
        for permission in Permission::all() {
            assert!(nobody.decide(permission, None).is_err());
        }
    }

    #[test]
    fn a_grant_within_a_scope_reaches_only_what_lies_in_it() {
        let operator = someone(vec![at("hamburg", BuiltInRole::Operator)]);
        assert!(operator.decide(REPLAY, None).is_ok());
        assert!(operator.may(REPLAY, &Target::at_site("agent a", &name("hamburg"))));
        assert!(!operator.may(REPLAY, &Target::at_site("agent a", &name("kiel"))));
        assert!(!operator.may(REPLAY, &Target::named("the fleet")));
    }

    #[test]
    fn nobody_gives_more_than_they_have() {
        let local = someone(vec![at("hamburg", BuiltInRole::Operator)]);
        assert!(local.decide_giving(&at("hamburg", BuiltInRole::Viewer)).is_ok());
        assert!(local.decide_giving(&at("hamburg", BuiltInRole::Author)).is_err());
        assert!(local.decide_giving(&at("kiel", BuiltInRole::Viewer)).is_err());
        assert!(local.decide_giving(&Grant::everywhere(BuiltInRole::Viewer)).is_err());
        let admin = someone(vec![Grant::everywhere(BuiltInRole::Admin)]);
        for role in BuiltInRole::ALL {
            assert!(admin.decide_giving(&Grant::everywhere(role)).is_ok());
        }
        let security = someone(vec![Grant::everywhere(BuiltInRole::Security)]);
        assert!(security.decide_giving(&Grant::everywhere(BuiltInRole::Admin)).is_err());
        assert!(security.decide_giving(&Grant::everywhere(BuiltInRole::Viewer)).is_ok());
    }

    #[test]
    fn a_denial_names_the_permission_and_the_thing() {
        let said = someone(Vec::new()).decide(REPLAY, Some(&Target::named("stream erp.orders"))).unwrap_err();
        assert!(said.to_string().contains("dead-letter:operate on stream erp.orders"), "{said}");
    }
}
