//! Verification: every byte of the trail is read from the disk again and checked, as if nothing in memory were true.
//!
//! What counts are the segments of the events and of the checkpoints, headers, checksums and sparse indexes included,
//! and the snapshot of the newest anchor. What does not: `lock`, files that a recovery put aside (`.quarantined`,
//! `.reason`; their loss is a finding by itself), and the projection, which is only a copy.

use std::path::Path;

use towpath_audit::{Finding, PublicKey, Record, SignedCheckpoint, Verification, Verifier};
use towpath_segment::{Inspected, Inspection, ReadError, Storage, inspect};

use crate::catalog::Catalog;
use crate::chain;
use crate::error::CatalogError;
use crate::snapshot::Snapshot;

impl<S: Storage> Catalog<S> {
    /// Checks every byte of the trail on the disk, and names what is not as it was written.
    ///
    /// # Errors
    /// The disk refuses to be read.
    pub fn verify(&self) -> Result<Verification, CatalogError> {
        let (found, unfinished) = self.look()?;
        if !unfinished {
            return Ok(found);
        }
        // The last segment ends in something that is no record. While nobody writes, that is damage.
        let writer = self.writer.lock();
        let (mut found, unfinished) = self.look()?;
        drop(writer);
        if unfinished {
            for dir in [&self.places.events, &self.places.checkpoints] {
                let seen = self.inspect(dir, |_| {})?;
                found.findings.extend(seen.unfinished.map(|end| {
                    let place = format!("{} at byte {}", end.file.display(), end.offset);
                    Finding::new("the end of the file", place, format!("is no record: {}", end.reason))
                }));
            }
        }
        Ok(found)
    }

    /// Whether the end of a log was unfinished is said beside what was found.
    fn look(&self) -> Result<(Verification, bool), CatalogError> {
        let (events, checkpoints) = (self.events.durable_index(), self.checkpoints.durable_index());
        let keys: Vec<PublicKey> = self.config.key.iter().map(|key| key.public()).collect();
        let mut verifier = Verifier::new(keys).with_gaps_reported();
        let mut next = 1;
        let mut anchor = None;
        let seen = self.inspect(&self.places.checkpoints, |record| {
            take_checkpoint(&mut verifier, &record, &mut anchor);
            next = record.index + 1;
        })?;
        report_files(&mut verifier, &seen);
        if next < checkpoints {
            let subject = format!("checkpoints {next} to {}", checkpoints - 1);
            let place = self.places.checkpoints.display().to_string();
            verifier.report(Finding::new(subject, place, "are gone"));
        }
        let mut unfinished = seen.unfinished.is_some();
        if let Some((seq, hash)) = anchor
            && let Err(fault) = Snapshot::read(&self.storage, &self.places.snapshots, seq, hash)
        {
            verifier.report(Finding::new("the snapshot", fault.path.display().to_string(), fault.reason));
        }
        let first = self.events.first_index();
        verifier.begin_at(first);
        let mut oldest = None;
        let seen = self.inspect(&self.places.events, |record| {
            oldest.get_or_insert(record.index);
            take_event(&mut verifier, &record);
        })?;
        // Between two segments an inspection sees that one is missing, but not before the first.
        if let Some(oldest) =
            oldest.filter(|oldest| *oldest > first && seen.lost.iter().all(|lost| lost.from > first))
        {
            let place = self.places.events.display().to_string();
            verifier.report(Finding::new(format!("events {first} to {}", oldest - 1), place, "are gone"));
        }
        unfinished |= seen.unfinished.is_some();
        report_files(&mut verifier, &seen);
        Ok((verifier.finish_at(events), unfinished))
    }

    fn inspect(&self, dir: &Path, visit: impl FnMut(Inspected<'_>)) -> Result<Inspection, CatalogError> {
        inspect(&self.storage, dir, visit).map_err(|fault| CatalogError::Read(ReadError::Storage(fault)))
    }
}

fn take_checkpoint(
    verifier: &mut Verifier,
    record: &Inspected<'_>,
    anchor: &mut Option<(u64, towpath_audit::EventHash)>,
) {
    let (subject, place) = (format!("checkpoint {}", record.index), place(record));
    match SignedCheckpoint::from_json(&record.payload) {
        Ok(signed) => {
            let said = signed.said();
            if said.number != record.index {
                let fault = format!("says that it is checkpoint {}", said.number);
                verifier.report(Finding::new(subject, place.clone(), fault));
            }
            *anchor = said.snapshot.map(|hash| (said.seq, hash)).or(*anchor);
            verifier.checkpoint(signed, &place);
        }
        Err(fault) => verifier.report(Finding::new(subject, place, fault.to_string())),
    }
}

fn take_event(verifier: &mut Verifier, record: &Inspected<'_>) {
    let place = place(record);
    let Some(parsed) = Record::parse(&record.payload) else {
        let subject = format!("event {}", record.index);
        return verifier.report(Finding::new(subject, place, "is too short for an event"));
    };
    verifier.event(record.index, &parsed, &place);
    if parsed.seq() == Some(record.index)
        && let Err(fault) = chain::decode(record.index, &record.payload)
    {
        verifier.report(Finding::new(format!("event {}", record.index), place, fault.fault));
    }
}

fn report_files(verifier: &mut Verifier, seen: &Inspection) {
    for path in &seen.damaged_headers {
        let place = path.display().to_string();
        verifier.report(Finding::new(
            "a segment's header",
            place,
            "is not as it was written (bytes 0 to 31)",
        ));
    }
    for lost in &seen.lost {
        let subject = if lost.from + 1 == lost.to {
            format!("record {}", lost.from)
        } else {
            format!("records {} to {}", lost.from, lost.to - 1)
        };
        let offset = lost.offset.map(|offset| format!(" at byte {offset}")).unwrap_or_default();
        let place = format!("{}{offset}", lost.file.display());
        verifier.report(Finding::new(subject, place, format!("cannot be read: {}", lost.reason)));
    }
    for (path, offset) in &seen.damaged_sidecars {
        let place = format!("{} at byte {offset}", path.display());
        let fault = "does not fit its segment; the next start makes it anew, no event is touched";
        verifier.report(Finding::new("a sparse index", place, fault));
    }
}

fn place(record: &Inspected<'_>) -> String {
    format!("{} at byte {}", record.file.display(), record.offset)
}
