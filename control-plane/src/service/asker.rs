//! Who asks, from where.

use std::sync::Arc;

use parking_lot::Mutex;
use towpath_access::{Denied, Grant, Principal, Target};
use towpath_catalog::Cause;
use towpath_resource::{Permission, SessionId};

/// Who asks, from where. What they change is recorded as caused by this.
#[derive(Clone, Debug)]
pub struct Asker {
    /// Who, with what was given to them.
    pub principal: Principal,
    /// What the catalog records.
    pub cause: Cause,
    /// The session by which they came, if it was by one.
    pub session: Option<SessionId>,
    /// Their groups, as an identity provider says.
    pub groups: Vec<String>,
    /// What was denied in the course of the request, until the audit trail has it.
    denied: Arc<Mutex<Vec<Denied>>>,
}

impl Asker {
    /// Someone who was let in.
    pub fn new(principal: Principal, cause: Cause) -> Self {
        Self { principal, cause, session: None, groups: Vec::new(), denied: Arc::default() }
    }

    /// By a session, or by the word of an identity provider with these groups.
    pub fn known_by(self, session: Option<SessionId>, groups: Vec<String>) -> Self {
        Self { session, groups, ..self }
    }

    /// Decides whether this may be done there.
    ///
    /// # Errors
    /// It may not.
    pub fn require(&self, permission: Permission, target: &Target) -> Result<(), Denied> {
        self.noted(self.principal.decide(permission, Some(target)))
    }

    /// Decides whether this may be done on something at least.
    ///
    /// # Errors
    /// It may not.
    pub fn require_somewhere(&self, permission: Permission) -> Result<(), Denied> {
        self.noted(self.principal.decide(permission, None))
    }

    /// Decides whether all of this may be given to another.
    ///
    /// # Errors
    /// It may not.
    pub fn require_giving(&self, given: &Grant) -> Result<(), Denied> {
        self.noted(self.principal.decide_giving(given))
    }

    /// What was denied since this was last asked.
    pub(super) fn take_denied(&self) -> Vec<Denied> {
        std::mem::take(&mut self.denied.lock())
    }

    fn noted(&self, decided: Result<(), Denied>) -> Result<(), Denied> {
        decided.inspect_err(|denied| self.denied.lock().push(denied.clone()))
    }

    /// Whether this may be done there.
    pub fn may(&self, permission: Permission, target: &Target) -> bool {
        self.principal.may(permission, target)
    }
}
