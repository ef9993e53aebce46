//! What was answered stays, whatever breaks; what was refused never happened.

use std::path::Path;

use proptest::prelude::*;
use towpath_catalog::{
    Catalog, CatalogError, DeleteError, NewKey, PasswordHash, SecretHash, SessionEnd, State,
};
use towpath_resource::{KeyId, Kind, RoleGrant, Scope, SessionId, StartFrom, UserId};
use towpath_segment::simulated::{Faults, SimulatedStorage, Tear};

use crate::fixture::*;

/// Commands that mostly succeed, some of which depend on earlier ones.
#[derive(Clone, Debug)]
enum Command {
    Site(u8),
    Join(u8, u8),
    Source(u8, u8),
    Sink(u8, u8),
    Route(u8, u8),
    Delete(usize, u8),
    Revoke(u8),
    Replay(u8),
    Admin(u8),
    RevokeAdmins,
    Key(u8),
    RotateKey(u8),
    RevokeKey(u8),
    User(u8),
    Password(u8),
    DeleteUser(u8),
    Login(u8, u8),
    Logout(u8),
}

fn commands() -> impl Strategy<Value = Vec<Command>> {
    let n = || 0u8..3;
    prop::collection::vec(
        prop_oneof![
            n().prop_map(Command::Site),
            (n(), n()).prop_map(|(site, agent)| Command::Join(site, agent)),
            (n(), n()).prop_map(|(name, agent)| Command::Source(name, agent)),
            (n(), n()).prop_map(|(name, agent)| Command::Sink(name, agent)),
            (n(), n()).prop_map(|(name, sink)| Command::Route(name, sink)),
            (0..5usize, n()).prop_map(|(kind, name)| Command::Delete(kind, name)),
            n().prop_map(Command::Revoke),
            n().prop_map(Command::Replay),
            n().prop_map(Command::Admin),
            Just(Command::RevokeAdmins),
            n().prop_map(Command::Key),
            n().prop_map(Command::RotateKey),
            n().prop_map(Command::RevokeKey),
            n().prop_map(Command::User),
            n().prop_map(Command::Password),
            n().prop_map(Command::DeleteUser),
            (n(), n()).prop_map(|(user, session)| Command::Login(user, session)),
            n().prop_map(Command::Logout),
        ],
        1..40,
    )
}

fn run<S: towpath_segment::Storage>(catalog: &Catalog<S>, command: &Command) {
    match command {
        Command::Site(n) => drop(catalog.put(site(&format!("n{n}")))),
        Command::Join(to, n) => {
            let secret = SecretHash::of(&format!("{n}"));
            let later = jiff::Timestamp::from_second(START + 60).unwrap();
            drop(catalog.create_token(secret, &format!("n{to}"), later, &admin()));
            drop(catalog.enrol(&secret, &name(&format!("n{n}")), "0.1.0"));
        }
        Command::Source(n, agent) => drop(catalog.put(source(&format!("n{n}"), &format!("n{agent}")))),
        Command::Sink(n, agent) => drop(catalog.put(sink(&format!("n{n}"), &format!("n{agent}")))),
        Command::Route(n, to) => drop(catalog.put(route(&format!("n{n}"), &format!("n{to}")))),
        Command::Delete(kind, n) => drop(catalog.delete(Kind::ALL[*kind], &name(&format!("n{n}")), &admin())),
        Command::Revoke(n) => drop(catalog.revoke_agent(&format!("n{n}"), &admin())),
        Command::Replay(n) => drop(catalog.replay_route(&format!("n{n}"), StartFrom::Earliest, &admin())),
        Command::Admin(n) => drop(catalog.create_admin_token("ada", SecretHash::of(&format!("a{n}")))),
        Command::RevokeAdmins => drop(catalog.revoke_admin_tokens(&admin())),
        Command::Key(n) => drop(catalog.create_key(key_id(*n), new_key(*n), &admin())),
        Command::RotateKey(n) => {
            let (hash, until) =
                (SecretHash::of(&format!("new {n}")), jiff::Timestamp::from_second(START + 60));
            drop(catalog.rotate_key(key_id(*n), hash, until.unwrap(), None, &admin()));
        }
        Command::User(n) => {
            drop(catalog.create_user(user_id(*n), name(&format!("n{n}")), password("old"), &admin()));
        }
        Command::Password(n) => drop(catalog.set_password(user_id(*n), password("new"), &admin())),
        Command::DeleteUser(n) => drop(catalog.delete_user(user_id(*n), &admin())),
        Command::Login(n, session) => {
            let ends = jiff::Timestamp::from_second(START + 60).unwrap();
            drop(catalog.open_session(session_id(*session), user_id(*n), &password("old"), ends, &admin()));
        }
        Command::Logout(n) => drop(catalog.close_session(session_id(*n), SessionEnd::LoggedOut, &admin())),
        Command::RevokeKey(n) => drop(catalog.revoke_key(key_id(*n), &admin())),
    }
}

