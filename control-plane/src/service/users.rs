//! People whom the control plane knows by a password.

use towpath_access::{Target, grants_of};
use towpath_catalog::{Actor, State};
use towpath_record::ResourceName;
use towpath_resource::api::{OwnPasswordOrder, PasswordOrder, UserOrder, UserStatus};
use towpath_resource::{Object, Permission, RoleGrant, UserId};
use uuid::Uuid;

use super::{Asker, Refusal, Service};

const READ: Permission = Permission::read(Object::User);
const WRITE: Permission = Permission::write(Object::User);

impl Service {
    /// Makes a user.
    ///
    /// # Errors
    /// The name is taken, the password is weak, or the user is not the asker's to make: role bindings that name the user
    /// would give more than the asker has.
    pub async fn create_user(&self, asker: &Asker, order: UserOrder) -> Result<UserStatus, Refusal> {
        let UserOrder { name, password } = order;
        asker.require(WRITE, &subject(name.as_str()))?;
        let id = UserId::from(Uuid::now_v7());
        check_over(asker, &self.catalog(), id, &name)?;
        let hash = self.0.passwords.hash(name.as_str(), password).await?;
        let (cause, named) = (asker.cause.clone(), name.clone());
        self.command(move |catalog| catalog.create_user(id, named, hash, &cause)).await?;
        self.user(asker, name.as_str())
    }

    /// The users, without their passwords.
    ///
    /// # Errors
    /// They are not the asker's to see.
    pub fn users(&self, asker: &Asker) -> Result<Vec<UserStatus>, Refusal> {
        asker.require(READ, &Target::named("users"))?;
        let state = self.catalog();
        let mut users: Vec<_> = state.users.keys().filter_map(|id| status(&state, *id)).collect();
        users.sort_by(|one, other| one.name.cmp(&other.name));
        Ok(users)
    }

    /// A user, without the password.
    ///
    /// # Errors
    /// There is no such user, or it is not the asker's to see.
    pub fn user(&self, asker: &Asker, name: &str) -> Result<UserStatus, Refusal> {
        asker.require(READ, &subject(name))?;
        let state = self.catalog();
        let found = state.user(name).and_then(|(id, _)| status(&state, id));
        found.ok_or_else(|| unknown(name))
    }

    /// Sets the password of another. All of that user's sessions end.
    ///
    /// # Errors
    /// There is no such user, the password is weak, or the user may do more than the asker.
    pub async fn set_password(&self, asker: &Asker, name: &str, order: PasswordOrder) -> Result<(), Refusal> {
        asker.require(WRITE, &subject(name))?;
        let state = self.catalog();
        let (id, user) = state.user(name).ok_or_else(|| unknown(name))?;
        check_over(asker, &state, id, &user.name)?;
        let hash = self.0.passwords.hash(name, order.password).await?;
        let cause = asker.cause.clone();
        self.command(move |catalog| catalog.set_password(id, hash, &cause)).await
    }

    /// Sets the password of whoever asks. All of their sessions end, this one too.
    ///
    /// # Errors
    /// The asker is no user with a password, gave a wrong one, or wants a weak one.
    pub async fn set_own_password(&self, asker: &Asker, order: OwnPasswordOrder) -> Result<(), Refusal> {
        let Actor::User { user, name } = &asker.principal.actor else {
            return Err(Refusal::Conflict(format!("{} has no password here", asker.principal.actor)));
        };
        // Checked as a login is, so that a stolen session does not serve to guess the password.
        let origin = asker.cause.origin.as_ref();
        self.check_password(name.as_str(), order.current, origin.and_then(|origin| origin.address)).await?;
        let hash = self.0.passwords.hash(name.as_str(), order.new).await?;
        let (id, cause) = (*user, asker.cause.clone());
        self.command(move |catalog| catalog.set_password(id, hash, &cause)).await
    }

    /// Deletes a user. All of that user's sessions end at once.
    ///
    /// # Errors
    /// There is no such user, or it is not the asker's to delete.
    pub async fn delete_user(&self, asker: &Asker, name: &str) -> Result<(), Refusal> {
        asker.require(WRITE, &subject(name))?;
        let id = self.catalog().user(name).map(|(id, _)| id).ok_or_else(|| unknown(name))?;
        let cause = asker.cause.clone();
        self.command(move |catalog| catalog.delete_user(id, &cause)).await
    }
}

/// Whoever sets a password can log in with it, and so must have all that the user has.
fn check_over(asker: &Asker, state: &State, user: UserId, name: &ResourceName) -> Result<(), Refusal> {
    for grant in grants_of(state, &Actor::User { user, name: name.clone() }, &[]) {
        asker.principal.decide_giving(&grant)?;
    }
    Ok(())
}

fn status(state: &State, id: UserId) -> Option<UserStatus> {
    let user = state.users.get(&id)?;
    let grants = grants_of(state, &Actor::User { user: id, name: user.name.clone() }, &[]);
    Some(UserStatus {
        id,
        name: user.name.clone(),
        grants: grants.into_iter().map(RoleGrant::from).collect(),
        created_at: user.created_at,
        password_set_at: user.password_set_at,
        sessions: state.sessions.values().filter(|session| session.user == id).count(),
    })
}

fn subject(name: &str) -> Target {
    Target::named(format!("user {name}"))
}

fn unknown(name: &str) -> Refusal {
    Refusal::NotFound(format!("there is no user `{name}`; `towpath user list` shows them"))
}
