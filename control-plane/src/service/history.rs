//! The history of a resource, and the way back.

use serde::Serialize;
use serde_json::Value;
use towpath_access::Target;
use towpath_catalog::Version;
use towpath_record::ResourceName;
use towpath_resource::api::ResourceVersion;
use towpath_resource::{AnyManifest, Kind, Object, Permission};

use super::audit::may_audit;
use super::{Asker, Refusal, Service, Shown, parse};

impl Service {
    /// Every version of a resource that the trail still tells of, oldest first; also of one that was deleted. From where
    /// it was changed is told only to those who may see the audit trail.
    ///
    /// # Errors
    /// There never was such a resource, or it is not the asker's to see.
    pub async fn history(
        &self,
        asker: &Asker,
        kind: Kind,
        name: &str,
    ) -> Result<Vec<ResourceVersion>, Refusal> {
        let versions = self.versions(asker, Permission::read(Object::Resource(kind)), kind, name).await?;
        let with_origin = may_audit(asker).is_ok();
        Ok(versions.into_iter().map(|version| told(version, with_origin)).collect())
    }

    /// Makes a resource as it was at a generation, by applying the manifest it had then: it is checked as any other, and
    /// recorded as any other.
    ///
    /// # Errors
    /// There is no such generation, it is not valid any more, or the resource is not the asker's to change.
    pub async fn rollback(&self, asker: &Asker, kind: Kind, name: &str, to: u64) -> Result<Shown, Refusal> {
        let versions = self.versions(asker, Permission::write(Object::Resource(kind)), kind, name).await?;
        let known: Vec<_> = versions.iter().map(|version| version.generation.to_string()).collect();
        let Some(version) = versions.into_iter().find(|version| version.generation == to) else {
            let known = known.join(", ");
            return Err(Refusal::NotFound(format!(
                "{kind} {name} has no generation {to}; the trail knows {known}"
            )));
        };
        let Some(manifest) = version.manifest else {
            return Err(Refusal::Conflict(format!(
                "generation {to} of {kind} {name} is its deletion; delete it, or choose another generation"
            )));
        };
        let text = serde_json::to_string(&manifest).expect("a manifest is always JSON");
        let applied = self.apply(asker, &parse(&text)?, false).await?.remove(0)?;
        Ok(self.shown(applied.resource))
    }

    async fn versions(
        &self,
        asker: &Asker,
        permission: Permission,
        kind: Kind,
        name: &str,
    ) -> Result<Vec<Version>, Refusal> {
        let state = self.catalog();
        let unknown = || state.require_any(kind, name).map(drop).map_err(Refusal::from);
        let Ok(parsed) = ResourceName::new(name) else {
            return unknown().map(|()| Vec::new());
        };
        let versions = self.command(move |catalog| catalog.history(kind, &parsed)).await?;
        // Of one that was deleted, the last that it was says where it belonged.
        let now = state.require_any(kind, name).ok().map(|resource| resource.manifest());
        let last: Option<AnyManifest> =
            now.or_else(|| versions.iter().rev().find_map(|version| version.manifest.clone()));
        match &last {
            Some(manifest) => asker.require(permission, &Target::resource(&state, manifest))?,
            None => unknown()?,
        }
        Ok(versions)
    }
}

fn told(version: Version, with_origin: bool) -> ResourceVersion {
    let Version { generation, at, cause, happened, changes, manifest } = version;
    ResourceVersion {
        generation,
        at,
        actor: to_json(&cause.actor),
        origin: cause.origin.filter(|_| with_origin).map(|origin| to_json(&origin)),
        happened,
        changes,
        manifest: manifest.map(|manifest| to_json(&manifest)),
    }
}

fn to_json(value: &impl Serialize) -> Value {
    serde_json::to_value(value).expect("what the catalog keeps is always JSON")
}
