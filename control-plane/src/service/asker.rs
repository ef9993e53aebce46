//! Who asks, from where.

use towpath_access::{Denied, Principal, Target};
use towpath_catalog::Cause;
use towpath_resource::Permission;

/// Who asks, from where. What they change is recorded as caused by this.
#[derive(Clone, Debug)]
pub struct Asker {
    /// Who, with what was given to them.
    pub principal: Principal,
    /// What the catalog records.
    pub cause: Cause,
}

impl Asker {
    /// Decides whether this may be done there.
    ///
    /// # Errors
    /// It may not.
    pub fn require(&self, permission: Permission, target: &Target) -> Result<(), Denied> {
        self.principal.decide(permission, Some(target))
    }

    /// Whether this may be done there.
    pub fn may(&self, permission: Permission, target: &Target) -> bool {
        self.principal.may(permission, target)
    }
}
