//! Power cuts and disk faults under a log.

use crate::power::workload::{Model, Step, open, steps};
use crate::power::{Report, tears};
use crate::simulated::{Faults, SimulatedStorage, Tear};

/// Fails the power at each operation of a workload in turn.
pub(super) fn crash_everywhere(report: &mut Report, random: &mut fastrand::Rng) {
    let steps = steps(random);
    let operations = run(Faults::default(), &steps).0.operations();
    for crash_at in 1..=operations + 1 {
        let (storage, model) = run(Faults { crash_at: Some(crash_at), ..Faults::default() }, &steps);
        report.crash_points += 1;
        for tear in tears(storage.pending_units(), random) {
            let found = storage.power_cut(tear);
            report.power_cuts += 1;
            report.check(|| format!("log, operation {crash_at}, {tear:?}"), recovers(&found, &model));
        }
        crash_in_recovery(report, random, &storage, &model, crash_at);
    }
}

/// Fails each sync and each write of a workload in turn, goes on, and then cuts the power.
pub(super) fn fail_everywhere(report: &mut Report, random: &mut fastrand::Rng) {
    let steps = steps(random);
    let (healthy, _) = run(Faults::default(), &steps);
    let syncs = (1..=healthy.syncs()).map(|at| Faults { fail_sync: Some(at), ..Faults::default() });
    let writes = (1..=healthy.writes()).map(|at| Faults { fail_write: Some(at), ..Faults::default() });
    for faults in syncs.chain(writes) {
        let (storage, model) = run(faults, &steps);
        report.faults += 1;
        for tear in [Tear::Prefix(0), Tear::Prefix(u64::MAX), Tear::Scatter(random.u64(..))] {
            report.power_cuts += 1;
            report.check(|| format!("log, {faults:?}, {tear:?}"), recovers(&storage.power_cut(tear), &model));
        }
    }
}

/// Fails each sync of a workload in turn, kills the process, which then opens what the system shows it, and cuts the
/// power. What that opening found it must have made durable, although the system took it for durable already.
pub(super) fn restart_after_each_failed_sync(report: &mut Report, random: &mut fastrand::Rng) {
    let steps = steps(random);
    let syncs = run(Faults::default(), &steps).0.syncs();
    for at in 1..=syncs {
        let storage = SimulatedStorage::with_faults(Faults { fail_sync: Some(at), ..Faults::default() });
        let mut model = Model::default();
        let Ok((mut log, _)) = open(&storage) else { continue };
        let failed = model.run_to_first_refusal(&mut log, &steps).is_err();
        drop(log);
        if !failed {
            continue;
        }
        report.faults += 1;
        report.power_cuts += 1;
        let result = open(&storage).and_then(|(log, recovery)| {
            model.acknowledge_all(&log);
            model.compare(&log, &recovery)?;
            recovers(&storage.power_cut(Tear::Prefix(0)), &model)
        });
        report.check(|| format!("log, failed sync {at}, killed, opened, power cut"), result);
    }
}

/// Lets the disk be full at various sizes, then gives it room again.
pub(super) fn fill_the_disk(report: &mut Report, random: &mut fastrand::Rng) {
    let steps = steps(random);
    for capacity in (40..1_000).step_by(37) {
        let faults = Faults { capacity: Some(capacity), ..Faults::default() };
        let storage = SimulatedStorage::with_faults(faults);
        let mut model = Model::default();
        report.faults += 1;
        let Ok((mut log, _)) = open(&storage) else { continue };
        let halves = steps.split_at(steps.len() / 2);
        let mut done = model.run(&mut log, halves.0);
        storage.set_faults(Faults::default());
        done = done.and_then(|()| model.run(&mut log, halves.1));
        let tear = Tear::Scatter(random.u64(..));
        let result = match done {
            Ok(()) => recovers(&storage.power_cut(tear), &model),
            Err(error) => Err(format!("a full disk stopped the log for good: {error}")),
        };
        report.power_cuts += 1;
        report.check(|| format!("log, capacity {capacity}, {tear:?}"), result);
    }
}

fn crash_in_recovery(
    report: &mut Report,
    random: &mut fastrand::Rng,
    storage: &SimulatedStorage,
    model: &Model,
    crash_at: u64,
) {
    let tear = Tear::Prefix(random.u64(0..=storage.pending_units()));
    let mut again = 1;
    loop {
        let found = storage.power_cut(tear);
        found.set_faults(Faults { crash_at: Some(again), ..Faults::default() });
        if open(&found).is_ok() {
            return;
        }
        let second = Tear::Scatter(random.u64(..));
        report.power_cuts += 1;
        report.cuts_in_recovery += 1;
        report.check(
            || {
                format!(
                    "log, operation {crash_at}, {tear:?}, then operation {again} of the recovery, {second:?}"
                )
            },
            recovers(&found.power_cut(second), model),
        );
        again += 1;
    }
}

fn run(faults: Faults, steps: &[Step]) -> (SimulatedStorage, Model) {
    let storage = SimulatedStorage::with_faults(faults);
    let mut model = Model::default();
    if let Ok((mut log, _)) = open(&storage) {
        // An error means that the power failed, which is what we are here for.
        let _ = model.run(&mut log, steps);
    }
    (storage, model)
}

/// The log opens, holds what it must, takes another record, and keeps it through the next power cut.
fn recovers(found: &SimulatedStorage, model: &Model) -> Result<u64, String> {
    let (mut log, recovery) = open(found)?;
    let compared = model.compare(&log, &recovery)?;
    let more = log.append(&[b"more"]).and_then(|index| log.sync().map(|_| index));
    let index = more.map_err(|error| format!("no record can be appended: {error}"))?;
    drop(log);
    let (log, recovery) = open(&found.power_cut(Tear::Prefix(0)))?;
    if !recovery.lost.is_empty() || recovery.cut.is_some() {
        return Err(format!("the second recovery found something: {recovery:?}"));
    }
    match log.view().get(index) {
        Ok(Some(payload)) if payload == b"more" => Ok(compared + 1),
        other => Err(format!("the record appended after the recovery is gone: {other:?}")),
    }
}