fn key_id(n: u8) -> KeyId {
    uuid::Uuid::from_u128(n.into()).into()
}

fn user_id(n: u8) -> UserId {
    uuid::Uuid::from_u128(n.into()).into()
}

fn session_id(n: u8) -> SessionId {
    uuid::Uuid::from_u128(n.into()).into()
}

fn password(text: &str) -> PasswordHash {
    PasswordHash(text.to_owned())
}

fn new_key(n: u8) -> NewKey {
    let scope = Scope { sites: vec![name("n0")], ..Scope::default() };
    let grants = vec![RoleGrant { role: name("viewer"), scope }];
    NewKey {
        name: name(&format!("n{n}")),
        hash: SecretHash::of(&format!("key {n}")),
        grants,
        expires_at: None,
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn what_is_rebuilt_equals_what_was_live(commands in commands()) {
        let dir = tempfile::tempdir().unwrap();
        let catalog = open(&dir);
        commands.iter().for_each(|command| run(&catalog, command));
        let live = catalog.state();
        drop(catalog);

        let (catalog, opened) = Catalog::open(dir.path(), config().0).unwrap();
        prop_assert_eq!(&catalog.state(), &live, "from the projection");
        prop_assert_eq!(opened.replayed, 0);
        drop(catalog);

        std::fs::remove_dir_all(dir.path().join("projection")).unwrap();
        let (catalog, opened) = Catalog::open(dir.path(), config().0).unwrap();
        prop_assert_eq!(&catalog.state(), &live, "from the events");
        prop_assert_eq!(opened.replayed, live.seq);
        drop(catalog);

        // From what retention leaves: the snapshot of a state, and no event before it.
        let (config, clock) = config();
        let (catalog, _) = Catalog::open(dir.path(), config).unwrap();
        clock.advance(1_000);
        for _ in 0..2 {
            catalog.retain(std::time::Duration::from_secs(100)).unwrap();
        }
        drop(catalog);
        std::fs::remove_dir_all(dir.path().join("projection")).unwrap();
        let (catalog, opened) = Catalog::open(dir.path(), super::fixture::config().0).unwrap();
        prop_assert_eq!(&catalog.state(), &live, "from a snapshot");
        prop_assert_eq!(opened.replayed, 0);
        let found = catalog.verify().unwrap();
        prop_assert!(found.is_sound(), "{:?}", found);
    }
}

fn workload() -> Vec<Command> {
    use Command::*;
    vec![
        Admin(1),
        Site(0),
        Join(0, 0),
        Source(0, 0),
        Sink(0, 0),
        Route(0, 0),
        Replay(0),
        Site(1),
        Join(1, 1),
        Source(1, 1),
        Delete(4, 0),
        Revoke(1),
        Delete(3, 0),
        Site(2),
    ]
}

fn open_simulated(
    storage: SimulatedStorage,
) -> Result<Catalog<SimulatedStorage>, towpath_catalog::OpenError> {
    Ok(Catalog::open_on(storage, Path::new("/catalog"), None, config().0)?.0)
}

/// Ids are random, so states are compared by what admins would see, and by how many events led there.
fn seen(state: &State) -> (u64, Vec<String>) {
    let resources = Kind::ALL.into_iter().flat_map(|kind| state.list(kind));
    let mut seen: Vec<_> =
        resources.map(|resource| format!("{}@{}", resource.subject(), resource.generation())).collect();
    seen.extend([
        format!("{} tokens", state.tokens.size()),
        format!("{} admins", state.admin_tokens.size()),
        format!("{} revoked", state.revoked.size()),
        format!("{} replays", state.replays.size()),
    ]);
    (state.seq, seen)
}

#[test]
fn after_a_power_cut_at_any_operation_every_answered_command_holds_and_no_half_one() {
    let total = {
        let storage = SimulatedStorage::default();
        let catalog = open_simulated(storage.clone()).unwrap();
        workload().iter().for_each(|command| run(&catalog, command));
        assert_eq!(catalog.state().seq, 16, "every command of the workload succeeds");
        storage.operations()
    };
    for crash_at in 1..=total {
        let storage = SimulatedStorage::with_faults(Faults { crash_at: Some(crash_at), ..Faults::default() });
        let mut answered = seen(&State::default());
        if let Ok(catalog) = open_simulated(storage.clone()) {
            for command in workload() {
                run(&catalog, &command);
            }
            answered = seen(&catalog.state());
        }
        let tears =
            (0..=storage.pending_units()).step_by(7).map(Tear::Prefix).chain((0..4).map(Tear::Scatter));
        for tear in tears {
            let found = open_simulated(storage.power_cut(tear)).unwrap();
            let (seq, resources) = seen(&found.state());
            assert!(
                seq >= answered.0,
                "crash at {crash_at}, {tear:?}: event {} was answered, {seq} is left",
                answered.0
            );
            assert!(seq <= answered.0 + 1, "crash at {crash_at}, {tear:?}: more than the one under way");
            if seq == answered.0 {
                assert_eq!(resources, answered.1, "crash at {crash_at}, {tear:?}");
            }
            let verified = found.verify().unwrap();
            assert!(
                verified.is_sound() && verified.events == seq,
                "crash at {crash_at}, {tear:?}: {verified:?}"
            );
            assert!(found.put(site("after")).is_ok());
        }
    }
    assert!(total > 30, "the workload touches the disk {total} times only");
}

#[test]
fn after_a_failed_sync_the_command_has_not_happened_and_the_next_one_works() {
    for failing in 1..12 {
        let storage = SimulatedStorage::default();
        let catalog = open_simulated(storage.clone()).unwrap();
        let fail_sync = Some(storage.syncs() + failing);
        storage.set_faults(Faults { fail_sync, ..Faults::default() });
        let mut answered = Vec::new();
        for n in 0..8 {
            let before = catalog.state();
            let site_name = format!("n{n}");
            match catalog.put(site(&site_name)) {
                Ok(_) => answered.push(name(&site_name)),
                Err(_) => assert_eq!(catalog.state(), before),
            }
        }
        let reopened = open_simulated(storage.power_cut(Tear::Prefix(0))).unwrap();
        assert_eq!(reopened.state().sites.names().cloned().collect::<Vec<_>>(), answered, "sync {failing}");
        assert!(failing > 8 || answered.len() == 7, "sync {failing}: {answered:?}");
    }
}

#[test]
fn a_full_disk_refuses_commands_and_work_resumes_when_there_is_space() {
    let storage = SimulatedStorage::default();
    let catalog = open_simulated(storage.clone()).unwrap();
    catalog.put(site("before")).unwrap();
    let used = storage.files().iter().map(|(_, size)| size).sum::<u64>();
    storage.set_faults(Faults { capacity: Some(used + 20), ..Faults::default() });
    let refused = catalog.delete(Kind::Site, &name("before"), &admin()).unwrap_err();
    assert!(matches!(refused, DeleteError::Catalog(CatalogError::NoSpace(_))), "{refused}");
    assert_eq!(catalog.state().sites.len(), 1);
    storage.set_faults(Faults::default());
    catalog.delete(Kind::Site, &name("before"), &admin()).unwrap();
    assert_eq!(catalog.state().sites.len(), 0);
    assert_eq!((catalog.verify().unwrap().events, catalog.verify().unwrap().is_sound()), (2, true));
}
