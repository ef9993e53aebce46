//! Who someone is, by what they present.

use jiff::Timestamp;
use towpath_access::{Grant, Principal, grants_of};
use towpath_catalog::{Actor, Cause, Origin, SecretHash, State};
use towpath_resource::{BuiltInRole, KeyId};

use super::{Asker, Refusal, Service};
use crate::control::bearer::Claimed;

impl Service {
    /// Who presents this bearer token.
    ///
    /// # Errors
    /// Nobody is known by it.
    pub async fn authenticate(&self, bearer: Option<&str>, origin: Origin) -> Result<Asker, Refusal> {
        let bearer = bearer.ok_or_else(Refusal::unauthenticated)?;
        let (state, secret) = (self.catalog(), SecretHash::of(bearer));
        let (mut session, mut groups) = (None, Vec::new());
        let principal = match Claimed::by(bearer) {
            Claimed::Admin => first_admin(&state, &secret)?,
            Claimed::Key(id) => self.by_key(&state, id, &secret)?,
            Claimed::Access(id) => {
                session = Some(id);
                self.by_session(id, &secret)?
            }
            Claimed::Refresh(_) => return Err(Refusal::unauthenticated()),
            Claimed::Foreign => {
                let identity = self.0.providers.verify(&state, bearer).await?;
                groups = identity.groups;
                let grants = grants_of(&state, &identity.actor, &groups);
                Principal { actor: identity.actor, grants }
            }
        };
        let cause = Cause { actor: principal.actor.clone(), origin: Some(origin) };
        Ok(Asker::new(principal, cause).known_by(session, groups))
    }

    fn by_key(&self, state: &State, id: KeyId, secret: &SecretHash) -> Result<Principal, Refusal> {
        let now = Timestamp::now();
        let key = state.keys.get(&id).filter(|key| key.is_opened_by(secret, now));
        let key = key.ok_or_else(Refusal::unauthenticated)?;
        if let Some(end) = key.expires_at.filter(|_| key.is_expired(now)) {
            let name = &key.name;
            return Err(Refusal::Unknown(format!(
                "key `{name}` expired at {end}; ask whoever gave it for a rotation (`towpath key rotate {name} --ttl TIME`)"
            )));
        }
        self.0.last_used.note(id, now);
        let grant =
            |given: &towpath_resource::RoleGrant| Grant::of_role(state, &given.role, given.scope.clone());
        Ok(Principal {
            actor: Actor::Key { key: id, name: key.name.clone() },
            grants: key.grants.iter().map(grant).collect(),
        })
    }
}

fn first_admin(state: &State, secret: &SecretHash) -> Result<Principal, Refusal> {
    let (token, admin) = state.admin(secret).ok_or_else(Refusal::unauthenticated)?;
    let actor = Actor::Admin { token, name: admin.name.clone() };
    Ok(Principal { actor, grants: vec![Grant::everywhere(BuiltInRole::Admin)] })
}
