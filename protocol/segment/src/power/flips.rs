//! A disk that lies: single bits flipped in what was durable.

use crate::power::Report;
use crate::power::workload::{is_lost, open};
use crate::simulated::{SimulatedStorage, Tear};

/// Flips this many bits, each in a fresh copy of a log, and reads everything.
pub(super) fn flip(report: &mut Report, random: &mut fastrand::Rng, count: u64) {
    let (storage, payloads) = match filled(random) {
        Ok(filled) => filled,
        Err(error) => return report.check(|| "bit flips".to_owned(), Err(error)),
    };
    let files = storage.files();
    let all_bits: u64 = files.iter().map(|(_, size)| size * 8).sum();
    for _ in 0..count {
        let mut bit = random.u64(0..all_bits);
        let Some((path, _)) = files.iter().find(|(_, size)| {
            let here = bit < size * 8;
            bit -= if here { 0 } else { size * 8 };
            here
        }) else {
            continue;
        };
        let flipped = storage.power_cut(Tear::Prefix(u64::MAX));
        flipped.flip_bit(path, bit);
        report.bit_flips += 1;
        report.check(|| format!("bit {bit} of {}", path.display()), is_detected(&flipped, &payloads));
    }
}

/// A log of several segments and what is in it, from index 1.
fn filled(random: &mut fastrand::Rng) -> Result<(SimulatedStorage, Vec<Vec<u8>>), String> {
    let storage = SimulatedStorage::default();
    let (mut log, _) = open(&storage)?;
    let payloads: Vec<Vec<u8>> =
        (0..16).map(|_| (0..random.usize(0..60)).map(|_| random.u8(..)).collect()).collect();
    for payload in &payloads {
        let done = log.append(&[payload]).and_then(|_| log.sync());
        done.map_err(|error| format!("cannot be filled: {error}"))?;
    }
    Ok((storage, payloads))
}

/// Every record is either what was appended, or named as lost, or was at the very end and is reported as cut.
fn is_detected(storage: &SimulatedStorage, payloads: &[Vec<u8>]) -> Result<u64, String> {
    let (log, recovery) = open(storage)?;
    let mut reader = log.reader(log.first_index());
    let mut expected = 1;
    let mut equal = 0;
    loop {
        match reader.next() {
            Ok(Some(record)) => {
                if record.index != expected || payloads.get(expected as usize - 1) != Some(&record.payload) {
                    return Err(format!(
                        "wrong bytes were returned for record {}, {expected} expected",
                        record.index
                    ));
                }
                equal += 1;
            }
            Ok(None) => break,
            Err(error) if is_lost(&error) => {}
            Err(error) => return Err(format!("cannot be read: {error}")),
        }
        expected = reader.position();
    }
    let end = payloads.len() as u64 + 1;
    let missing_at_the_end = expected < end;
    if missing_at_the_end && (recovery.cut.is_none() || expected + 1 < end) {
        return Err(format!("records {expected} to {} vanished silently", end - 1));
    }
    Ok(equal)
}
