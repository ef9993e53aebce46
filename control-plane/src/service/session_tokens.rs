//! The tokens of open sessions, as hashes. They change with every renewal, so they are kept beside the catalog's events
//! and not in them, in `sessions.json`: an event opens a session and an event closes it, however often it is renewed.
//!
//! The file is written a few seconds after a change. If the control plane is killed before that, those who renewed in
//! these seconds must log in again; nobody else gains anything by it.

use std::collections::{BTreeMap, VecDeque};
use std::path::Path;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use towpath_catalog::{SecretHash, State};
use towpath_resource::SessionId;

use super::lossy::Lossy;
use crate::control::bearer::{Bearer, NoRandomBytes};

/// How long an access token holds.
pub(super) const ACCESS_HOLDS: SignedDuration = SignedDuration::from_mins(15);
/// How long a session lasts, and with it its refresh tokens.
pub(super) const SESSION_LASTS: SignedDuration = SignedDuration::from_hours(12);
/// Refresh tokens of a session that are remembered after their use, so that a second use is seen. A session that is
/// renewed when its access tokens end needs 48.
const REMEMBERED: usize = 64;

/// The tokens of open sessions.
pub(super) struct SessionTokens(Lossy<BTreeMap<SessionId, Held>>);

#[derive(Serialize, Deserialize)]
struct Held {
    access: SecretHash,
    access_until: Timestamp,
    refresh: SecretHash,
    used: VecDeque<SecretHash>,
}

/// New tokens of a session.
pub(super) struct Minted {
    pub(super) access: Bearer,
    pub(super) access_until: Timestamp,
    pub(super) refresh: Bearer,
}

/// What came of a refresh token.
pub(super) enum Renewal {
    /// It held, and these are the next.
    Renewed(Minted),
    /// It was used before.
    Reused,
    /// Nobody was given it.
    Unknown,
}

impl SessionTokens {
    /// The tokens that are kept in this directory.
    pub(super) fn open(dir: &Path) -> Self {
        Self(Lossy::open(dir.join("sessions.json")))
    }

    /// Gives a new session its tokens.
    pub(super) fn begin(&self, id: SessionId, now: Timestamp) -> Result<Minted, NoRandomBytes> {
        let minted = Minted::new(id, now)?;
        self.0.change(|sessions| {
            let (access, refresh) = (minted.access.hash(), minted.refresh.hash());
            let access_until = minted.access_until;
            sessions.insert(id, Held { access, access_until, refresh, used: VecDeque::new() });
            ((), true)
        });
        Ok(minted)
    }

    /// Whether this is the access token of the session.
    pub(super) fn is_opened_by(&self, id: SessionId, access: &SecretHash, now: Timestamp) -> bool {
        self.0.read(|sessions| {
            sessions.get(&id).is_some_and(|held| held.access.is(access) && now < held.access_until)
        })
    }

    /// Uses a refresh token up. Of any number of concurrent uses one renews the session.
    pub(super) fn renew(
        &self,
        id: SessionId,
        refresh: &SecretHash,
        now: Timestamp,
    ) -> Result<Renewal, NoRandomBytes> {
        let next = Minted::new(id, now)?;
        Ok(self.0.change(|sessions| {
            let Some(held) = sessions.get_mut(&id) else { return (Renewal::Unknown, false) };
            if held.used.iter().any(|used| used.is(refresh)) {
                sessions.remove(&id);
                return (Renewal::Reused, true);
            }
            if !held.refresh.is(refresh) {
                return (Renewal::Unknown, false);
            }
            held.used.push_back(held.refresh);
            if held.used.len() > REMEMBERED {
                held.used.pop_front();
            }
            (held.access, held.refresh) = (next.access.hash(), next.refresh.hash());
            held.access_until = next.access_until;
            (Renewal::Renewed(next), true)
        }))
    }

    /// Writes what is new, of the sessions that are still open. Blocks.
    pub(super) fn write(&self, state: &State) {
        self.0.write(|sessions| sessions.retain(|id, _| state.sessions.contains_key(id)));
    }
}

impl Minted {
    fn new(id: SessionId, now: Timestamp) -> Result<Self, NoRandomBytes> {
        let access_until = now.saturating_add(ACCESS_HOLDS).expect("minutes are no calendar unit");
        Ok(Self { access: Bearer::access(id)?, access_until, refresh: Bearer::refresh(id)? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn renewed(renewal: Renewal) -> Minted {
        match renewal {
            Renewal::Renewed(minted) => minted,
            Renewal::Reused => panic!("reused"),
            Renewal::Unknown => panic!("unknown"),
        }
    }

    #[test]
    fn an_access_token_holds_for_its_time_and_until_the_next() {
        let dir = tempfile::tempdir().unwrap();
        let tokens = SessionTokens::open(dir.path());
        let id = SessionId::from(Uuid::from_u128(1));
        let first = tokens.begin(id, at(0)).unwrap();
        assert!(tokens.is_opened_by(id, &first.access.hash(), at(899)));
        assert!(!tokens.is_opened_by(id, &first.access.hash(), at(900)));
        let second = renewed(tokens.renew(id, &first.refresh.hash(), at(10)).unwrap());
        assert!(!tokens.is_opened_by(id, &first.access.hash(), at(11)));
        assert!(tokens.is_opened_by(id, &second.access.hash(), at(11)));
        assert!(!tokens.is_opened_by(id, &second.refresh.hash(), at(11)), "a refresh token opens nothing");
    }

    #[test]
    fn a_refresh_token_that_comes_twice_ends_the_session_for_both_who_hold_it() {
        let dir = tempfile::tempdir().unwrap();
        let tokens = SessionTokens::open(dir.path());
        let id = SessionId::from(Uuid::from_u128(1));
        let first = tokens.begin(id, at(0)).unwrap();
        let second = renewed(tokens.renew(id, &first.refresh.hash(), at(10)).unwrap());
        let third = renewed(tokens.renew(id, &second.refresh.hash(), at(20)).unwrap());
        assert!(matches!(tokens.renew(id, &first.access.hash(), at(21)), Ok(Renewal::Unknown)));
        assert!(matches!(tokens.renew(id, &first.refresh.hash(), at(22)), Ok(Renewal::Reused)));
        assert!(!tokens.is_opened_by(id, &third.access.hash(), at(23)));
        assert!(matches!(tokens.renew(id, &third.refresh.hash(), at(23)), Ok(Renewal::Unknown)));
    }

    #[test]
    fn of_a_hundred_concurrent_uses_of_a_refresh_token_at_most_one_renews() {
        let dir = tempfile::tempdir().unwrap();
        let tokens = SessionTokens::open(dir.path());
        let id = SessionId::from(Uuid::from_u128(1));
        let refresh = tokens.begin(id, at(0)).unwrap().refresh.hash();
        let wins = std::thread::scope(|scope| {
            let uses: Vec<_> =
                (0..100).map(|_| scope.spawn(|| tokens.renew(id, &refresh, at(1)).unwrap())).collect();
            let ended = uses.into_iter().map(|one| one.join().unwrap());
            ended.filter(|renewal| matches!(renewal, Renewal::Renewed(_))).count()
        });
        assert_eq!(wins, 1);
    }
}
