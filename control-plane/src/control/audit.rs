//! Looks after the audit trail: counts of denied attempts are recorded, what happened is signed, and what retention lets
//! go is removed.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use towpath_catalog::{Catalog, CatalogError, RetentionError};

use crate::config::AuditSettings;

/// How often to look what is due.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// How often old events are removed.
const RETAIN_EVERY: Duration = Duration::from_secs(3_600);

/// Looks after the trail until `stop`, and leaves it signed to its last event.
pub(crate) async fn run(catalog: Arc<Catalog>, settings: AuditSettings, stop: CancellationToken) {
    sign(&catalog).await;
    let mut ticks = tokio::time::interval(LOOK_EVERY);
    let mut signing = tokio::time::interval(settings.checkpoint_every.0.max(LOOK_EVERY));
    let mut retaining = tokio::time::interval(RETAIN_EVERY);
    loop {
        tokio::select! {
            () = stop.cancelled() => break,
            _ = ticks.tick() => flush(&catalog, false).await,
            _ = signing.tick() => sign(&catalog).await,
            _ = retaining.tick() => retain(&catalog, &settings).await,
        }
    }
    flush(&catalog, true).await;
    sign(&catalog).await;
}

async fn flush(catalog: &Arc<Catalog>, all: bool) {
    let done = blocking(catalog, move |catalog| catalog.flush_denials(all)).await;
    if let Some(Err(error)) = done {
        tracing::warn!(error = &error as &dyn std::error::Error, "denied attempts were not recorded");
    }
}

async fn sign(catalog: &Arc<Catalog>) {
    let done: Option<Result<bool, CatalogError>> = blocking(catalog, Catalog::checkpoint).await;
    if let Some(Err(error)) = done {
        tracing::warn!(
            error = &error as &dyn std::error::Error,
            "the audit trail was not signed; it is tried again"
        );
    }
}

async fn retain(catalog: &Arc<Catalog>, settings: &AuditSettings) {
    let Some(age) = settings.retention else { return };
    let done: Option<Result<_, RetentionError>> =
        blocking(catalog, move |catalog| catalog.retain(age.0)).await;
    match done {
        Some(Ok(removed)) if removed.events > 0 => {
            tracing::info!(
                events = removed.events,
                oldest_kept = removed.first,
                "old events left the audit trail"
            );
        }
        Some(Err(error)) => {
            tracing::error!(
                error = &error as &dyn std::error::Error,
                "no old event was removed from the audit trail"
            );
        }
        _ => {}
    }
}

/// `None` only if the work panicked or the runtime ends.
async fn blocking<T: Send + 'static>(
    catalog: &Arc<Catalog>,
    work: impl FnOnce(&Catalog) -> T + Send + 'static,
) -> Option<T> {
    let catalog = catalog.clone();
    tokio::task::spawn_blocking(move || work(&catalog)).await.ok()
}
