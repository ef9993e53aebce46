//! Resources of every kind: listed, shown with their status, applied and deleted, all in one way.

use serde::Serialize;
use serde_json::Value;
use towpath_access::{Grant, Target};
use towpath_catalog::{Applied, Outcome, State, Terms};
use towpath_resource::{AnyManifest, AnyResource, Document, Kind, Object, Permission};

use super::overview::View;
use super::{Asker, Refusal, Service};

/// A resource with what was observed of it.
#[derive(Clone, PartialEq, Debug)]
pub struct Shown {
    /// The resource.
    pub resource: AnyResource,
    /// What was observed, if anything can be.
    pub status: Option<Value>,
}

/// A resource that was put or patched.
#[derive(Clone, PartialEq, Debug)]
pub struct Put {
    /// Whether anything changed.
    pub outcome: Outcome,
    /// The resource as it is now, or would be.
    pub shown: Shown,
}

/// What became of each document: its own faults, or the catalog's answer.
pub type Changed = Vec<Result<Applied, Refusal>>;

impl Shown {
    /// The resource as JSON, with its status.
    pub fn to_json(&self) -> Value {
        let mut shown = serde_json::to_value(&self.resource).expect("a resource is always JSON");
        if let Some(status) = &self.status {
            shown["status"] = status.clone();
        }
        shown
    }
}

impl Service {
    /// A resource with its status.
    ///
    /// # Errors
    /// It is not there, or not the asker's to see.
    pub fn show(&self, asker: &Asker, kind: Kind, name: &str) -> Result<Shown, Refusal> {
        let state = self.catalog();
        let resource = self.require(asker, &state, Permission::read(Object::Resource(kind)), kind, name)?;
        Ok(self.view(&state, |view| shown(view, resource)))
    }

    /// Applies documents that may refer to each other, in any order. Each is taken or refused by itself. With `dry_run`
    /// nothing is changed.
    ///
    /// # Errors
    /// Nothing was done.
    pub async fn apply(
        &self,
        asker: &Asker,
        documents: &[Document],
        dry_run: bool,
    ) -> Result<Changed, Refusal> {
        let state = self.catalog();
        let mut checked: Vec<Result<&AnyManifest, Refusal>> =
            documents.iter().map(|document| self.allowed(asker, &state, document)).collect();
        let manifests: Vec<_> =
            checked.iter().filter_map(|one| one.as_ref().ok().copied().cloned()).collect();
        let cause = asker.cause.clone();
        let answers = self
            .command(move |catalog| Ok::<_, Refusal>(catalog.apply_all(manifests, &cause, dry_run)))
            .await?;
        let mut answers = answers.into_iter();
        let mut answer =
            || answers.next().unwrap_or_else(|| unreachable!("there is an answer for each manifest"));
        Ok(checked.drain(..).map(|one| one.and_then(|_| answer().map_err(Refusal::from))).collect())
    }

    /// Applies the one document of a text to the resource that its address names, on these terms.
    ///
    /// # Errors
    /// It is not valid, names another resource, is not in the state that was expected, or is not the asker's to change.
    pub async fn put(
        &self,
        asker: &Asker,
        kind: Kind,
        name: &str,
        text: &str,
        terms: Terms,
    ) -> Result<Put, Refusal> {
        let documents = parse(text)?;
        let [document] = &documents[..] else {
            return Err(Refusal::invalid("the body must be one document; use /v1/apply for several"));
        };
        if let Ok(manifest) = &document.manifest {
            refuse_other_subject(manifest, kind, name)?;
        }
        let manifest = self.allowed(asker, &self.catalog(), document)?.clone();
        let cause = asker.cause.clone();
        let done = self.command(move |catalog| catalog.apply_on(&terms, manifest, &cause)).await;
        Ok(self.put_answer(done.map_err(|refusal| refusal.placed_in(document))?))
    }

    /// Deletes a resource that nothing else needs, on these terms.
    ///
    /// # Errors
    /// It is not there or not in the state that was expected, others need it, or it is not the asker's to delete.
    pub async fn delete(&self, asker: &Asker, kind: Kind, name: &str, terms: Terms) -> Result<(), Refusal> {
        let state = self.catalog();
        let write = Permission::write(Object::Resource(kind));
        let name = self.require(asker, &state, write, kind, name)?.name().clone();
        let cause = asker.cause.clone();
        self.command(move |catalog| catalog.delete_on(&terms, kind, &name, &cause)).await
    }

