//! People whom the control plane knows by a password, and the sessions that their logins opened.
//!
//! A session's tokens are renewed every few minutes and are no part of the catalog: it knows that a session is open and
//! until when, so that it ends for good wherever it is closed.

use std::fmt;
use std::net::IpAddr;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use towpath_record::ResourceName;
use towpath_resource::{Faults, Invalid, SessionId, UserId};
use towpath_segment::Storage;

use crate::catalog::Catalog;
use crate::error::CatalogError;
use crate::event::{Cause, Event, EventKind};
use crate::plan::World;
use crate::state::State;
use crate::transition::Key;

/// Most users there can be. Whoever has more has an identity provider.
const MOST_USERS: usize = 1_000;
/// Most sessions of one user; the oldest ends when another is opened.
pub const MOST_SESSIONS: usize = 20;

/// The Argon2id hash of a password, in PHC form: parameters, salt and hash.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PasswordHash(pub String);

/// A person whom the control plane knows by a password.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct User {
    /// The name, which no other user has.
    pub name: ResourceName,
    /// The hash of the password.
    pub hash: PasswordHash,
    /// When the user was made.
    pub created_at: Timestamp,
    /// When the password was set.
    pub password_set_at: Timestamp,
}

/// A session that a login opened.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Session {
    /// Whose it is.
    pub user: UserId,
    /// When it was opened.
    pub opened_at: Timestamp,
    /// When it ends by itself.
    pub expires_at: Timestamp,
    /// From where it was opened.
    pub address: Option<IpAddr>,
}

/// Why a session was closed before its time.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SessionEnd {
    /// Its user logged out.
    LoggedOut,
    /// Someone closed it who may.
    Closed,
    /// A refresh token came twice, so one of those who hold it is a thief.
    RefreshTokenReused,
}

/// A command on a user or session was refused.
#[derive(Debug, thiserror::Error)]
pub enum UserError {
    /// There is no such user.
    #[error("there is no user `{0}`; `towpath user list` shows them")]
    Unknown(String),
    /// What it shall be is not valid.
    #[error(transparent)]
    Invalid(#[from] Invalid),
    /// The catalog could not record it.
    #[error(transparent)]
    Catalog(#[from] CatalogError),
}

impl State {
    /// A user by name.
    pub fn user(&self, name: &str) -> Option<(UserId, &User)> {
        self.users.iter().find(|(_, user)| user.name.as_str() == name).map(|(id, user)| (*id, user))
    }

    /// A session that was not closed and whose time is not over, with its user.
    pub fn session(&self, id: SessionId, now: Timestamp) -> Option<(&Session, &User)> {
        let session = self.sessions.get(&id).filter(|session| now < session.expires_at)?;
        Some((session, self.users.get(&session.user)?))
    }

    /// Takes in what happened to a user or session.
    pub(crate) fn take_user(&mut self, event: &Event, touched: &mut Vec<Key>) {
        match &event.kind {
            EventKind::UserCreated { id, name, hash } => {
                let (name, hash, at) = (name.clone(), hash.clone(), event.at);
                self.users.insert_mut(*id, User { name, hash, created_at: at, password_set_at: at });
                touched.push(Key::User(*id));
            }
            EventKind::UserPasswordSet { id, hash, .. } => {
                if let Some(known) = self.users.get(id) {
                    let (hash, password_set_at) = (hash.clone(), event.at);
                    self.users.insert_mut(*id, User { hash, password_set_at, ..known.clone() });
                }
                touched.push(Key::User(*id));
                self.end_sessions(|session| session.user == *id, touched);
            }
            EventKind::UserDeleted { id, .. } => {
                self.users.remove_mut(id);
                touched.push(Key::User(*id));
                self.end_sessions(|session| session.user == *id, touched);
            }
            EventKind::SessionOpened { id, user, expires_at, .. } => {
                self.end_sessions(|session| session.expires_at <= event.at, touched);
                self.make_room(*user, touched);
                let address = event.cause.origin.as_ref().and_then(|origin| origin.address);
                let session = Session { user: *user, opened_at: event.at, expires_at: *expires_at, address };
                self.sessions.insert_mut(*id, session);
                touched.push(Key::Session(*id));
            }
            EventKind::SessionClosed { id, .. } => {
                self.sessions.remove_mut(id);
                touched.push(Key::Session(*id));
            }
            _ => {}
        }
    }

    fn make_room(&mut self, user: UserId, touched: &mut Vec<Key>) {
        // Ids of sessions rise with time, so the first are the oldest.
        let theirs = self.sessions.iter().filter(|(_, session)| session.user == user);
        let theirs: Vec<SessionId> = theirs.map(|(id, _)| *id).collect();
        let too_many = (theirs.len() + 1).saturating_sub(MOST_SESSIONS);
        for id in &theirs[..too_many] {
            self.sessions.remove_mut(id);
            touched.push(Key::Session(*id));
        }
    }

    fn end_sessions(&mut self, ends: impl Fn(&Session) -> bool, touched: &mut Vec<Key>) {
        let ending = self.sessions.iter().filter(|(_, session)| ends(session));
        let ending: Vec<SessionId> = ending.map(|(id, _)| *id).collect();
        for id in ending {
            self.sessions.remove_mut(&id);
            touched.push(Key::Session(id));
        }
    }
}

impl World<'_> {
    fn create_user(&self, id: UserId, name: ResourceName, hash: PasswordHash) -> Result<EventKind, Invalid> {
        let mut faults = Faults::default();
        faults.require(self.state.user(name.as_str()).is_none(), "name", || {
            format!("there is a user `{name}` already")
        });
        faults.require(self.state.users.size() < MOST_USERS, "name", || {
            format!("there are {MOST_USERS} users, the most there can be; use an identity provider")
        });
        faults.into_result(format!("user {name}"))?;
        Ok(EventKind::UserCreated { id, name, hash })
    }
}

impl<S: Storage> Catalog<S> {
    /// Keeps a new user.
    ///
    /// # Errors
    /// The name is taken, or the catalog cannot record it.
    pub fn create_user(
        &self,
        id: UserId,
        name: ResourceName,
        hash: PasswordHash,
        cause: &Cause,
    ) -> Result<(), UserError> {
        self.command(cause, |world| Ok(((), Some(world.create_user(id, name, hash)?))))
    }

