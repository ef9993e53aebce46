//! What every endpoint has at hand.

use std::sync::Arc;
use std::time::Instant;

use jiff::Timestamp;
use parking_lot::Mutex;
use tokio::sync::Semaphore;
use towpath_catalog::{Catalog, State};
use towpath_resource::api::FleetStatus;

use super::overview;
use super::plane::{Plane, Snapshot};
use super::problem::ApiError;
use super::rates::{Rates, SAMPLE_EVERY};
use crate::control::ca::CaFingerprint;

/// Streams that are followed at once; each costs a reader of the log.
const MOST_TAILS: usize = 64;

/// What the API is made of.
pub struct ApiConfig {
    /// The catalog.
    pub catalog: Arc<Catalog>,
    /// The data path.
    pub plane: Arc<dyn Plane>,
    /// The CA that enrolment tokens pin.
    pub ca: CaFingerprint,
    /// Renders the metrics of this process, in the text format of Prometheus.
    pub metrics: Arc<dyn Fn() -> String + Send + Sync>,
    /// Whether `/metrics` is served beside the API, to anyone who reaches it; else only by [`super::metrics_router`].
    pub serve_metrics: bool,
}

/// What every endpoint has at hand. Cheap to clone.
#[derive(Clone)]
pub struct ApiState(Arc<Inner>);

struct Inner {
    config: ApiConfig,
    rates: Mutex<Rates>,
    tails: Arc<Semaphore>,
}

impl ApiState {
    /// Puts the API together and begins to measure how fast things flow, in a task that ends with the API.
    pub fn new(config: ApiConfig) -> Self {
        let tails = Arc::new(Semaphore::new(MOST_TAILS));
        let inner = Arc::new(Inner { config, rates: Mutex::default(), tails });
        let sampled = Arc::downgrade(&inner);
        tokio::spawn(async move {
            let mut ticks = tokio::time::interval(SAMPLE_EVERY);
            loop {
                ticks.tick().await;
                let Some(inner) = sampled.upgrade() else { return };
                let snapshot = inner.config.plane.snapshot();
                inner.rates.lock().sample(Instant::now(), &snapshot);
            }
        });
        Self(inner)
    }

    /// The catalog's state.
    pub(super) fn catalog(&self) -> Arc<State> {
        self.0.config.catalog.state()
    }

    /// The data path.
    pub(super) fn plane(&self) -> &Arc<dyn Plane> {
        &self.0.config.plane
    }

    pub(super) fn ca(&self) -> &CaFingerprint {
        &self.0.config.ca
    }

    pub(super) fn serves_metrics(&self) -> bool {
        self.0.config.serve_metrics
    }

    pub(super) fn process_metrics(&self) -> String {
        (self.0.config.metrics)()
    }

    pub(super) fn tails(&self) -> Arc<Semaphore> {
        self.0.tails.clone()
    }

    /// How the fleet goes.
    pub(super) fn fleet(&self, snapshot: &Snapshot) -> FleetStatus {
        overview::fleet(&self.catalog(), snapshot, &self.0.rates.lock(), Timestamp::now())
    }

    /// Runs a command of the catalog, which blocks until its event is durable.
    pub(super) async fn command<T: Send + 'static, E: Into<ApiError> + Send + 'static>(
        &self,
        command: impl FnOnce(&Catalog) -> Result<T, E> + Send + 'static,
    ) -> Result<T, ApiError> {
        let catalog = self.0.config.catalog.clone();
        let done = tokio::task::spawn_blocking(move || command(&catalog)).await;
        done.map_err(|_| ApiError::Stopping)?.map_err(Into::into)
    }
}