    pub(super) fn put_answer(&self, applied: Applied) -> Put {
        Put { outcome: applied.outcome, shown: self.shown(applied.resource) }
    }

    /// A resource with which the asker may do this.
    pub(super) fn require(
        &self,
        asker: &Asker,
        state: &State,
        permission: Permission,
        kind: Kind,
        name: &str,
    ) -> Result<AnyResource, Refusal> {
        let resource = state.require_any(kind, name)?;
        asker.require(permission, &Target::resource(state, &resource.manifest()))?;
        Ok(resource)
    }

    /// A resource with its status as it is now.
    pub(super) fn shown(&self, resource: AnyResource) -> Shown {
        self.view(&self.catalog(), |view| shown(view, resource))
    }

    /// Resources of this state with their status as it is now.
    pub(super) fn shown_all(&self, state: &State, resources: Vec<AnyResource>) -> Vec<Shown> {
        self.view(state, |view| resources.into_iter().map(|resource| shown(view, resource)).collect())
    }

    /// The manifest of a document that the asker may apply, as it is now and as it shall be.
    fn allowed<'a>(
        &self,
        asker: &Asker,
        state: &State,
        document: &'a Document,
    ) -> Result<&'a AnyManifest, Refusal> {
        let manifest = document.manifest.as_ref().map_err(|faults| {
            let listed: Vec<_> = faults.iter().map(ToString::to_string).collect();
            let detail = format!("{} is not valid: {}", document.subject, listed.join("; "));
            Refusal::Invalid { detail, faults: faults.clone() }
        })?;
        self.check_allowed(asker, state, manifest)?;
        Ok(manifest)
    }

    /// Whether the asker may apply a manifest, as it is now and as it shall be.
    pub(super) fn check_allowed(
        &self,
        asker: &Asker,
        state: &State,
        manifest: &AnyManifest,
    ) -> Result<(), Refusal> {
        let write = Permission::write(Object::Resource(manifest.kind()));
        asker.require(write, &Target::resource(state, manifest))?;
        if let Some(before) = state.get(manifest.kind(), manifest.name()) {
            asker.require(write, &Target::resource(state, &before.manifest()))?;
        }
        self.check_giving(asker, state, manifest)
    }

    /// Whoever gives rights must have them.
    fn check_giving(&self, asker: &Asker, state: &State, manifest: &AnyManifest) -> Result<(), Refusal> {
        let given = match manifest {
            AnyManifest::Role(role) => Grant {
                role: role.metadata.name.clone(),
                permissions: role.spec.permissions.clone(),
                scope: towpath_resource::Scope::default(),
            },
            AnyManifest::RoleBinding(binding) => {
                Grant::of_role(state, &binding.spec.role, binding.spec.scope.clone())
            }
            _ => return Ok(()),
        };
        Ok(asker.require_giving(&given)?)
    }
}

/// A resource with its status.
pub(super) fn shown(view: &View<'_>, resource: AnyResource) -> Shown {
    let status = match &resource {
        AnyResource::Site(site) => Some(to_json(&view.site(site))),
        AnyResource::Agent(agent) => Some(to_json(&view.agent(agent))),
        AnyResource::Source(source) => Some(to_json(&view.source(source))),
        AnyResource::Sink(sink) => Some(to_json(&view.sink(sink))),
        AnyResource::Route(route) => Some(to_json(&view.route(route))),
        AnyResource::AuditExport(export) => view.exports.status(export.id).map(|status| to_json(&status)),
        _ => None,
    };
    Shown { resource, status }
}

fn to_json(status: &impl Serialize) -> Value {
    serde_json::to_value(status).expect("a status is always JSON")
}

/// A manifest belongs at the address of its own kind and name.
pub(super) fn refuse_other_subject(manifest: &AnyManifest, kind: Kind, name: &str) -> Result<(), Refusal> {
    if manifest.kind() == kind && manifest.name().as_str() == name {
        return Ok(());
    }
    let (address, subject) = (format!("/v1/{}/{name}", kind.plural()), manifest.subject());
    Err(Refusal::invalid(format!("the body is {subject}, which does not belong at {address}")))
}

/// The documents of a body.
///
/// # Errors
/// It is not YAML.
pub fn parse(text: &str) -> Result<Vec<Document>, Refusal> {
    towpath_resource::parse_documents(text).map_err(|error| Refusal::invalid(error.to_string()))
}
