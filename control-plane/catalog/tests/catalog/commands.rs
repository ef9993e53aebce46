//! Applying, deleting and replaying.

use towpath_catalog::{AcceptedSchema, DeleteError, Event, EventKind, Outcome, State};
use towpath_record::{SchemaHash, StreamName};
use towpath_resource::{Kind, SourceSpec, StartFrom};

use crate::fixture::*;

#[test]
fn a_resource_is_created_changed_and_left_alone_when_nothing_changed() {
    let dir = tempfile::tempdir().unwrap();
    let (catalog, _) = furnished(&dir);
    let before = catalog.state();
    let again = catalog.put(source("erp", "plant-1")).unwrap();
    assert_eq!(again.outcome, Outcome::Unchanged);
    assert_eq!(catalog.state().seq, before.seq, "nothing is recorded when nothing changes");

    let changed = resource("Source", "erp", "{agent: plant-1, adapter: file, config: {path: /other}}");
    assert_eq!(catalog.put(changed).unwrap().outcome, Outcome::Changed);
    let (old, state) = (&before.sources[&name("erp")], catalog.state());
    let new = &state.sources[&name("erp")];
    assert_eq!((new.id, new.created_at), (old.id, old.created_at));
    assert_eq!(new.generation, before.seq + 1);
}

#[test]
fn what_refers_to_nothing_or_must_not_change_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let (catalog, _) = furnished(&dir);
    let said = |manifest| catalog.put(manifest).unwrap_err().to_string();
    assert!(said(source("x", "plant1")).contains("there is no agent `plant1`; did you mean `plant-1`?"));
    assert!(said(route("x", "crn")).contains("did you mean `crm`?"));
    assert!(
        said(resource("Sink", "crm", "{agent: plant-1, adapter: postgres}")).contains("cannot be changed")
    );
    assert!(said(resource("Agent", "new", "{site: plant}")).contains("towpath token create"));
    assert!(said(resource("Site", "s", "{region: mars}")).contains("this control plane knows: eu, main, us"));
    assert!(said(resource("Site", "plant", "{region: eu}")).contains("delete source erp first"));
    assert!(
        said(resource("Route", "orders", "{streams: [x], sink: crm, from: latest}"))
            .contains("towpath replay")
    );
}

#[test]
fn a_source_does_not_move_to_another_region() {
    let dir = tempfile::tempdir().unwrap();
    let (catalog, _) = furnished(&dir);
    catalog.put(resource("Site", "office", "{region: eu}")).unwrap();
    catalog.put(site("hall")).unwrap();
    catalog.join("office", "office-1");
    catalog.join("hall", "hall-1");
    assert!(catalog.put(source("erp", "office-1")).unwrap_err().to_string().contains("region `main`"));
    assert_eq!(catalog.put(source("erp", "hall-1")).unwrap().outcome, Outcome::Changed);
}

#[test]
fn resources_that_refer_to_each_other_are_taken_together_in_any_order() {
    let dir = tempfile::tempdir().unwrap();
    let (catalog, _) = furnished(&dir);
    let before = catalog.state();
    let batch = || {
        vec![
            route("r", "s"),
            source("bad", "nobody"),
            sink("s", "plant-1"),
            route("orders", "crm"),
            site("s"),
        ]
    };
    let outcomes = |dry_run| {
        let results = catalog.apply_all(batch(), &admin(), dry_run);
        results.into_iter().map(|result| result.ok().map(|applied| applied.outcome)).collect::<Vec<_>>()
    };
    let expected = [
        Some(Outcome::Created),
        None,
        Some(Outcome::Created),
        Some(Outcome::Unchanged),
        Some(Outcome::Created),
    ];
    assert_eq!(outcomes(true), expected);
    assert_eq!(catalog.state(), before, "a dry run changes nothing");
    assert_eq!(outcomes(false), expected);
    assert_eq!(catalog.state().seq, before.seq + 3);
    assert!(catalog.state().require::<SourceSpec>("bad").is_err());
}

