//! Power cuts under a journal while it compacts.

use std::collections::BTreeMap;
use std::path::Path;

use crate::error::AppendError;
use crate::journal::Journal;
use crate::power::workload::config;
use crate::power::{Report, tears};
use crate::simulated::{Faults, SimulatedStorage};

const DIR: &str = "/journal";

type Values = BTreeMap<Vec<u8>, Vec<u8>>;

enum Step {
    Put(Vec<u8>, Vec<u8>),
    Remove(Vec<u8>),
    Sync,
}

/// What the values were after each change, and how many of the changes were acknowledged.
struct Model {
    after: Vec<Values>,
    acknowledged: usize,
}

/// Fails the power at each operation of a workload in turn.
pub(super) fn crash_everywhere(report: &mut Report, random: &mut fastrand::Rng) {
    let steps = steps(random);
    let operations = run(Faults::default(), &steps).0.operations();
    for crash_at in 1..=operations + 1 {
        let (storage, model) = run(Faults { crash_at: Some(crash_at), ..Faults::default() }, &steps);
        report.crash_points += 1;
        for tear in tears(storage.pending_units(), random) {
            report.power_cuts += 1;
            let found = recovers(&storage.power_cut(tear), &model);
            report.check(|| format!("journal, operation {crash_at}, {tear:?}"), found);
        }
    }
}

fn steps(random: &mut fastrand::Rng) -> Vec<Step> {
    let step = |random: &mut fastrand::Rng| {
        let key = vec![b'a' + random.u8(0..5)];
        match random.u8(0..10) {
            0..6 => Step::Put(key, (0..random.usize(0..20)).map(|_| random.u8(..)).collect()),
            6 => Step::Remove(key),
            _ => Step::Sync,
        }
    };
    (0..50).map(|_| step(random)).collect()
}

fn run(faults: Faults, steps: &[Step]) -> (SimulatedStorage, Model) {
    let storage = SimulatedStorage::with_faults(faults);
    let mut model = Model { after: vec![Values::new()], acknowledged: 0 };
    if let Ok((mut journal, _)) = Journal::open(storage.clone(), Path::new(DIR), config()) {
        // An error means that the power failed, which is what we are here for.
        let _ = steps.iter().try_for_each(|step| take(&mut journal, &mut model, step));
    }
    (storage, model)
}

fn take(journal: &mut Journal<SimulatedStorage>, model: &mut Model, step: &Step) -> Result<(), AppendError> {
    let mut values = model.after.last().cloned().unwrap_or_default();
    match step {
        Step::Put(key, value) => {
            values.insert(key.clone(), value.clone());
            model.after.push(values);
            journal.put(key, value)
        }
        Step::Remove(key) => {
            values.remove(key);
            model.after.push(values);
            journal.remove(key)
        }
        Step::Sync => {
            journal.sync()?;
            model.acknowledged = model.after.len() - 1;
            Ok(())
        }
    }
}

fn recovers(found: &SimulatedStorage, model: &Model) -> Result<u64, String> {
    let (journal, recovery) = Journal::open(found.clone(), Path::new(DIR), config())
        .map_err(|error| format!("cannot be opened: {error}"))?;
    if !recovery.lost.is_empty() || !recovery.quarantined.is_empty() {
        return Err(format!("a power cut was taken for damage: {recovery:?}"));
    }
    let values: Values = journal.iter().map(|(key, value)| (key.to_vec(), value.to_vec())).collect();
    let possible = &model.after[model.acknowledged..];
    if possible.contains(&values) {
        return Ok(values.len() as u64);
    }
    Err(format!("{values:?} is none of the states since the last acknowledged one: {possible:?}"))
}
