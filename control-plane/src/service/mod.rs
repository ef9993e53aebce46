//! What admins can do, once: every interface is a thin shell over it, so that the same change leaves the same event
//! whichever way it was asked for.
//!
//! A request comes with an [`Asker`], who was already let in. Each operation decides for itself whether the asker may do
//! it there, reads the catalog's state and the data path through [`Plane`], and changes by commands of the catalog.
//! Whatever it cannot do is a [`Refusal`].

pub mod plane;
mod rates;
mod overview;
mod refusal;
mod asker;
mod need;
mod authenticate;
mod limits;
mod admission;
mod doors;
mod tickets;
mod sight;
mod resources;
mod report;
mod list;
mod patch;
mod watch;
mod agents;
mod sources;
mod routes;
mod streams;
mod schemas;
mod policies;
mod letters;
mod tokens;
mod lossy;
mod last_used;
mod keys;
mod passwords;
mod throttle;
mod users;
mod session_tokens;
mod sessions;
mod providers;
mod events;
mod audit;
mod history;
mod follow;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use towpath_access::Target;
use towpath_catalog::{Catalog, State};
use towpath_record::RegionName;
use towpath_resource::api::FleetStatus;
use towpath_resource::{AnyManifest, Object, Permission};

pub use admission::Admission;
pub use asker::Asker;
pub use audit::MOST_AUDITED;
pub use events::MOST_EVENTS;
pub use letters::MOST_LETTERS;
pub(crate) use limits::whole_seconds;
pub use limits::{Left, Limited, Quota};
pub use list::{DEFAULT_PAGE, Filter, ListOrder, ListPage, MOST_ON_PAGE, Sort, SortError};
pub use need::Need;
pub use passwords::Pepper;
pub use plane::Plane;
pub use refusal::Refusal;
pub use resources::{Changed, Put, Shown, parse};
pub use streams::Reading;
pub use watch::{WatchEvent, WatchOrder};

use crate::api::{IdempotencyKeys, RateSettings};
use crate::config::AccessSettings;
use crate::control::ca::CaFingerprint;
use crate::control::export::Exports;
use crate::egress::Egress;
use last_used::LastUsed;
use limits::Limits;
use overview::View;
use passwords::Passwords;
use providers::Providers;
use rates::{Rates, SAMPLE_EVERY};
use session_tokens::SessionTokens;
use throttle::Throttle;
use tickets::Tickets;

/// Streams that are followed at once; each costs a reader of the log.
const MOST_TAILS: usize = 64;
/// Sockets that are open at once.
const MOST_SOCKETS: usize = 256;
/// How often what is kept beside the catalog is written.
const WRITE_EVERY: Duration = Duration::from_secs(5);

/// What the service is made of.
pub struct ServiceConfig {
    /// The catalog.
    pub catalog: Arc<Catalog>,
    /// The data path.
    pub plane: Arc<dyn Plane>,
    /// The CA that enrolment tokens pin.
    pub ca: CaFingerprint,
    /// Renders the metrics of this process, in the text format of Prometheus.
    pub metrics: Arc<dyn Fn() -> String + Send + Sync>,
    /// How identities are looked after.
    pub access: AccessSettings,
    /// Where it keeps what may be lost.
    pub data_dir: PathBuf,
    /// How the copies of the audit trail go.
    pub exports: Exports,
    /// The secret in the hashes of passwords.
    pub pepper: Pepper,
    /// The way to addresses that resources name.
    pub egress: Arc<Egress>,
    /// How often someone may ask.
    pub rate: RateSettings,
    /// The requests that were sent with a key, so that none is done twice.
    pub repeats: IdempotencyKeys,
}

/// What admins can do. Cheap to clone.
#[derive(Clone)]
pub struct Service(Arc<Inner>);

struct Inner {
    config: ServiceConfig,
    rates: Mutex<Arc<Rates>>,
    tails: Arc<Semaphore>,
    watchers: Arc<Semaphore>,
    sockets: Arc<Semaphore>,
    places: Arc<Semaphore>,
    limits: Limits,
    last_used: LastUsed,
    tickets: Tickets,
    stopping: CancellationToken,
    passwords: Passwords,
    throttle: Throttle,
    session_tokens: SessionTokens,
    providers: Providers,
}

