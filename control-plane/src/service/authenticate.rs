//! Who someone is, by what they present.

use towpath_access::{Grant, Principal};
use towpath_catalog::{Actor, Cause, Origin, SecretHash};
use towpath_resource::BuiltInRole;

use super::{Asker, Refusal, Service};

impl Service {
    /// Who presents this bearer token.
    ///
    /// # Errors
    /// Nobody is known by it.
    pub async fn authenticate(&self, bearer: Option<&str>, origin: Origin) -> Result<Asker, Refusal> {
        let secret = SecretHash::of(bearer.ok_or_else(Refusal::unauthenticated)?);
        let catalog = self.catalog();
        let (token, admin) = catalog.admin(&secret).ok_or_else(Refusal::unauthenticated)?;
        let actor = Actor::Admin { token, name: admin.name.clone() };
        let cause = Cause { actor: actor.clone(), origin: Some(origin) };
        Ok(Asker {
            principal: Principal { actor, grants: vec![Grant::everywhere(BuiltInRole::Admin)] },
            cause,
        })
    }
}