#[test]
fn a_policy_that_nobody_would_understand_is_refused_with_the_path() {
    let dir = tempfile::tempdir().unwrap();
    let (catalog, _) = furnished(&dir);
    let said = |classify: &str, rule: &str| {
        let spec =
            format!("{{streams: [crm.**], classify: [{classify}], rules: [{{classes: ['*'], {rule}}}]}}");
        catalog.put(resource("Policy", "customers", &spec)).unwrap_err().to_string()
    };
    let fine = "{fields: [id], classes: []}";
    let broken = said(&format!("{fine}, {{fields: ['[a'], classes: []}}"), "then: drop");
    assert!(broken.contains("spec.classify[1].fields") && broken.contains("`[a`"), "{broken}");
    let filter = catalog.put(resource(
        "Policy",
        "customers",
        "{streams: [crm.**], rules: [{classes: ['*'], then: drop}], filter: 'country == 1'}",
    ));
    let filter = filter.unwrap_err().to_string();
    assert!(filter.contains("spec.filter") && filter.contains("`country`"), "{filter}");
    let elsewhere = said(fine, "regions: [main, mars], then: drop");
    assert!(elsewhere.contains("spec.rules[0].regions") && elsewhere.contains("eu, main, us"), "{elsewhere}");
}

#[test]
fn a_source_needs_a_region_whose_log_is_kept_and_a_sink_does_not() {
    let dir = tempfile::tempdir().unwrap();
    let (catalog, _) = furnished(&dir);
    catalog.put(resource("Site", "cloud", "{region: us}")).unwrap();
    catalog.join("cloud", "cloud-1");
    catalog.put(sink("lake", "cloud-1")).unwrap();
    let refused = catalog.put(source("web", "cloud-1")).unwrap_err().to_string();
    assert!(
        refused.contains("region `us`, of which no log is kept") && refused.contains("eu, main"),
        "{refused}"
    );
}

#[test]
fn what_others_need_is_not_deleted_and_they_are_named() {
    let dir = tempfile::tempdir().unwrap();
    let (catalog, agent) = furnished(&dir);
    let refused = catalog.delete(Kind::Agent, &name("plant-1"), &admin()).unwrap_err();
    assert!(
        matches!(&refused, DeleteError::Needed { needed_by, .. } if *needed_by == ["source erp", "sink crm"])
    );
    assert!(refused.to_string().contains("source erp, sink crm"));
    let order =
        [(Kind::Route, "orders"), (Kind::Sink, "crm"), (Kind::Source, "erp"), (Kind::Agent, "plant-1")];
    for (kind, resource) in order.into_iter().chain([(Kind::Site, "plant")]) {
        catalog.delete(kind, &name(resource), &admin()).unwrap();
    }
    assert!(!catalog.state().admits(agent), "a deleted agent is cut off");
    let gone = catalog.delete(Kind::Site, &name("plant"), &admin()).unwrap_err();
    assert_eq!(gone.to_string(), "there is no site `plant`");
}

#[test]
fn only_the_agents_concerned_are_given_something_new_to_run() {
    let dir = tempfile::tempdir().unwrap();
    let (catalog, plant) = furnished(&dir);
    let other = catalog.join("plant", "plant-2");
    let (before, watch) = (catalog.state(), catalog.subscribe());
    catalog.put(source("crm-out", "plant-2")).unwrap();
    assert!(watch.has_changed().unwrap());
    let after = catalog.state();
    assert_eq!(after.desired_generation(plant), before.desired_generation(plant));
    assert_eq!(after.desired_generation(other), after.seq);
    let desired = after.desired(other).unwrap();
    assert_eq!((desired.generation, desired.sources.len(), desired.sinks.len()), (after.seq, 1, 0));

    catalog.delete(Kind::Source, &name("crm-out"), &admin()).unwrap();
    let desired = catalog.state().desired(other).unwrap();
    assert_eq!((desired.generation, desired.sources.len()), (catalog.state().seq, 0));
}

