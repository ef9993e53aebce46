//! What happened: events, the audit trail, and whether it is as it was written.

use async_graphql::dynamic::TypeRef;
use towpath_audit::Verification;
use towpath_catalog::Order;
use towpath_resource::api::{AuditFilter, AuditPage};
use towpath_resource::{Object, Permission};

use super::call::Call;
use super::operation::Operation;
use super::shape::LONG;
use super::types::{Answers, Types};
use crate::service::{MOST_AUDITED, MOST_EVENTS, Refusal};

const USUALLY: usize = 100;

/// The operations on what happened.
pub(super) fn operations(types: &mut Types) -> Vec<Operation> {
    let read = Permission::read(Object::Audit);
    let number = || TypeRef::named(LONG);
    let about = "What happened, by whom and when, oldest first.";
    let events = Operation::query("events", about, read, Answers::jsons(), |call| async move {
        let (after, limit) = (call.maybe("after")?.unwrap_or(0), limit(&call)?);
        call.service.events(call.asker(), after, limit).await
    });
    let page = types.answer::<AuditPage>();
    let about = "Who did what, from where, and what was denied.";
    let audit = Operation::query("audit", about, read, page, |call| async move { audited(&call).await });
    let verified = types.answer::<Verification>();
    let about = "Checks every byte of the audit trail.";
    let verify = Operation::query("verifyAudit", about, read, verified, |call| async move {
        call.service.verify_audit(call.asker()).await
    });
    let about = "The signed checkpoints of the audit trail, oldest first.";
    let checkpoints = Operation::query("checkpoints", about, read, Answers::jsons(), |call| async move {
        let (after, limit) = (call.maybe("after")?.unwrap_or(0), limit(&call)?);
        call.service.checkpoints(call.asker(), after, limit).await
    });
    let about = "The public key with which checkpoints are verified, in PEM.";
    let key = Operation::query("auditKey", about, read, Answers::text(), |call| async move {
        call.service.audit_key(call.asker())
    });
    vec![
        events.pages("limit", USUALLY, MOST_EVENTS).argument("after", number(), "Those after this number."),
        filtered(audit.pages("limit", USUALLY, MOST_AUDITED))
            .argument("after", number(), "Oldest first, those after this number.")
            .argument(
                "before",
                number(),
                "Newest first, those before this number. The default is the newest.",
            ),
        verify,
        checkpoints.pages("limit", USUALLY, MOST_AUDITED).argument(
            "after",
            number(),
            "Those after this number.",
        ),
        key,
    ]
}

fn limit(call: &Call) -> Result<usize, Refusal> {
    Ok(call.maybe("limit")?.unwrap_or(USUALLY))
}

fn filtered(audit: Operation) -> Operation {
    audit
        .maybe_text("actor", "Those caused by this name, id or kind of actor.")
        .maybe_text("subject", "Those about `source/erp-files`, or about any `source`.")
        .maybe_text("event", "Those of this type, such as `resource_applied`.")
        .maybe_text("since", "Those from this time on.")
        .maybe_text("until", "Those before this time.")
        .maybe_text("outcome", "Those that were `done`, or `denied`.")
}

async fn audited(call: &Call) -> Result<AuditPage, Refusal> {
    let order = match (call.maybe("after")?, call.maybe("before")?) {
        (Some(_), Some(_)) => return Err(Refusal::invalid("either `after` or `before`, not both")),
        (Some(after), None) => Order::After(after),
        (None, before) => Order::Before(before.unwrap_or(u64::MAX)),
    };
    let filter = AuditFilter {
        actor: call.maybe("actor")?,
        subject: call.maybe("subject")?,
        event: call.maybe("event")?,
        since: call.maybe("since")?,
        until: call.maybe("until")?,
        outcome: call.maybe("outcome")?,
    };
    call.service.audit(call.asker(), filter, order, limit(call)?).await
}
