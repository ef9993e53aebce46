//! A small installation to command.

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, OnceLock};

use jiff::Timestamp;
use tempfile::TempDir;
use towpath_audit::AuditKey;
use towpath_catalog::{Actor, Applied, ApplyError, Catalog, CatalogConfig, Cause, SecretHash};
use towpath_record::{AgentId, RegionName, ResourceName};
use towpath_resource::{AnyManifest, parse_documents};

pub(crate) const START: i64 = 1_800_000_000;

/// A clock that stands until it is moved.
#[derive(Clone)]
pub(crate) struct SetClock(Arc<AtomicI64>);

impl SetClock {
    pub(crate) fn advance(&self, seconds: i64) {
        self.0.fetch_add(seconds, Ordering::Relaxed);
    }

    pub(crate) fn now(&self) -> Timestamp {
        Timestamp::from_second(self.0.load(Ordering::Relaxed)).unwrap()
    }
}

pub(crate) fn config() -> (CatalogConfig, SetClock) {
    let clock = SetClock(Arc::new(AtomicI64::new(START)));
    let told = clock.clone();
    let config = CatalogConfig {
        regions: ["main", "eu"].map(|name| RegionName::new(name).unwrap()).into(),
        sink_regions: [RegionName::new("us").unwrap()].into(),
        clock: Arc::new(move || told.now()),
        key: Some(key()),
    };
    (config, clock)
}

/// The key with which the catalogs of these tests sign.
pub(crate) fn key() -> Arc<AuditKey> {
    static KEY: OnceLock<Arc<AuditKey>> = OnceLock::new();
    KEY.get_or_init(|| Arc::new(AuditKey::generate().unwrap())).clone()
}

pub(crate) fn open(dir: &TempDir) -> Catalog {
    Catalog::open(dir.path(), config().0).unwrap().0
}

pub(crate) fn name(text: &str) -> ResourceName {
    ResourceName::new(text).unwrap()
}

pub(crate) fn manifest(text: &str) -> AnyManifest {
    parse_documents(text).unwrap().remove(0).manifest.unwrap()
}

pub(crate) fn resource(kind: &str, name: &str, spec: &str) -> AnyManifest {
    manifest(&format!("apiVersion: towpath/v1\nkind: {kind}\nmetadata: {{name: {name}}}\nspec: {spec}\n"))
}

pub(crate) fn site(name: &str) -> AnyManifest {
    resource("Site", name, "{}")
}

pub(crate) fn source(name: &str, agent: &str) -> AnyManifest {
    resource("Source", name, &format!("{{agent: {agent}, adapter: file, config: {{path: /srv}}}}"))
}

pub(crate) fn sink(name: &str, agent: &str) -> AnyManifest {
    resource("Sink", name, &format!("{{agent: {agent}, adapter: sqlite, config: {{path: /db}}}}"))
}

pub(crate) fn route(name: &str, sink: &str) -> AnyManifest {
    resource("Route", name, &format!("{{streams: ['erp.**'], sink: {sink}}}"))
}

pub(crate) fn admin() -> Cause {
    Actor::Admin { token: uuid::Uuid::nil().into(), name: "ada".into() }.into()
}

pub(crate) trait Shortcuts {
    fn put(&self, manifest: AnyManifest) -> Result<Applied, ApplyError>;
    fn join(&self, site: &str, agent: &str) -> AgentId;
}

impl<S: towpath_segment::Storage> Shortcuts for Catalog<S> {
    fn put(&self, manifest: AnyManifest) -> Result<Applied, ApplyError> {
        self.apply(manifest, &admin())
    }

    fn join(&self, site: &str, agent: &str) -> AgentId {
        let hash = SecretHash::of(agent);
        let later = Timestamp::from_second(START + 3_600).unwrap();
        self.create_token(hash, site, later, &admin()).unwrap();
        self.enrol(&hash, &name(agent), "0.1.0").unwrap().agent
    }
}

/// A catalog with a site, an agent, a source, a sink and a route.
pub(crate) fn furnished(dir: &TempDir) -> (Catalog, AgentId) {
    let catalog = open(dir);
    catalog.put(site("plant")).unwrap();
    let agent = catalog.join("plant", "plant-1");
    for manifest in [source("erp", "plant-1"), sink("crm", "plant-1"), route("orders", "crm")] {
        catalog.put(manifest).unwrap();
    }
    (catalog, agent)
}
