//! What became of documents that were applied, each fault where it stands.

use towpath_catalog::Outcome;
use towpath_resource::api::{Applied, ApplyOutcome, ApplyReport};
use towpath_resource::{Document, Fault};

use super::{Asker, Refusal, Service};

impl Service {
    /// Applies documents as [`Service::apply`] does, and reports what became of each.
    ///
    /// # Errors
    /// Nothing was done.
    pub async fn apply_reporting(
        &self,
        asker: &Asker,
        documents: &[Document],
        dry_run: bool,
    ) -> Result<ApplyReport, Refusal> {
        let changed = self.apply(asker, documents, dry_run).await?;
        let results = documents.iter().zip(changed).map(|(document, answer)| result_of(document, answer));
        Ok(ApplyReport { dry_run, results: results.collect() })
    }
}

/// What became of a document, with each fault where it stands in the text.
fn result_of(document: &Document, answer: Result<towpath_catalog::Applied, Refusal>) -> Applied {
    let mut result = Applied {
        subject: document.subject.clone(),
        place: document.place,
        outcome: ApplyOutcome::Refused,
        generation: None,
        error: None,
        faults: Vec::new(),
    };
    match answer {
        Ok(applied) => {
            result.outcome = outcome(applied.outcome);
            result.generation = Some(applied.resource.generation());
        }
        Err(Refusal::Invalid { faults, .. }) if !faults.is_empty() => {
            let placed = |fault: Fault| Fault {
                place: fault.place.or_else(|| Some(document.locate(&fault.path))),
                ..fault
            };
            result.faults = faults.into_iter().map(placed).collect();
        }
        Err(refusal) => result.error = Some(refusal.to_string()),
    }
    result
}

const fn outcome(outcome: Outcome) -> ApplyOutcome {
    match outcome {
        Outcome::Created => ApplyOutcome::Created,
        Outcome::Changed => ApplyOutcome::Changed,
        Outcome::Unchanged => ApplyOutcome::Unchanged,
    }
}
