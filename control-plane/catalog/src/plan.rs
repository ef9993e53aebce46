//! What a command leads to: pure functions of the state. Each either refuses or says which event is to be recorded.

use jiff::Timestamp;
use towpath_record::{AgentId, RegionName, ResourceName};
use towpath_resource::{
    AgentSpec, AnyManifest, AnyResource, Faults, Invalid, Kind, Lookup, Manifest, Metadata, Resource,
    SiteSpec, SourceSpec, Spec, StartFrom, check_references, each_kind, kind_of,
};
use uuid::Uuid;

use crate::catalog::CatalogConfig;
use crate::error::{ApplyError, DeleteError, EnrolError, UnknownResource};
use crate::event::EventKind;
use crate::policies;
use crate::secret::SecretHash;
use crate::state::{AcceptedSchema, State, Table};
use crate::terms::Expected;

/// What became of a manifest.
#[derive(Clone, PartialEq, Debug)]
pub struct Applied {
    /// Whether anything changed.
    pub outcome: Outcome,
    /// The resource as it is now.
    pub resource: AnyResource,
}

/// Whether anything changed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// The resource is new.
    Created,
    /// The resource was there and is different now.
    Changed,
    /// The resource was just so already.
    Unchanged,
}

/// An agent that came into being.
#[derive(Clone, PartialEq, Debug)]
pub struct Enrolled {
    /// Its identity.
    pub agent: AgentId,
    /// Its site.
    pub site: ResourceName,
}

/// The state with what only the configuration knows.
pub(crate) struct World<'a> {
    pub(crate) state: &'a State,
    pub(crate) config: &'a CatalogConfig,
    /// The time of the command.
    pub(crate) now: Timestamp,
}

impl Lookup for World<'_> {
    fn has(&self, kind: Kind, name: &ResourceName) -> bool {
        kind_of!(kind, S => S::of(self.state).contains_key(name))
    }

    fn names(&self, kind: Kind) -> Vec<&ResourceName> {
        self.state.names(kind)
    }

    fn regions(&self) -> Vec<&RegionName> {
        self.config.regions.union(&self.config.sink_regions).collect()
    }
}

