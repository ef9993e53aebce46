//! Tokens, certificates and who is let in.

use std::sync::Barrier;

use jiff::Timestamp;
use towpath_catalog::users::MOST_SESSIONS;
use towpath_catalog::{Catalog, EnrolError, PasswordHash, SecretHash, UserError};
use towpath_resource::{Kind, SessionId, UserId};
use uuid::Uuid;

use crate::fixture::*;

fn hour_from_start() -> Timestamp {
    Timestamp::from_second(START + 3_600).unwrap()
}

#[test]
fn of_a_hundred_concurrent_uses_of_a_token_one_wins() {
    let dir = tempfile::tempdir().unwrap();
    let catalog = open(&dir);
    catalog.put(site("plant")).unwrap();
    let secret = SecretHash::of("once");
    catalog.create_token(secret, "plant", hour_from_start(), &admin()).unwrap();
    let barrier = Barrier::new(100);
    let wins = std::thread::scope(|scope| {
        let uses: Vec<_> = (0..100)
            .map(|n| {
                let (catalog, barrier) = (&catalog, &barrier);
                scope.spawn(move || {
                    barrier.wait();
                    catalog.enrol(&secret, &name(&format!("agent-{n}")), "0.1.0")
                })
            })
            .collect();
        uses.into_iter()
            .map(|thread| thread.join().unwrap())
            .filter(|result| match result {
                Ok(_) => true,
                Err(EnrolError::UsedToken { site }) => {
                    assert_eq!(*site, name("plant"));
                    false
                }
                Err(other) => panic!("{other}"),
            })
            .count()
    });
    assert_eq!(wins, 1);
    assert_eq!(catalog.state().agents.len(), 1);
}

#[test]
fn a_token_that_is_unknown_expired_taken_back_or_of_a_deleted_site_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let (config, clock) = config();
    let (catalog, _) = Catalog::open(dir.path(), config).unwrap();
    catalog.put(site("plant")).unwrap();
    catalog.put(site("gone")).unwrap();
    let enrol = |secret: &str| catalog.enrol(&SecretHash::of(secret), &name("a"), "0.1.0").unwrap_err();
    assert!(matches!(enrol("never made"), EnrolError::UnknownToken));

    let id =
        catalog.create_token(SecretHash::of("taken back"), "plant", hour_from_start(), &admin()).unwrap();
    assert!(catalog.revoke_token(id, &admin()).unwrap());
    assert!(!catalog.revoke_token(id, &admin()).unwrap());
    assert!(matches!(enrol("taken back"), EnrolError::UnknownToken));

    catalog.create_token(SecretHash::of("orphan"), "gone", hour_from_start(), &admin()).unwrap();
    catalog.delete(Kind::Site, &name("gone"), &admin()).unwrap();
    assert!(matches!(enrol("orphan"), EnrolError::UnknownToken));

    catalog.create_token(SecretHash::of("late"), "plant", hour_from_start(), &admin()).unwrap();
    clock.advance(3_600);
    assert!(matches!(enrol("late"), EnrolError::ExpiredToken { .. }));
    clock.advance(40 * 24 * 3_600);
    let much_later = clock.now().checked_add(jiff::SignedDuration::from_hours(1)).unwrap();
    catalog.create_token(SecretHash::of("fresh"), "plant", much_later, &admin()).unwrap();
    assert!(matches!(enrol("late"), EnrolError::UnknownToken), "what expired long ago is forgotten");
    assert!(catalog.create_token(SecretHash::of("x"), "plnt", much_later, &admin()).is_err());
}

#[test]
fn a_name_that_is_taken_does_not_use_the_token_up() {
    let dir = tempfile::tempdir().unwrap();
    let (catalog, _) = furnished(&dir);
    let secret = SecretHash::of("second");
    catalog.create_token(secret, "plant", hour_from_start(), &admin()).unwrap();
    let taken = catalog.enrol(&secret, &name("plant-1"), "0.1.0").unwrap_err();
    assert!(matches!(taken, EnrolError::NameTaken { .. }), "{taken}");
    assert!(catalog.enrol(&secret, &name("plant-2"), "0.1.0").is_ok());
}