#[test]
fn a_changed_policy_changes_what_every_reader_runs_and_its_description_does_not() {
    let dir = tempfile::tempdir().unwrap();
    let (catalog, plant) = furnished(&dir);
    let idle = catalog.join("plant", "plant-2");
    let before = catalog.state();
    let policy = |more: &str| {
        let spec = format!("{{streams: [crm.**], rules: [{{classes: ['*'], then: drop}}]{more}}}");
        resource("Policy", "customers", &spec)
    };
    catalog.put(policy("")).unwrap();
    let after = catalog.state();
    assert_eq!(after.desired_generation(plant), after.seq);
    assert_eq!(after.desired_generation(idle), before.desired_generation(idle), "it reads nothing");
    let sources = |state: &State| state.desired(plant).unwrap().sources;
    assert_ne!(sources(&after), sources(&before));
    assert_eq!(sources(&after)[0].policies[0].name, name("customers"));

    catalog.put(policy(", description: Whom we sell to")).unwrap();
    assert_eq!(sources(&catalog.state()), sources(&after), "lanes go on as they are");

    catalog.delete(Kind::Policy, &name("customers"), &admin()).unwrap();
    assert_eq!(sources(&catalog.state()), sources(&before));
}

#[test]
fn a_replay_sends_a_route_back_and_is_forgotten_with_it() {
    let dir = tempfile::tempdir().unwrap();
    let (catalog, _) = furnished(&dir);
    let id = catalog.state().routes[&name("orders")].id;
    assert_eq!(catalog.replay_route("orders", StartFrom::Latest, &admin()).unwrap(), 1);
    assert_eq!(catalog.replay_route("orders", StartFrom::Earliest, &admin()).unwrap(), 2);
    assert_eq!(catalog.state().replay_count(id), 2);
    assert!(
        catalog
            .replay_route("order", StartFrom::Latest, &admin())
            .unwrap_err()
            .to_string()
            .contains("`orders`")
    );
    catalog.delete(Kind::Route, &name("orders"), &admin()).unwrap();
    assert_eq!(catalog.state().replay_count(id), 0);
}

#[test]
fn an_accepted_schema_is_recorded_once_and_forgotten_with_its_route() {
    let dir = tempfile::tempdir().unwrap();
    let (catalog, _) = furnished(&dir);
    let id = catalog.state().routes[&name("orders")].id;
    let accepted = AcceptedSchema {
        source: catalog.state().sources[&name("erp")].id,
        stream: StreamName::new("erp.orders").unwrap(),
        version: 2,
        schema: SchemaHash([7; 32]),
    };
    assert!(catalog.accept_schema("orders", &accepted, &admin()).unwrap());
    let seq = catalog.state().seq;
    assert!(!catalog.accept_schema("orders", &accepted, &admin()).unwrap());
    assert_eq!(catalog.state().seq, seq, "nothing is recorded when nothing changes");
    assert!(
        catalog.accept_schema("order", &accepted, &admin()).unwrap_err().to_string().contains("`orders`")
    );
    let kept = catalog.state();
    drop(catalog);
    let catalog = open(&dir);
    assert_eq!(catalog.state().accepted_schemas, kept.accepted_schemas);
    assert!(catalog.state().accepted_schemas[&id].contains(&accepted));
    catalog.delete(Kind::Route, &name("orders"), &admin()).unwrap();
    assert!(catalog.state().accepted_schemas.is_empty());
}

#[test]
fn the_events_tell_who_did_what_in_order() {
    let dir = tempfile::tempdir().unwrap();
    let (catalog, _) = furnished(&dir);
    let events = catalog.events(0, 100).unwrap();
    assert_eq!(events.iter().map(|e| e.seq).collect::<Vec<_>>(), (1..=6).collect::<Vec<_>>());
    assert_eq!(events[0].cause, admin());
    assert!(
        matches!(&events[2].kind, EventKind::AgentEnrolled { agent, .. } if *agent.name() == name("plant-1"))
    );
    let page: Vec<Event> = catalog.events(3, 2).unwrap();
    assert_eq!(page.iter().map(|e| e.seq).collect::<Vec<_>>(), [4, 5]);
    assert_eq!(page[0].kind.subject(), Some((Kind::Source, &name("erp"))));
}
