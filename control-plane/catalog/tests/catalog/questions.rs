//! What happened, by whom, and what a resource was before.

use towpath_catalog::{Actor, Catalog, Cause, Denial, Order, Query, SecretHash};
use towpath_resource::Kind;
use towpath_resource::api::Happened;

use crate::fixture::*;

#[test]
fn every_version_of_a_resource_says_who_changed_what_and_can_be_had_again() {
    let dir = tempfile::tempdir().unwrap();
    let (catalog, _) = furnished(&dir);
    let changed = resource("Source", "erp", "{agent: plant-1, adapter: file, config: {path: /other}}");
    catalog.put(changed).unwrap();
    catalog.delete(Kind::Source, &name("erp"), &admin()).unwrap();
    catalog.put(source("erp", "plant-1")).unwrap();

    let history = catalog.history(Kind::Source, &name("erp")).unwrap();
    let happened: Vec<_> = history.iter().map(|version| version.happened).collect();
    assert_eq!(happened, [Happened::Created, Happened::Changed, Happened::Deleted, Happened::Created]);
    assert!(history.iter().all(|version| version.cause == admin()));
    let fields: Vec<_> = history[1].changes.iter().map(|change| change.field.as_str()).collect();
    assert_eq!(fields, ["spec.config.path"]);
    assert_eq!(history[1].changes[0].from, Some("/srv".into()));
    assert_eq!(history[3].generation, catalog.state().sources[&name("erp")].generation);

    let earlier = history[1].manifest.clone().unwrap();
    catalog.put(earlier.clone()).unwrap();
    assert_eq!(catalog.state().get(Kind::Source, &name("erp")).unwrap().manifest(), earlier);
    let agents = catalog.history(Kind::Agent, &name("plant-1")).unwrap();
    assert_eq!(agents.len(), 1, "an agent's history begins with its enrolment");
    assert_eq!(agents[0].cause.actor, Actor::System);
    assert!(catalog.history(Kind::Sink, &name("erp")).unwrap().is_empty(), "a sink is no source");
}

fn numbers(catalog: &Catalog, query: &Query, order: Order, limit: usize) -> (Vec<u64>, Option<u64>) {
    let page = catalog.query(query, order, limit).unwrap();
    (page.events.iter().map(|event| event.seq).collect(), page.next)
}

#[test]
fn events_are_found_by_whatever_is_known_of_them() {
    let dir = tempfile::tempdir().unwrap();
    let (config, clock) = config();
    let (catalog, _) = Catalog::open(dir.path(), config).unwrap();
    catalog.put(site("plant")).unwrap();
    clock.advance(60);
    catalog.put(site("office")).unwrap();
    catalog.create_admin_token("eve", SecretHash::of("x")).unwrap();
    let eve = Cause::from(Actor::Admin { token: uuid::Uuid::from_u128(9).into(), name: "eve".into() });
    catalog.record_denial(&eve, Denial { lacking: "site:write".into(), on: None }).unwrap();

    let all = |query: &Query| numbers(&catalog, query, Order::After(0), 10).0;
    assert_eq!(all(&Query::default()), [1, 2, 3, 4]);
    assert_eq!(all(&Query { actor: Some("ada".into()), ..Query::default() }), [1, 2]);
    assert_eq!(all(&Query { actor: Some("system".into()), ..Query::default() }), [3]);
    let about = |name| Some((Kind::Site, name));
    assert_eq!(all(&Query { subject: about(None), ..Query::default() }), [1, 2]);
    assert_eq!(all(&Query { subject: about(Some(name("office"))), ..Query::default() }), [2]);
    assert_eq!(all(&Query { event: Some("admin_token_created".into()), ..Query::default() }), [3]);
    assert_eq!(all(&Query { since: Some(clock.now()), ..Query::default() }), [2, 3, 4]);
    assert_eq!(all(&Query { until: Some(clock.now()), ..Query::default() }), [1]);
    assert_eq!(all(&Query { denied: Some(true), ..Query::default() }), [4]);
    assert!(all(&Query { denied: Some(false), actor: Some("eve".into()), ..Query::default() }).is_empty());
}

#[test]
fn pages_of_events_follow_each_other_in_both_directions_without_gap_or_repeat() {
    let dir = tempfile::tempdir().unwrap();
    let catalog = open(&dir);
    let sites: Vec<_> = (1..=2_500).map(|n| site(&format!("n{n}"))).collect();
    catalog.apply_all(sites, &admin(), false);
    let query = Query::default();
    for newest_first in [false, true] {
        let (mut seen, mut at) = (Vec::new(), if newest_first { u64::MAX } else { 0 });
        loop {
            let order = if newest_first { Order::Before(at) } else { Order::After(at) };
            let (numbers, next) = numbers(&catalog, &query, order, 700);
            seen.extend(numbers);
            let Some(next) = next else { break };
            at = next;
        }
        if newest_first {
            seen.reverse();
        }
        assert_eq!(seen, (1..=2_500).collect::<Vec<_>>());
    }
}

#[test]
fn a_flood_of_denied_attempts_is_two_events() {
    let dir = tempfile::tempdir().unwrap();
    let (config, clock) = config();
    let (catalog, _) = Catalog::open(dir.path(), config).unwrap();
    let stranger = Cause::from(Actor::Stranger);
    for _ in 0..10_000 {
        let denial = Denial { lacking: "authentication".into(), on: None };
        catalog.record_denial(&stranger, denial).unwrap();
    }
    assert_eq!(catalog.state().seq, 1);
    catalog.flush_denials(false).unwrap();
    assert_eq!(catalog.state().seq, 1, "the minute is not over");
    clock.advance(60);
    catalog.flush_denials(false).unwrap();
    assert_eq!(catalog.state().seq, 2);
    let last = serde_json::to_value(&catalog.events(1, 1).unwrap()[0]).unwrap();
    assert_eq!((&last["event"], &last["count"]), (&"access_denied".into(), &9_999.into()));
}
