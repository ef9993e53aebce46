//! Commands that come at once share a sync, and none is answered before all that it rests on is durable.

use std::path::Path;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use jiff::Timestamp;
use towpath_catalog::{ApplyError, Catalog, CatalogConfig, CatalogError, EnrolError, Outcome, SecretHash};
use towpath_resource::Kind;
use towpath_segment::simulated::{Faults, SimulatedStorage, Tear};

use crate::fixture::*;
use crate::gated::Gated;

const A_WHILE: Duration = Duration::from_millis(200);
const SURELY: Duration = Duration::from_secs(20);

fn open_gated(storage: &Gated) -> Catalog<Gated> {
    // Without a key there are no checkpoints, so that each sync is one of events.
    let config = CatalogConfig { key: None, ..config().0 };
    Catalog::open_on(storage.clone(), Path::new("/catalog"), None, config).unwrap().0
}

/// Puts a site on a thread of its own.
fn put<'scope, 'env: 'scope>(
    scope: &'scope std::thread::Scope<'scope, 'env>,
    catalog: &'env Catalog<Gated>,
    name: &str,
) -> Receiver<Result<Outcome, ApplyError>> {
    let ((sender, receiver), manifest) = (channel(), site(name));
    scope.spawn(move || sender.send(catalog.put(manifest).map(|applied| applied.outcome)).unwrap());
    receiver
}

#[test]
fn commands_that_come_while_another_syncs_share_the_next_sync() {
    let storage = Gated::default();
    let catalog = open_gated(&storage);
    let before = storage.storage.syncs();
    storage.close(true);
    std::thread::scope(|scope| {
        let first = put(scope, &catalog, "first");
        storage.wait_for_one();
        let others: Vec<_> = (0..20).map(|n| put(scope, &catalog, &format!("n{n}"))).collect();
        std::thread::sleep(A_WHILE);
        assert!(first.try_recv().is_err(), "nothing is durable yet");
        assert_eq!(catalog.state().seq, 0, "and nothing is shown");
        storage.close(false);
        for answer in others.iter().chain([&first]) {
            assert_eq!(answer.recv_timeout(SURELY).unwrap().unwrap(), Outcome::Created);
        }
    });
    assert_eq!((catalog.state().seq, catalog.state().sites.len()), (21, 21));
    let syncs = storage.storage.syncs() - before;
    // One thread or another may come late on a busy machine.
    assert!(syncs <= 8, "{syncs} syncs for 21 events");
    let events = catalog.events(0, 100).unwrap();
    assert!(events.iter().map(|event| event.seq).eq(1..=21));
    assert!(catalog.verify().unwrap().is_sound());
}

#[test]
fn an_answer_without_an_event_waits_for_the_events_that_it_rests_on_and_fails_with_them() {
    let storage = Gated::default();
    let catalog = open_gated(&storage);
    storage.close(true);
    std::thread::scope(|scope| {
        let creates = put(scope, &catalog, "plant");
        storage.wait_for_one();
        let finds_it_unchanged = put(scope, &catalog, "plant");
        let (sender, finds_nothing) = channel();
        scope.spawn({
            let catalog = &catalog;
            move || {
                let gone =
                    catalog.delete(Kind::Site, &name("plnt"), &admin()).map_err(|error| error.to_string());
                sender.send(gone).unwrap();
            }
        });
        assert!(finds_it_unchanged.recv_timeout(A_WHILE).is_err(), "what it is equal to is not durable");
        assert!(finds_nothing.try_recv().is_err(), "what it was refused for is not durable");
        let fail_sync = Some(storage.storage.syncs() + 1);
        storage.storage.set_faults(Faults { fail_sync, ..Faults::default() });
        storage.close(false);
        assert!(matches!(creates.recv_timeout(SURELY).unwrap(), Err(ApplyError::Catalog(_))));
        assert!(matches!(finds_it_unchanged.recv_timeout(SURELY).unwrap(), Err(ApplyError::Catalog(_))));
        let told = finds_nothing.recv_timeout(SURELY).unwrap().unwrap_err();
        assert!(told.contains("cannot write"), "{told}");
    });
}