impl Service {
    /// Puts the service together and begins to measure how fast things flow, in a task that ends with the service.
    pub fn new(config: ServiceConfig) -> Self {
        let tails = Arc::new(Semaphore::new(MOST_TAILS));
        let watchers = Arc::new(Semaphore::new(watch::MOST_WATCHERS));
        let sockets = Arc::new(Semaphore::new(MOST_SOCKETS));
        let last_used = LastUsed::open(&config.data_dir);
        let session_tokens = SessionTokens::open(&config.data_dir);
        let inner = Arc::new(Inner {
            rates: Mutex::default(),
            tails,
            watchers,
            sockets,
            places: Arc::new(Semaphore::new(doors::MOST_REQUESTS)),
            limits: Limits::new(&config.rate),
            last_used,
            tickets: Tickets::default(),
            stopping: CancellationToken::new(),
            passwords: Passwords::new(config.pepper.clone()),
            throttle: Throttle::default(),
            session_tokens,
            providers: Providers::new(config.egress.clone(), config.access.max_token_age.map(|span| span.0)),
            config,
        });
        keep_writing(&inner);
        let sampled = Arc::downgrade(&inner);
        tokio::spawn(async move {
            let mut ticks = tokio::time::interval(SAMPLE_EVERY);
            loop {
                ticks.tick().await;
                let Some(inner) = sampled.upgrade() else { return };
                let snapshot = inner.config.plane.snapshot();
                Arc::make_mut(&mut *inner.rates.lock()).sample(Instant::now(), &snapshot);
            }
        });
        Self(inner)
    }

    /// The right to keep a socket open, for as long as it is held.
    ///
    /// # Errors
    /// Too many are open.
    pub fn socket_permit(&self) -> Result<OwnedSemaphorePermit, Refusal> {
        self.0.sockets.clone().try_acquire_owned().map_err(|_| {
            Refusal::TooMany("too many sockets are open; close one, or use /v1/feed/poll".to_owned())
        })
    }

    /// Ends long answers, so that the control plane can stop.
    pub fn stop(&self) {
        self.0.stopping.cancel();
    }

    /// Waits until long answers shall end.
    pub async fn stopped(&self) {
        self.0.stopping.cancelled().await;
    }

    /// Writes what is kept beside the catalog. Blocks; called last, when the control plane stops.
    pub fn write(&self) {
        self.0.write();
    }

    /// The catalog's state.
    pub fn catalog(&self) -> Arc<State> {
        self.0.config.catalog.state()
    }

    /// Whether the data path takes and delivers frames; if not, why.
    ///
    /// # Errors
    /// Why it does not.
    pub fn ready(&self) -> Result<(), String> {
        self.plane().ready()
    }

    /// The metrics of this process, in the text format of Prometheus.
    pub fn process_metrics(&self) -> String {
        (self.0.config.metrics)()
    }

    /// How the whole fleet goes, for the monitoring of this machine; others ask for [`Service::status`].
    pub fn fleet(&self) -> FleetStatus {
        self.view(&self.catalog(), |view| overview::fleet(view, |_| true))
    }

    /// How the fleet goes, as far as the asker may see it.
    pub fn status(&self, asker: &Asker) -> FleetStatus {
        let (state, read) = (self.catalog(), Permission::read(Object::Status));
        let everything = asker.principal.may_everywhere(read);
        let shows = |one: &AnyManifest| everything || asker.may(read, &Target::resource(&state, one));
        self.view(&state, |view| overview::fleet(view, shows))
    }

    /// The requests that were sent with a key.
    pub(crate) fn repeats(&self) -> &IdempotencyKeys {
        &self.0.config.repeats
    }

    /// The regions in which sites may stand.
    fn regions(&self) -> BTreeSet<RegionName> {
        self.0.config.catalog.regions()
    }

    fn plane(&self) -> &Arc<dyn Plane> {
        &self.0.config.plane
    }

    /// Looks at how everything goes now.
    fn view<T>(&self, state: &State, look: impl FnOnce(&View<'_>) -> T) -> T {
        let snapshot = self.plane().snapshot();
        // Taken, not borrowed: a long look must not keep others from looking.
        let rates = self.0.rates.lock().clone();
        let (exports, at) = (&self.0.config.exports, Timestamp::now());
        look(&View { state, snapshot: &snapshot, rates: &rates, exports, at })
    }

    /// Runs a command of the catalog, which blocks until its event is durable.
    async fn command<T: Send + 'static, E: Into<Refusal> + Send + 'static>(
        &self,
        command: impl FnOnce(&Catalog) -> Result<T, E> + Send + 'static,
    ) -> Result<T, Refusal> {
        let catalog = self.0.config.catalog.clone();
        let done = tokio::task::spawn_blocking(move || command(&catalog)).await;
        done.map_err(|_| Refusal::Stopping)?.map_err(Into::into)
    }
}

/// Writes what is kept beside the catalog, again and again, in a task that ends with the service.
fn keep_writing(inner: &Arc<Inner>) {
    let written = Arc::downgrade(inner);
    tokio::spawn(async move {
        let mut ticks = tokio::time::interval(WRITE_EVERY);
        loop {
            ticks.tick().await;
            let Some(inner) = written.upgrade() else { return };
            // Only a runtime that stops leaves it undone.
            drop(tokio::task::spawn_blocking(move || inner.write()).await);
        }
    });
}

impl Inner {
    fn write(&self) {
        let state = self.config.catalog.state();
        self.last_used.write(&state);
        self.session_tokens.write(&state);
    }
}
