//! Keys of programs: made, given a new secret, taken back.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use towpath_record::ResourceName;
use towpath_resource::{Faults, Invalid, KeyId, RoleGrant};
use towpath_segment::Storage;

use crate::catalog::Catalog;
use crate::error::CatalogError;
use crate::event::{Actor, Cause, Event, EventKind};
use crate::plan::World;
use crate::secret::SecretHash;
use crate::state::State;
use crate::transition::Key;

/// Most keys there can be. Whoever needs more gives each person and machine an identity at a provider.
const MOST_KEYS: usize = 10_000;

/// A key with which a program uses the API.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ApiKey {
    /// Its name, which no other key has.
    pub name: ResourceName,
    /// The hash of the secret.
    pub hash: SecretHash,
    /// What it may do.
    pub grants: Vec<RoleGrant>,
    /// When it was made.
    pub created_at: Timestamp,
    /// Who made it.
    pub created_by: Actor,
    /// When it can no longer be used. Nothing: never.
    pub expires_at: Option<Timestamp>,
    /// The secret before the last rotation.
    pub previous: Option<PreviousSecret>,
}

/// The secret that a key had before it was rotated.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct PreviousSecret {
    /// Its hash.
    pub hash: SecretHash,
    /// Until when it is taken.
    pub until: Timestamp,
    /// When it was replaced.
    pub replaced_at: Timestamp,
}

/// What a new key shall be.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NewKey {
    /// Its name, which no other key may have.
    pub name: ResourceName,
    /// The hash of the secret.
    pub hash: SecretHash,
    /// What it may do.
    pub grants: Vec<RoleGrant>,
    /// When it can no longer be used. Nothing: never.
    pub expires_at: Option<Timestamp>,
}

/// A command on a key was refused.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// There is no such key.
    #[error("there is no key `{0}`; `towpath key list` shows them")]
    Unknown(String),
    /// Its time is over.
    #[error("key `{name}` expired at {at}; give it a new time with `ttl`")]
    Expired {
        /// Its name.
        name: ResourceName,
        /// When it did.
        at: Timestamp,
    },
    /// What it shall be is not valid.
    #[error(transparent)]
    Invalid(#[from] Invalid),
    /// The catalog could not record it.
    #[error(transparent)]
    Catalog(#[from] CatalogError),
}

impl ApiKey {
    /// Whether this is its secret, or the one before that is still taken.
    pub fn is_opened_by(&self, secret: &SecretHash, now: Timestamp) -> bool {
        let by_previous =
            self.previous.is_some_and(|previous| previous.hash.is(secret) && now < previous.until);
        self.hash.is(secret) || by_previous
    }

    /// Whether its time is over.
    pub fn is_expired(&self, now: Timestamp) -> bool {
        self.expires_at.is_some_and(|end| end <= now)
    }
}

impl State {
    /// A key, by its id or its name.
    pub fn key(&self, id_or_name: &str) -> Option<(KeyId, &ApiKey)> {
        let by_id = id_or_name.parse().ok().and_then(|id| Some((id, self.keys.get(&id)?)));
        by_id.or_else(|| {
            let mut named = self.keys.iter().filter(|(_, key)| key.name.as_str() == id_or_name);
            named.next().map(|(id, key)| (*id, key))
        })
    }

    /// Takes in what happened to a key.
    pub(crate) fn take_key(&mut self, event: &Event, touched: &mut Vec<Key>) {
        match &event.kind {
            EventKind::KeyCreated { id, name, hash, grants, expires_at } => {
                let key = ApiKey {
                    name: name.clone(),
                    hash: *hash,
                    grants: grants.clone(),
                    created_at: event.at,
                    created_by: event.cause.actor.clone(),
                    expires_at: *expires_at,
                    previous: None,
                };
                self.keys.insert_mut(*id, key);
                touched.push(Key::OfApi(*id));
            }
            EventKind::KeyRotated { id, hash, previous_until, expires_at, .. } => {
                if let Some(known) = self.keys.get(id) {
                    let previous =
                        PreviousSecret { hash: known.hash, until: *previous_until, replaced_at: event.at };
                    let (hash, expires_at, previous) = (*hash, *expires_at, Some(previous));
                    self.keys.insert_mut(*id, ApiKey { hash, expires_at, previous, ..known.clone() });
                }
                touched.push(Key::OfApi(*id));
            }
            EventKind::KeyRevoked { id, .. } => {
                self.keys.remove_mut(id);
                touched.push(Key::OfApi(*id));
            }
            _ => {}
        }
    }
}

impl World<'_> {
    fn create_key(&self, id: KeyId, new: NewKey) -> Result<EventKind, Invalid> {
        let NewKey { name, hash, grants, expires_at } = new;
        let mut faults = Faults::default();
        let taken = self.state.keys.values().any(|key| key.name == name);
        faults.require(!taken, "name", || {
            format!("there is a key `{name}` already; choose another name, or revoke or rotate that one")
        });
        faults.require(self.state.keys.size() < MOST_KEYS, "name", || {
            format!("there are {MOST_KEYS} keys, the most there can be; revoke those that nobody uses")
        });
        RoleGrant::check_all(&grants, self, &mut faults);
        faults.into_result(format!("key {name}"))?;
        Ok(EventKind::KeyCreated { id, name, hash, grants, expires_at })
    }

    fn rotate_key(
        &self,
        id: KeyId,
        hash: SecretHash,
        previous_until: Timestamp,
        expires_at: Option<Timestamp>,
    ) -> Result<EventKind, KeyError> {
        let key = self.state.keys.get(&id).ok_or_else(|| KeyError::Unknown(id.to_string()))?;
        let name = key.name.clone();
        let expires_at = expires_at.or(key.expires_at);
        match expires_at.filter(|end| *end <= self.now) {
            Some(at) => Err(KeyError::Expired { name, at }),
            None => Ok(EventKind::KeyRotated { id, name, hash, previous_until, expires_at }),
        }
    }
}

impl<S: Storage> Catalog<S> {
    /// Keeps a new key.
    ///
    /// # Errors
    /// It is not valid, or the catalog cannot record it.
    pub fn create_key(&self, id: KeyId, new: NewKey, cause: &Cause) -> Result<(), KeyError> {
        self.command(cause, |world| Ok(((), Some(world.create_key(id, new)?))))
    }

    /// Gives a key a new secret, and a new end if one is given. Returns when the key ends then.
    ///
    /// # Errors
    /// It is not there or expired, or the catalog cannot record it.
    pub fn rotate_key(
        &self,
        id: KeyId,
        hash: SecretHash,
        previous_until: Timestamp,
        expires_at: Option<Timestamp>,
        cause: &Cause,
    ) -> Result<Option<Timestamp>, KeyError> {
        self.command(cause, |world| {
            let event = world.rotate_key(id, hash, previous_until, expires_at)?;
            let end = expires_at.or_else(|| world.state.keys.get(&id).and_then(|key| key.expires_at));
            Ok((end, Some(event)))
        })
    }

    /// Takes a key back, at once and for good.
    ///
    /// # Errors
    /// It is not there, or the catalog cannot record it.
    pub fn revoke_key(&self, id: KeyId, cause: &Cause) -> Result<(), KeyError> {
        self.command(cause, |world| {
            let key = world.state.keys.get(&id).ok_or_else(|| KeyError::Unknown(id.to_string()))?;
            Ok(((), Some(EventKind::KeyRevoked { id, name: key.name.clone() })))
        })
    }
}
