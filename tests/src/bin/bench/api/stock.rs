//! The resources of a control plane of some size, and the events that led to them.
//!
//! Of a hundred resources one is a site, two are agents, ten sinks, ten routes, and the others sources. They are written
//! into the catalog with its own library, since over the API a million changes would take longer than anyone waits.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result, anyhow};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use towpath_audit::AuditKey;
use towpath_catalog::{Actor, Catalog, CatalogConfig, Cause, SecretHash};
use towpath_record::ResourceName;
use towpath_resource::{AnyManifest, manifest_from_json};

/// Manifests that are applied at once.
const AT_ONCE: u64 = 500;
/// Agents that are enrolled at once.
const ENROLLERS: u64 = 16;
/// How many teams own the sources.
const TEAMS: u64 = 50;

/// The resources of a control plane of some size.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stock {
    pub(crate) resources: u64,
    pub(crate) seed: u64,
}

impl Stock {
    fn sites(self) -> u64 {
        self.resources / 100
    }

    fn agents(self) -> u64 {
        self.sites() * 2
    }

    fn sinks(self) -> u64 {
        self.sites() * 10
    }

    /// How many sources there are.
    pub(crate) fn sources(self) -> u64 {
        self.resources - self.sites() - self.agents() - 2 * self.sinks()
    }

    /// A source as it is written.
    pub(crate) fn source(self, n: u64, revision: u64) -> Value {
        let rule = json!({
            "include": ["*.csv"], "stream": format!("erp.s{n:06}"), "format": { "csv": {} }, "key": ["id"],
        });
        json!({
            "apiVersion": "towpath/v1",
            "kind": "Source",
            "metadata": {
                "name": source_name(n),
                "labels": { "team": team(n), "revision": revision.to_string() },
            },
            "spec": {
                "agent": format!("agent-{:06}", n % self.agents()),
                "adapter": "file",
                "config": { "path": format!("/srv/erp/{n:06}"), "files": [rule] },
            },
        })
    }

    fn site(n: u64) -> Value {
        document("Site", &format!("site-{n:06}"), &json!({}))
    }

    fn sink(self, n: u64) -> Value {
        let config = json!({ "path": format!("/var/lib/copies/{n:06}.db"), "mode": "append" });
        let agent = format!("agent-{:06}", n % self.agents());
        document(
            "Sink",
            &format!("sink-{n:06}"),
            &json!({ "agent": agent, "adapter": "sqlite", "config": config }),
        )
    }

    fn route(n: u64) -> Value {
        let spec = json!({ "streams": [format!("erp.s{n:06}")], "sink": format!("sink-{n:06}") });
        document("Route", &format!("route-{n:06}"), &spec)
    }

    /// Writes them into the catalog of a control plane that does not run, then changes sources until there are so many
    /// events.
    pub(crate) fn fill(self, data: &Path, events: u64) -> Result<()> {
        let key =
            std::fs::read_to_string(data.join("audit/audit.key.pem")).context("there is no audit key")?;
        let key = AuditKey::from_pem(&key).map_err(|error| anyhow!("{error}"))?;
        let config = CatalogConfig { key: Some(Arc::new(key)), ..CatalogConfig::default() };
        let (catalog, _) = Catalog::open(&data.join("catalog"), config)?;
        apply(&catalog, (0..self.sites()).map(Self::site))?;
        self.enrol(&catalog)?;
        apply(&catalog, (0..self.sources()).map(|n| self.source(n, 0)))?;
        apply(&catalog, (0..self.sinks()).map(|n| self.sink(n)))?;
        apply(&catalog, (0..self.sinks()).map(Self::route))?;
        let there = catalog.state().seq;
        let mut rng = fastrand::Rng::with_seed(self.seed);
        let changes = (there..events).map(|revision| self.source(rng.u64(0..self.sources()), revision));
        apply(&catalog, changes)?;
        catalog.checkpoint()?;
        Ok(())
    }

    fn enrol(self, catalog: &Catalog) -> Result<()> {
        let later = Timestamp::now().checked_add(SignedDuration::from_hours(1))?;
        let enrol = |n: u64| -> Result<()> {
            let secret = SecretHash::of(&format!("token {n}"));
            let site = format!("site-{:06}", n % self.sites());
            catalog.create_token(secret, &site, later, &admin())?;
            catalog.enrol(&secret, &ResourceName::new(format!("agent-{n:06}"))?, "0.0.0")?;
            Ok(())
        };
        std::thread::scope(|scope| {
            let each = |first| {
                scope.spawn(move || (first..self.agents()).step_by(ENROLLERS as usize).try_for_each(enrol))
            };
            let all: Vec<_> = (0..ENROLLERS).map(each).collect();
            all.into_iter().try_for_each(|one| one.join().map_err(|_| anyhow!("an enrolment panicked"))?)
        })
    }
}

/// The name of a source.
pub(crate) fn source_name(n: u64) -> String {
    format!("source-{n:06}")
}

/// The team that owns a source.
pub(crate) fn team(n: u64) -> String {
    format!("team-{:02}", n % TEAMS)
}

fn document(kind: &str, name: &str, spec: &Value) -> Value {
    json!({ "apiVersion": "towpath/v1", "kind": kind, "metadata": { "name": name }, "spec": spec })
}

fn apply(catalog: &Catalog, documents: impl Iterator<Item = Value>) -> Result<()> {
    let mut documents = documents.peekable();
    while documents.peek().is_some() {
        let part: Vec<_> =
            documents.by_ref().take(AT_ONCE as usize).map(|one| manifest(&one)).collect::<Result<_>>()?;
        for result in catalog.apply_all(part, &admin(), false) {
            result?;
        }
    }
    Ok(())
}

fn manifest(document: &Value) -> Result<AnyManifest> {
    manifest_from_json(document).map_err(|faults| anyhow!("{document} is not valid: {faults:?}"))
}

fn admin() -> Cause {
    Actor::System.into()
}
