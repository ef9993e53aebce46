//! Keys, with which programs use the API; and the token of the first admin.

use jiff::Timestamp;
use towpath_access::{Grant, Target};
use towpath_catalog::{ApiKey, NewKey, State};
use towpath_record::TimeSpan;
use towpath_resource::api::key::MAX_GRACE;
use towpath_resource::api::{CreatedKey, KeyOrder, KeyState, KeyStatus, RotateOrder};
use towpath_resource::{KeyId, Object, Permission, RoleGrant};
use uuid::Uuid;

use super::{Asker, Refusal, Service};
use crate::control::bearer::Bearer;

const READ: Permission = Permission::read(Object::ApiKey);
const WRITE: Permission = Permission::write(Object::ApiKey);

impl Service {
    /// Makes a key. It is shown once.
    ///
    /// # Errors
    /// It is not valid, not the asker's to make, or would give more than the asker has.
    pub async fn create_key(&self, asker: &Asker, order: KeyOrder) -> Result<CreatedKey, Refusal> {
        let KeyOrder { name, grants, ttl } = order;
        asker.require(WRITE, &Target::named(format!("key {name}")))?;
        check_giving(asker, &self.catalog(), &grants)?;
        let expires_at = self.end_of_key(ttl)?;
        let id = KeyId::from(Uuid::now_v7());
        let secret = Bearer::key(id)?;
        let new = NewKey { name: name.clone(), hash: secret.hash(), grants, expires_at };
        let cause = asker.cause.clone();
        self.command(move |catalog| catalog.create_key(id, new, &cause)).await?;
        Ok(CreatedKey { id, name, key: secret.reveal().to_owned(), expires_at, previous_until: None })
    }

    /// The keys, without their secrets.
    ///
    /// # Errors
    /// They are not the asker's to see.
    pub fn keys(&self, asker: &Asker) -> Result<Vec<KeyStatus>, Refusal> {
        asker.require(READ, &Target::named("keys"))?;
        let now = Timestamp::now();
        Ok(self.catalog().keys.iter().map(|(id, key)| self.key_status(*id, key, now)).collect())
    }

    /// A key, by its id or name, without its secret.
    ///
    /// # Errors
    /// It is not there, or not the asker's to see.
    pub fn key(&self, asker: &Asker, id_or_name: &str) -> Result<KeyStatus, Refusal> {
        asker.require(READ, &Target::named(format!("key {id_or_name}")))?;
        let state = self.catalog();
        let (id, key) = state.key(id_or_name).ok_or_else(|| unknown(id_or_name))?;
        Ok(self.key_status(id, key, Timestamp::now()))
    }

    /// Gives a key a new secret, which is shown once. The one before is taken for a while longer.
    ///
    /// # Errors
    /// It is not there, expired, not the asker's to rotate, or may do more than the asker.
    pub async fn rotate_key(
        &self,
        asker: &Asker,
        id_or_name: &str,
        order: RotateOrder,
    ) -> Result<CreatedKey, Refusal> {
        asker.require(WRITE, &Target::named(format!("key {id_or_name}")))?;
        let state = self.catalog();
        let (id, key) = state.key(id_or_name).ok_or_else(|| unknown(id_or_name))?;
        // Whoever reads the new secret can do what the key can do.
        check_giving(asker, &state, &key.grants)?;
        if order.grace > MAX_GRACE {
            return Err(Refusal::invalid(format!("grace is {}; it may be at most {MAX_GRACE}", order.grace)));
        }
        let previous_until = in_future(order.grace)?;
        let new_end = order.ttl.map(|ttl| self.end_of_key(Some(ttl))).transpose()?.flatten();
        let secret = Bearer::key(id)?;
        let (hash, cause) = (secret.hash(), asker.cause.clone());
        let expires_at = self
            .command(move |catalog| catalog.rotate_key(id, hash, previous_until, new_end, &cause))
            .await?;
        let (name, key) = (key.name.clone(), secret.reveal().to_owned());
        Ok(CreatedKey { id, name, key, expires_at, previous_until: Some(previous_until) })
    }

    /// Takes a key back, at once and for good.
    ///
    /// # Errors
    /// It is not there, or not the asker's to take back.
    pub async fn revoke_key(&self, asker: &Asker, id_or_name: &str) -> Result<(), Refusal> {
        asker.require(WRITE, &Target::named(format!("key {id_or_name}")))?;
        let (id, _) = self
            .catalog()
            .key(id_or_name)
            .map(|(id, key)| (id, key.name.clone()))
            .ok_or_else(|| unknown(id_or_name))?;
        let cause = asker.cause.clone();
        self.command(move |catalog| catalog.revoke_key(id, &cause)).await
    }

    /// Takes the first admin's token back. A new one is made on the machine alone.
    ///
    /// # Errors
    /// It is not there any more, or not the asker's to take back.
    pub async fn revoke_admin_token(&self, asker: &Asker) -> Result<(), Refusal> {
        asker.require(WRITE, &Target::named("the first admin's token"))?;
        let cause = asker.cause.clone();
        match self.command(move |catalog| catalog.revoke_admin_tokens(&cause)).await? {
            0 => Err(Refusal::NotFound(
                "the first admin's token was taken back already; `towpath-control admin-token --reset` makes a new one"
                    .to_owned(),
            )),
            _ => Ok(()),
        }
    }

    /// When a key ends that lives so long from now.
    fn end_of_key(&self, ttl: Option<TimeSpan>) -> Result<Option<Timestamp>, Refusal> {
        match (ttl, self.0.config.access.key_max_ttl) {
            (None, None) => Ok(None),
            (None, Some(most)) => {
                Err(Refusal::invalid(format!("a key here must end: give it a `ttl` of at most {most}")))
            }
            (Some(ttl), most) => {
                if ttl.0.is_zero() || most.is_some_and(|most| ttl > most) {
                    let most = most.map(|most| format!(" and at most {most}")).unwrap_or_default();
                    return Err(Refusal::invalid(format!("ttl is {ttl}; it must be more than 0s{most}")));
                }
                in_future(ttl).map(Some)
            }
        }
    }

    fn key_status(&self, id: KeyId, key: &ApiKey, now: Timestamp) -> KeyStatus {
        KeyStatus {
            id,
            name: key.name.clone(),
            state: if key.is_expired(now) { KeyState::Expired } else { KeyState::Active },
            grants: key.grants.clone(),
            created_at: key.created_at,
            created_by: key.created_by.to_string(),
            expires_at: key.expires_at,
            rotated_at: key.previous.map(|previous| previous.replaced_at),
            previous_until: key.previous.map(|previous| previous.until).filter(|until| now < *until),
            last_used_at: self.0.last_used.of(id),
        }
    }
}

/// Whoever gives rights must have them.
fn check_giving(asker: &Asker, state: &State, grants: &[RoleGrant]) -> Result<(), Refusal> {
    for given in grants {
        asker.require_giving(&Grant::of_role(state, &given.role, given.scope.clone()))?;
    }
    Ok(())
}

fn in_future(span: TimeSpan) -> Result<Timestamp, Refusal> {
    let too_late = |_| Refusal::invalid(format!("{span} reaches beyond the calendar"));
    Timestamp::now().checked_add(span.0).map_err(too_late)
}

fn unknown(id_or_name: &str) -> Refusal {
    Refusal::NotFound(format!("there is no key `{id_or_name}`; `towpath key list` shows them"))
}
