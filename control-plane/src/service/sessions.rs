//! Sessions: opened by a login with a password, renewed by refresh tokens, closed.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use towpath_access::{Principal, Target, grants_of};
use towpath_catalog::{Actor, Cause, Origin, PasswordHash, SecretHash, SessionEnd};
use towpath_resource::api::user::SessionTokens;
use towpath_resource::api::{LoginOrder, LoginProvider, SessionStatus, WhoAmI};
use towpath_resource::{Object, Permission, RoleGrant, SessionId, UserId};
use uuid::Uuid;

use super::session_tokens::{Minted, Renewal, SESSION_LASTS};
use super::{Asker, Refusal, Service};
use crate::control::bearer::Claimed;

impl Service {
    /// Opens a session for whoever has the password.
    ///
    /// # Errors
    /// User or password is wrong, which of them is not said; or there were too many failures.
    pub async fn login(&self, order: LoginOrder, origin: Origin) -> Result<SessionTokens, Refusal> {
        let LoginOrder { user, password } = order;
        let checked = self.check_password(&user, password, origin.address).await;
        if let Err(refusal) = &checked {
            let cause = Cause { actor: Actor::Stranger, origin: Some(origin.clone()) };
            self.note_refusal(&cause, refusal).await;
        }
        let (id, checked) = checked?;
        let now = Timestamp::now();
        let ends = now.saturating_add(SESSION_LASTS).expect("hours are no calendar unit");
        let session = SessionId::from(Uuid::now_v7());
        let name = self.catalog().users.get(&id).map(|user| user.name.clone()).ok_or_else(wrong)?;
        let cause = Cause { actor: Actor::User { user: id, name }, origin: Some(origin) };
        self.command(move |catalog| catalog.open_session(session, id, &checked, ends, &cause)).await?;
        Ok(shown(&self.0.session_tokens.begin(session, now)?, ends))
    }

    /// Renews a session by its refresh token, which holds once. One that comes again ends the session, since one of those
    /// who hold it is a thief.
    ///
    /// # Errors
    /// The token is not known, was used, or its session is over.
    pub async fn refresh(&self, token: &str, origin: Origin) -> Result<SessionTokens, Refusal> {
        let over = || Refusal::Unknown("the session is over; log in again with `towpath login`".to_owned());
        let (now, state) = (Timestamp::now(), self.catalog());
        let Claimed::Refresh(id) = Claimed::by(token) else { return Err(over()) };
        let (session, user) = state.session(id, now).ok_or_else(over)?;
        match self.0.session_tokens.renew(id, &SecretHash::of(token), now)? {
            Renewal::Renewed(minted) => Ok(shown(&minted, session.expires_at)),
            Renewal::Unknown => Err(over()),
            Renewal::Reused => {
                let actor = Actor::User { user: session.user, name: user.name.clone() };
                let cause = Cause { actor, origin: Some(origin) };
                let why = SessionEnd::RefreshTokenReused;
                self.command(move |catalog| catalog.close_session(id, why, &cause)).await?;
                Err(over())
            }
        }
    }

    /// Closes the session of whoever asks.
    ///
    /// # Errors
    /// The asker did not come by a session.
    pub async fn logout(&self, asker: &Asker) -> Result<(), Refusal> {
        let session = asker.session.ok_or_else(|| {
            let who = &asker.principal.actor;
            Refusal::Conflict(format!("{who} has no session here that could be closed"))
        })?;
        let cause = asker.cause.clone();
        self.command(move |catalog| catalog.close_session(session, SessionEnd::LoggedOut, &cause)).await?;
        Ok(())
    }

    /// Who asks, as the control plane knows them.
    pub fn whoami(&self, asker: &Asker) -> WhoAmI {
        let actor = &asker.principal.actor;
        WhoAmI {
            who: actor.to_string(),
            actor: serde_json::to_value(actor).expect("an actor is always JSON"),
            grants: asker.principal.grants.iter().cloned().map(RoleGrant::from).collect(),
            groups: asker.groups.clone(),
        }
    }

    /// The identity providers that one can log in at.
    pub async fn login_providers(&self) -> Vec<LoginProvider> {
        self.0.providers.logins(&self.catalog()).await
    }

    /// The sessions that are open.
    ///
    /// # Errors
    /// They are not the asker's to see.
    pub fn sessions(&self, asker: &Asker) -> Result<Vec<SessionStatus>, Refusal> {
        asker.require(Permission::read(Object::Session), &Target::named("sessions"))?;
        let (state, now) = (self.catalog(), Timestamp::now());
        let open = state.sessions.keys().filter_map(|id| {
            let (session, user) = state.session(*id, now)?;
            let (opened_at, expires_at, address) = (session.opened_at, session.expires_at, session.address);
            Some(SessionStatus { id: *id, user: user.name.clone(), opened_at, expires_at, address })
        });
        Ok(open.collect())
    }

    /// Closes a session, at once.
    ///
    /// # Errors
    /// It is not open, or not the asker's to close.
    pub async fn close_session(&self, asker: &Asker, id: &str) -> Result<(), Refusal> {
        asker.require(Permission::write(Object::Session), &Target::named(format!("session {id}")))?;
        let unknown = || Refusal::NotFound(format!("there is no open session {id}"));
        let session: SessionId = id.parse().map_err(|_| unknown())?;
        let cause = asker.cause.clone();
        let closed =
            self.command(move |catalog| catalog.close_session(session, SessionEnd::Closed, &cause)).await?;
        if closed { Ok(()) } else { Err(unknown()) }
    }

    /// Finds out whether this is the user's password, in the same time whether there is such a user or not.
    pub(super) async fn check_password(
        &self,
        user: &str,
        password: String,
        address: Option<IpAddr>,
    ) -> Result<(UserId, PasswordHash), Refusal> {
        let waits = |wait: Duration| {
            let seconds = wait.as_secs() + 1;
            Refusal::TooMany(format!("too many failed logins; try again in {seconds} s"))
        };
        self.0.throttle.attempt(user, address, Instant::now()).map_err(waits)?;
        let known = self.catalog().user(user).map(|(id, user)| (id, user.hash.clone()));
        let hash = known.as_ref().map(|(_, hash)| hash.clone());
        let right = self.0.passwords.is_right(hash, password).await?;
        let found = known.filter(|_| right).ok_or_else(wrong)?;
        self.0.throttle.succeeded(user, address);
        Ok(found)
    }

    /// Who presents the access token of a session.
    pub(super) fn by_session(&self, id: SessionId, secret: &SecretHash) -> Result<Principal, Refusal> {
        let (state, now) = (self.catalog(), Timestamp::now());
        let (session, user) = state.session(id, now).ok_or_else(Refusal::unauthenticated)?;
        if !self.0.session_tokens.is_opened_by(id, secret, now) {
            return Err(Refusal::unauthenticated());
        }
        let actor = Actor::User { user: session.user, name: user.name.clone() };
        let grants = grants_of(&state, &actor, &[]);
        Ok(Principal { actor, grants })
    }
}

fn shown(minted: &Minted, ends: Timestamp) -> SessionTokens {
    SessionTokens {
        access_token: minted.access.reveal().to_owned(),
        expires_at: minted.access_until.min(ends),
        refresh_token: minted.refresh.reveal().to_owned(),
        session_expires_at: ends,
    }
}

fn wrong() -> Refusal {
    Refusal::Unknown("user or password is wrong".to_owned())
}