#[test]
fn a_revoked_agent_gets_no_certificate_and_is_revoked_once() {
    let dir = tempfile::tempdir().unwrap();
    let (catalog, agent) = furnished(&dir);
    catalog.record_certificate(agent, "4f".into(), hour_from_start()).unwrap();
    assert_eq!(catalog.state().certificates[&agent].serial, "4f");
    assert_eq!(catalog.revoke_agent("plant-1", &admin()).unwrap(), agent);
    let seq = catalog.state().seq;
    catalog.revoke_agent("plant-1", &admin()).unwrap();
    assert_eq!(catalog.state().seq, seq);
    assert!(!catalog.state().admits(agent));
    let refused = catalog.record_certificate(agent, "50".into(), hour_from_start()).unwrap_err();
    assert!(matches!(refused, EnrolError::Revoked { .. }));
}

#[test]
fn an_admin_is_known_by_the_hash_of_the_token_and_no_secret_is_stored() {
    let dir = tempfile::tempdir().unwrap();
    let catalog = open(&dir);
    let id = catalog.create_admin_token("ada", SecretHash::of("open sesame")).unwrap();
    let state = catalog.state();
    assert_eq!(
        state.admin(&SecretHash::of(" open sesame\n")).map(|(id, token)| (id, token.name.as_str())),
        Some((id, "ada"))
    );
    assert!(state.admin(&SecretHash::of("open sesam")).is_none());
    drop(catalog);
    let mut files = vec![dir.path().to_owned()];
    while let Some(path) = files.pop() {
        if path.is_dir() {
            files.extend(std::fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path()));
        } else {
            let bytes = std::fs::read(&path).unwrap();
            assert!(!bytes.windows(11).any(|window| window == b"open sesame"), "{}", path.display());
        }
    }
}

fn user(catalog: &Catalog) -> (UserId, PasswordHash) {
    let (id, hash) = (UserId::from(Uuid::from_u128(1)), PasswordHash("old".to_owned()));
    catalog.create_user(id, name("ada"), hash.clone(), &admin()).unwrap();
    (id, hash)
}

fn session(n: usize) -> SessionId {
    Uuid::from_u128(n as u128).into()
}

#[test]
fn a_session_is_not_opened_by_a_password_that_was_changed_meanwhile() {
    let dir = tempfile::tempdir().unwrap();
    let catalog = open(&dir);
    let (ada, old) = user(&catalog);
    catalog.open_session(session(1), ada, &old, hour_from_start(), &admin()).unwrap();
    catalog.set_password(ada, PasswordHash("new".to_owned()), &admin()).unwrap();
    assert!(catalog.state().sessions.is_empty(), "a new password ends every session");
    let refused = catalog.open_session(session(2), ada, &old, hour_from_start(), &admin()).unwrap_err();
    assert!(matches!(refused, UserError::Unknown(_)), "{refused}");
}

#[test]
fn the_oldest_of_too_many_sessions_ends_and_those_that_are_over_are_forgotten() {
    let dir = tempfile::tempdir().unwrap();
    let (config, clock) = config();
    let (catalog, _) = Catalog::open(dir.path(), config).unwrap();
    let (ada, hash) = user(&catalog);
    let open = |n, ends| catalog.open_session(session(n), ada, &hash, ends, &admin()).unwrap();
    (0..=MOST_SESSIONS).for_each(|n| open(n, hour_from_start()));
    let state = catalog.state();
    assert_eq!(state.sessions.size(), MOST_SESSIONS);
    assert!(
        state.session(session(0), clock.now()).is_none() && state.session(session(1), clock.now()).is_some()
    );
    clock.advance(3_600);
    assert!(state.session(session(1), clock.now()).is_none());
    open(99, clock.now().checked_add(jiff::SignedDuration::from_hours(1)).unwrap());
    assert_eq!(catalog.state().sessions.size(), 1);
}