impl World<'_> {
    /// Takes a manifest if what is there is what was expected. No event when it changes nothing.
    pub(crate) fn apply_on(
        &self,
        expected: &Expected,
        manifest: AnyManifest,
    ) -> Result<(Applied, Option<EventKind>), ApplyError> {
        let there = self.state.generation_of(manifest.kind(), manifest.name());
        expected.check(|| manifest.subject(), there)?;
        Ok(self.apply(manifest)?)
    }

    /// Deletes a resource that nothing else needs, if it is what was expected.
    pub(crate) fn delete_on(
        &self,
        expected: &Expected,
        kind: Kind,
        name: &ResourceName,
    ) -> Result<EventKind, DeleteError> {
        expected.check(|| format!("{kind} {name}"), self.state.generation_of(kind, name))?;
        self.delete(kind, name)
    }

    /// Takes a manifest. No event when it changes nothing.
    fn apply(&self, manifest: AnyManifest) -> Result<(Applied, Option<EventKind>), Invalid> {
        let mut faults = Faults::default();
        self.check_beside(&manifest, &mut faults);
        each_kind!(manifest, AnyManifest::manifest => self.apply_one(manifest, faults))
    }

    /// Notes what the rules between resources forbid, beyond references.
    fn check_beside(&self, manifest: &AnyManifest, faults: &mut Faults) {
        match manifest {
            AnyManifest::Site(site) => self.check_site(site, faults),
            AnyManifest::Agent(agent) => self.check_agent(agent, faults),
            AnyManifest::Source(source) => self.check_source(source, faults),
            AnyManifest::Policy(policy) => policies::check(policy, &self.regions(), faults),
            _ => {}
        }
    }

    fn apply_one<S: Table>(
        &self,
        manifest: Manifest<S>,
        beside: Faults,
    ) -> Result<(Applied, Option<EventKind>), Invalid>
    where
        AnyResource: From<Resource<S>>,
    {
        manifest.check()?;
        let before = S::of(self.state).get(&manifest.metadata.name);
        let mut faults = beside;
        check_references(&manifest.spec, self, &mut faults);
        if let Some(before) = before {
            manifest.spec.check_change(&before.spec, &mut faults);
        }
        faults.into_result(manifest.subject())?;

        if let Some(before) = before
            && before.manifest() == manifest
        {
            return Ok((Applied { outcome: Outcome::Unchanged, resource: before.clone().into() }, None));
        }
        let outcome = if before.is_some() { Outcome::Changed } else { Outcome::Created };
        let resource = AnyResource::from(self.resource(manifest, before));
        Ok((Applied { outcome, resource: resource.clone() }, Some(EventKind::ResourceApplied { resource })))
    }

    fn resource<S: Spec>(&self, manifest: Manifest<S>, before: Option<&Resource<S>>) -> Resource<S> {
        Resource {
            id: before.map_or_else(|| Uuid::now_v7().into(), |before| before.id),
            generation: self.state.seq + 1,
            created_at: before.map_or(self.now, |before| before.created_at),
            updated_at: self.now,
            metadata: manifest.metadata,
            spec: manifest.spec,
        }
    }

    fn check_site(&self, manifest: &Manifest<SiteSpec>, faults: &mut Faults) {
        let before = self.state.sites.get(&manifest.metadata.name);
        if before.is_none_or(|before| before.spec.region == manifest.spec.region) {
            return;
        }
        let agents = self.state.agents_at(&manifest.metadata.name);
        let held_by = agents.flat_map(|agent| self.state.sources_of(agent.name())).next();
        if let Some(source) = held_by {
            faults.add(
                "spec.region",
                format!("cannot be changed while the site has sources, since their chains are in the old region's log; delete source {} first", source.name()),
            );
        }
    }

    fn check_agent(&self, manifest: &Manifest<AgentSpec>, faults: &mut Faults) {
        faults.require(self.state.agents.contains_key(&manifest.metadata.name), "metadata.name", || {
            "is not an agent that exists; an agent comes into being by enrolment: `towpath token create --site SITE`, then `towpath-agent enroll`".to_owned()
        });
    }

    fn check_source(&self, manifest: &Manifest<SourceSpec>, faults: &mut Faults) {
        let region = |agent| self.state.site_of(agent).map(|site| &site.spec.region);
        let new = region(&manifest.spec.agent);
        if let Some(new) = new.filter(|region| !self.config.regions.contains(*region)) {
            let logs: Vec<_> = self.config.regions.iter().map(RegionName::as_str).collect();
            let message = format!(
                "stands in region `{new}`, of which no log is kept; choose an agent in a region that has one: {}",
                logs.join(", ")
            );
            return faults.add("spec.agent", message);
        }
        let Some(before) = self.state.sources.get(&manifest.metadata.name) else { return };
        let old = region(&before.spec.agent);
        if let (Some(old), Some(new)) = (old, new)
            && old != new
        {
            faults.add(
                "spec.agent",
                format!("stands in region `{new}`, but the source's chain is in the log of region `{old}`; create another source"),
            );
        }
    }

    /// Deletes a resource that nothing else needs.
    fn delete(&self, kind: Kind, name: &ResourceName) -> Result<EventKind, DeleteError> {
        let Some(resource) = self.state.get(kind, name) else {
            return Err(self.state.unknown(kind, name.as_str()).into());
        };
        let needed_by = self.state.referrers(kind, name);
        if !needed_by.is_empty() {
            return Err(DeleteError::Needed { kind, name: name.clone(), needed_by });
        }
        Ok(EventKind::ResourceDeleted { resource })
    }

    /// Uses a token up and makes its agent.
    pub(crate) fn enrol(
        &self,
        secret: &SecretHash,
        name: ResourceName,
        version: String,
    ) -> Result<(Enrolled, EventKind), EnrolError> {
        let (id, token) = self.state.token(secret).ok_or(EnrolError::UnknownToken)?;
        let site = token.site.clone();
        if token.used.is_some() {
            return Err(EnrolError::UsedToken { site });
        }
        if token.expires_at <= self.now {
            return Err(EnrolError::ExpiredToken { site });
        }
        if self.state.agents.contains_key(&name) {
            return Err(EnrolError::NameTaken { name });
        }
        let metadata = Metadata { name, labels: Default::default() };
        let spec = AgentSpec { site: site.clone(), description: String::new() };
        let agent = self.resource(Manifest { metadata, spec }, None);
        let enrolled = Enrolled { agent: agent.id, site };
        Ok((enrolled, EventKind::AgentEnrolled { token: id, agent, version }))
    }

    /// Sends a route back.
    pub(crate) fn replay(&self, name: &str, from: StartFrom) -> Result<(u64, EventKind), UnknownResource> {
        let route = self.state.require::<towpath_resource::RouteSpec>(name)?;
        let replay = self.state.replay_count(route.id) + 1;
        let name = route.name().clone();
        Ok((replay, EventKind::RouteReplayed { route: route.id, name, from, replay }))
    }

    /// Accepts a version of a schema for a route. No event when it is already.
    pub(crate) fn accept_schema(
        &self,
        name: &str,
        accepted: &AcceptedSchema,
    ) -> Result<Option<EventKind>, UnknownResource> {
        let route = self.state.require::<towpath_resource::RouteSpec>(name)?;
        let known = self.state.accepted_schemas.get(&route.id).is_some_and(|all| all.contains(accepted));
        let (name, accepted) = (route.name().clone(), accepted.clone());
        Ok((!known).then_some(EventKind::SchemaAccepted { route: route.id, name, accepted }))
    }

    /// Cuts an agent off. No event when it is already.
    pub(crate) fn revoke(&self, name: &str) -> Result<(AgentId, Option<EventKind>), UnknownResource> {
        let agent = self.state.require::<AgentSpec>(name)?;
        let revoked = self.state.revoked.contains_key(&agent.id);
        let event = || EventKind::AgentRevoked { agent: agent.id, name: agent.name().clone() };
        Ok((agent.id, (!revoked).then(event)))
    }
}