    /// Sets a user's password. All of the user's sessions end.
    ///
    /// # Errors
    /// There is no such user, or the catalog cannot record it.
    pub fn set_password(&self, id: UserId, hash: PasswordHash, cause: &Cause) -> Result<(), UserError> {
        self.command(cause, |world| {
            let user = world.state.users.get(&id).ok_or_else(|| UserError::Unknown(id.to_string()))?;
            Ok(((), Some(EventKind::UserPasswordSet { id, name: user.name.clone(), hash })))
        })
    }

    /// Deletes a user. All of the user's sessions end.
    ///
    /// # Errors
    /// There is no such user, or the catalog cannot record it.
    pub fn delete_user(&self, id: UserId, cause: &Cause) -> Result<(), UserError> {
        self.command(cause, |world| {
            let user = world.state.users.get(&id).ok_or_else(|| UserError::Unknown(id.to_string()))?;
            Ok(((), Some(EventKind::UserDeleted { id, name: user.name.clone() })))
        })
    }

    /// Opens a session of a user.
    ///
    /// # Errors
    /// The user is gone or has another password than the one that was checked, or the catalog cannot record it.
    pub fn open_session(
        &self,
        id: SessionId,
        user: UserId,
        checked: &PasswordHash,
        expires_at: Timestamp,
        cause: &Cause,
    ) -> Result<(), UserError> {
        self.command(cause, |world| {
            let known = world.state.users.get(&user).filter(|known| known.hash == *checked);
            let name = known.ok_or_else(|| UserError::Unknown(user.to_string()))?.name.clone();
            Ok(((), Some(EventKind::SessionOpened { id, user, name, expires_at })))
        })
    }

    /// Closes a session. False if it is closed or over already.
    ///
    /// # Errors
    /// The catalog cannot record it.
    pub fn close_session(&self, id: SessionId, why: SessionEnd, cause: &Cause) -> Result<bool, CatalogError> {
        self.command(cause, |world| {
            let open = world.state.session(id, world.now);
            let event = open.map(|(session, user)| EventKind::SessionClosed {
                id,
                user: session.user,
                name: user.name.clone(),
                why,
            });
            Ok((event.is_some(), event))
        })
    }
}

impl fmt::Debug for PasswordHash {
    /// Leaves it out: a password has few bits, and its hash helps to guess it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PasswordHash(…)")
    }
}
