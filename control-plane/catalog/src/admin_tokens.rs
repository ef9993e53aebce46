//! The tokens of the first admin: made at the first start, or on the machine itself when that one is gone.

use towpath_resource::AdminTokenId;
use towpath_segment::Storage;
use uuid::Uuid;

use crate::catalog::Catalog;
use crate::error::CatalogError;
use crate::event::{Actor, Cause, EventKind};
use crate::secret::SecretHash;

impl<S: Storage> Catalog<S> {
    /// Keeps the hash of a new token for an admin.
    ///
    /// # Errors
    /// The catalog cannot record it.
    pub fn create_admin_token(&self, name: &str, hash: SecretHash) -> Result<AdminTokenId, CatalogError> {
        self.command(&Actor::System.into(), |_| {
            let id = AdminTokenId::from(Uuid::now_v7());
            Ok((id, Some(EventKind::AdminTokenCreated { id, name: name.to_owned(), hash })))
        })
    }

    /// Takes every token of admins back that still holds. Returns how many those were.
    ///
    /// # Errors
    /// The catalog cannot record it; tokens before that one are taken back.
    pub fn revoke_admin_tokens(&self, cause: &Cause) -> Result<usize, CatalogError> {
        let mut revoked = 0;
        // One event each, and each decided on the state as it is then.
        while self.command(cause, |world| {
            let mut holding = world.state.admin_tokens.iter().filter(|(_, token)| token.revoked_at.is_none());
            let event =
                holding.next().map(|(id, t)| EventKind::AdminTokenRevoked { id: *id, name: t.name.clone() });
            Ok::<_, CatalogError>((event.is_some(), event))
        })? {
            revoked += 1;
        }
        Ok(revoked)
    }
}