#[test]
fn what_was_decided_on_a_batch_that_fails_fails_with_it_and_the_next_command_works() {
    let storage = Gated::default();
    let catalog = open_gated(&storage);
    storage.close(true);
    std::thread::scope(|scope| {
        let first = put(scope, &catalog, "first");
        storage.wait_for_one();
        let on_top = put(scope, &catalog, "on-top");
        std::thread::sleep(A_WHILE);
        let fail_sync = Some(storage.storage.syncs() + 1);
        storage.storage.set_faults(Faults { fail_sync, ..Faults::default() });
        storage.close(false);
        assert!(first.recv_timeout(SURELY).unwrap().is_err());
        assert!(on_top.recv_timeout(SURELY).unwrap().is_err());
        assert_eq!(put(scope, &catalog, "after").recv_timeout(SURELY).unwrap().unwrap(), Outcome::Created);
    });
    assert_eq!(catalog.state().sites.names().collect::<Vec<_>>(), [&name("after")]);
    let found =
        Catalog::open_on(storage.storage.power_cut(Tear::Prefix(0)), Path::new("/catalog"), None, config().0);
    let found = found.unwrap().0;
    assert_eq!((found.state().seq, found.state().sites.len()), (1, 1));
    assert!(found.verify().unwrap().is_sound());
}

#[test]
fn an_event_that_is_too_large_is_refused_alone() {
    let dir = tempfile::tempdir().unwrap();
    let (catalog, _) = furnished(&dir);
    let (secret, later) = (SecretHash::of("second"), Timestamp::from_second(START + 60).unwrap());
    catalog.create_token(secret, "plant", later, &admin()).unwrap();
    let before = catalog.state();
    let refused = catalog.enrol(&secret, &name("plant-2"), &"x".repeat(1 << 20)).unwrap_err();
    assert!(matches!(refused, EnrolError::Catalog(CatalogError::Append(_))), "{refused}");
    assert_eq!(catalog.state(), before);
    catalog.enrol(&secret, &name("plant-2"), "0.1.0").unwrap();
    assert!(catalog.verify().unwrap().is_sound());
}

#[test]
fn after_a_power_cut_while_many_command_at_once_every_answered_command_holds() {
    for crash_at in (1..160).step_by(3) {
        let storage = SimulatedStorage::with_faults(Faults { crash_at: Some(crash_at), ..Faults::default() });
        let open = |storage| Catalog::open_on(storage, Path::new("/catalog"), None, config().0);
        let mut answered = Vec::new();
        if let Ok((catalog, _)) = open(storage.clone()) {
            answered = std::thread::scope(|scope| {
                let threads: Vec<_> = (0..4)
                    .map(|thread| {
                        let catalog = &catalog;
                        scope.spawn(move || {
                            let names = (0..8).map(|n| format!("t{thread}-{n}"));
                            names.filter(|name| catalog.put(site(name)).is_ok()).collect::<Vec<_>>()
                        })
                    })
                    .collect();
                threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
            });
        }
        for tear in
            (0..=storage.pending_units()).step_by(101).map(Tear::Prefix).chain((0..3).map(Tear::Scatter))
        {
            let (found, _) = open(storage.power_cut(tear)).unwrap();
            let there = found.state();
            for site in &answered {
                assert!(
                    there.sites.contains_key(&name(site)),
                    "crash at {crash_at}, {tear:?}: {site} was answered"
                );
            }
            assert_eq!(there.seq as usize, there.sites.len(), "crash at {crash_at}, {tear:?}");
            assert!(found.verify().unwrap().is_sound(), "crash at {crash_at}, {tear:?}");
        }
    }
}
