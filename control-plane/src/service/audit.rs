//! The audit trail: asked, verified, exported.

use futures_util::stream::{self, BoxStream, StreamExt};
use serde_json::Value;
use towpath_access::{Denied, Target};
use towpath_audit::Verification;
use towpath_catalog::{Cause, Denial, Exported, Mark, Order, Query};
use towpath_record::ResourceName;
use towpath_resource::api::{AuditFilter, AuditOutcome, AuditPage};
use towpath_resource::{Kind, Object, Permission};

use super::events::shown;
use super::{Asker, Refusal, Service};

/// Most events of one page, and most checkpoints that are listed at once.
pub const MOST_AUDITED: usize = 1_000;

impl Service {
    /// A page of the events that the filter wants.
    ///
    /// # Errors
    /// They cannot be read, or are not the asker's to see.
    pub async fn audit(
        &self,
        asker: &Asker,
        filter: AuditFilter,
        order: Order,
        limit: usize,
    ) -> Result<AuditPage, Refusal> {
        may_audit(asker)?;
        let query = query(filter)?;
        let limit = limit.clamp(1, MOST_AUDITED);
        let page = self.command(move |catalog| catalog.query(&query, order, limit)).await?;
        Ok(AuditPage { items: page.events.iter().map(shown).collect(), next: page.next })
    }

    /// Checks every byte of the trail on the disk.
    ///
    /// # Errors
    /// The disk refuses to be read, or the trail is not the asker's to see.
    pub async fn verify_audit(&self, asker: &Asker) -> Result<Verification, Refusal> {
        may_audit(asker)?;
        self.command(|catalog| catalog.verify()).await
    }

    /// The checkpoints after this number, oldest first, as they were signed.
    ///
    /// # Errors
    /// They cannot be read, or are not the asker's to see.
    pub async fn checkpoints(&self, asker: &Asker, after: u64, limit: usize) -> Result<Vec<Value>, Refusal> {
        may_audit(asker)?;
        let limit = limit.clamp(1, MOST_AUDITED);
        let signed = self.command(move |catalog| catalog.checkpoints(after, limit)).await?;
        let json = |text: String| serde_json::from_str(&text).expect("a checkpoint is always JSON");
        Ok(signed.iter().map(|signed| json(signed.to_json())).collect())
    }

    /// The public key with which checkpoints are verified, in PEM.
    ///
    /// # Errors
    /// Nothing is signed here, or the trail is not the asker's to see.
    pub fn audit_key(&self, asker: &Asker) -> Result<String, Refusal> {
        may_audit(asker)?;
        let key = self.0.config.catalog.audit_key();
        let unsigned = || Refusal::NotFound("this control plane signs no checkpoints".to_owned());
        Ok(key.ok_or_else(unsigned)?.to_pem())
    }

    /// The whole trail, part by part, in which events and checkpoints are byte for byte as they were written: lines of
    /// JSON, each with its line feed. It holds the hashes of secrets, without which no hash of an event could be checked.
    ///
    /// # Errors
    /// They cannot be read, or are not the asker's to see.
    pub async fn export_audit(
        &self,
        asker: &Asker,
    ) -> Result<BoxStream<'static, Result<String, Refusal>>, Refusal> {
        may_audit(asker)?;
        // The first part is read before the answer begins, so that a refusal can still be one.
        let first = self.exported(Mark::default()).await?;
        let service = self.clone();
        let parts = stream::try_unfold(Some(first), move |part| {
            let service = service.clone();
            async move {
                let Some(part) = part.filter(|part| !part.lines.is_empty()) else { return Ok(None) };
                let text: String = part.lines.iter().flat_map(|line| [line.as_str(), "\n"]).collect();
                Ok(Some((text, Some(service.exported(part.mark).await?))))
            }
        });
        Ok(parts.boxed())
    }

    async fn exported(&self, behind: Mark) -> Result<Exported, Refusal> {
        self.command(move |catalog| catalog.export(behind, MOST_AUDITED)).await
    }

    /// Records what was denied in the course of a request.
    pub async fn note_denials(&self, asker: &Asker) {
        for denied in asker.take_denied() {
            self.note_refusal(&asker.cause, &Refusal::Denied(denied)).await;
        }
    }

    /// Records that something was denied, if this is why it was refused. A trail that cannot be written keeps nobody from
    /// being refused.
    pub async fn note_refusal(&self, cause: &Cause, refusal: &Refusal) {
        let denial = match refusal {
            Refusal::Unknown(_) => Denial { lacking: "authentication".to_owned(), on: None },
            Refusal::Denied(denied) => denial(denied),
            _ => return,
        };
        let cause = cause.clone();
        let noted: Result<(), Refusal> =
            self.command(move |catalog| catalog.record_denial(&cause, denial)).await;
        if let Err(error) = noted {
            tracing::warn!(%error, "a denied attempt was not recorded");
        }
    }
}

fn denial(denied: &Denied) -> Denial {
    Denial { lacking: denied.permission.to_string(), on: denied.subject.clone() }
}

/// The trail is of everything, so the right to see it holds everywhere or not at all.
pub(super) fn may_audit(asker: &Asker) -> Result<(), Denied> {
    asker.require(Permission::read(Object::Audit), &Target::named("all that happened"))
}

fn query(filter: AuditFilter) -> Result<Query, Refusal> {
    let AuditFilter { actor, subject, event, since, until, outcome } = filter;
    let subject = subject.map(|text| parse_subject(&text)).transpose()?;
    let denied = outcome.map(|outcome| outcome == AuditOutcome::Denied);
    Ok(Query { actor, subject, event, since, until, denied })
}

/// `source`, or `source/erp-files`.
fn parse_subject(text: &str) -> Result<(Kind, Option<ResourceName>), Refusal> {
    let (kind, name) = text.split_once('/').map_or((text, None), |(kind, name)| (kind, Some(name)));
    let invalid = |error: String| Refusal::invalid(format!("subject `{text}`: {error}"));
    let kind =
        kind.parse().map_err(|error: towpath_resource::kind::UnknownKind| invalid(error.to_string()))?;
    let name =
        name.map(|name| ResourceName::new(name).map_err(|error| invalid(error.to_string()))).transpose()?;
    Ok((kind, name))
}
