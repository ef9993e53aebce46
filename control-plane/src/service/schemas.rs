//! The schemas of streams: listed, shown, compared, and accepted for a route.

use jiff::Timestamp;
use towpath_access::Target;
use towpath_catalog::{AcceptedSchema, State};
use towpath_record::{ResourceName, SourceId, StreamName, compatibility};
use towpath_resource::api::{
    AcceptOrder, SchemaAccepted, SchemaDescription, SchemaDiff, StreamSchemas, VersionStatus,
};
use towpath_resource::{Action, Object, Permission, SourceSpec, nearest};

use super::plane::{RouteHold, SchemaVersion, StreamVersions};
use super::{Asker, Refusal, Service};

const READ: Permission = Permission::read(Object::Schema);

impl Service {
    /// The schemas that the asker may see, with how many versions they had and what changed last.
    pub fn schemas(&self, asker: &Asker) -> Vec<StreamSchemas> {
        let (catalog, snapshot) = (self.catalog(), self.plane().snapshot());
        let held = |of: &StreamVersions| {
            let stopped = snapshot.routes.iter().filter(|(_, flow)| {
                flow.held.as_ref().is_some_and(|hold| hold.source == of.source && hold.stream == of.stream)
            });
            stopped.filter_map(|(id, _)| catalog.route(*id)).map(|route| route.name().clone()).collect()
        };
        let shown = |of: &StreamVersions| {
            Some(StreamSchemas {
                stream: of.stream.clone(),
                source: source_name(&catalog, of.source),
                versions: u32::try_from(of.versions.len()).unwrap_or(u32::MAX),
                latest: history(of).pop()?,
                held_routes: held(of),
            })
        };
        let all = self.plane().schemas();
        let seen = all.iter().filter(|of| asker.may(READ, &Target::stream(&of.stream)));
        seen.filter_map(shown).collect()
    }

    /// A version of a stream's schema, by default the newest, and what changed from version to version.
    ///
    /// # Errors
    /// There is no such stream, version or source, or it is not the asker's to see.
    pub fn schema(
        &self,
        asker: &Asker,
        stream: &str,
        version: Option<u32>,
        source: Option<&str>,
    ) -> Result<SchemaDescription, Refusal> {
        let catalog = self.catalog();
        let of = self.one_stream(asker, &catalog, stream, source)?;
        let newest = of.versions.last().map_or(0, |version| version.version);
        let version = one_version(&of, version.unwrap_or(newest))?;
        Ok(SchemaDescription {
            source: source_name(&catalog, of.source),
            version: version.version,
            columns: version.schema.columns().to_vec(),
            key: version.schema.key().to_vec(),
            history: history(&of),
            stream: of.stream.clone(),
        })
    }

    /// What is different between two versions of a stream's schema.
    ///
    /// # Errors
    /// As [`Service::schema`].
    pub fn schema_diff(
        &self,
        asker: &Asker,
        stream: &str,
        (from, to): (u32, u32),
        source: Option<&str>,
    ) -> Result<SchemaDiff, Refusal> {
        let catalog = self.catalog();
        let of = self.one_stream(asker, &catalog, stream, source)?;
        let (from, to) = (one_version(&of, from)?, one_version(&of, to)?);
        let changes = compatibility::compare(&from.schema, &to.schema);
        Ok(SchemaDiff {
            source: source_name(&catalog, of.source),
            from: from.version,
            to: to.version,
            backward: changes.iter().all(|change| change.backward),
            forward: changes.iter().all(|change| change.forward),
            changes,
            stream: of.stream.clone(),
        })
    }

    /// Accepts a version of a schema for a route that stopped before it, or will.
    ///
    /// # Errors
    /// There is no such route, stream or version, the route stopped before another, or it is not the asker's to accept.
    pub async fn accept_schema(
        &self,
        asker: &Asker,
        name: &str,
        order: AcceptOrder,
    ) -> Result<SchemaAccepted, Refusal> {
        let catalog = self.catalog();
        let route = self.route(asker, &catalog, Action::Operate, name)?;
        let held = self.plane().snapshot().routes.get(&route.id).and_then(|flow| flow.held.clone());
        let accepted = self.accepted(asker, &catalog, name, &order, held)?;
        asker.require(Permission::operate(Object::Schema), &Target::stream(&accepted.stream))?;
        let (route, version, stream) = (route.name().clone(), accepted.version, accepted.stream.clone());
        let (of, cause) = (route.clone(), asker.cause.clone());
        let is_new =
            self.command(move |catalog| catalog.accept_schema(of.as_str(), &accepted, &cause)).await?;
        Ok(SchemaAccepted { route, stream, version, is_new })
    }

    /// What an order means: the version it names, or the one that the route stopped before.
    fn accepted(
        &self,
        asker: &Asker,
        catalog: &State,
        route: &str,
        order: &AcceptOrder,
        held: Option<RouteHold>,
    ) -> Result<AcceptedSchema, Refusal> {
        let accepted = match (&order.stream, held) {
            (Some(stream), _) => {
                let source = order.source.as_ref().map(ResourceName::as_str);
                let of = self.one_stream(asker, catalog, stream.as_str(), source)?;
                let version = order.version.ok_or_else(|| {
                    Refusal::invalid(format!(
                        "which version of {stream} is accepted must be said: give `version`"
                    ))
                })?;
                let version = one_version(&of, version)?;
                let (version, schema) = (version.version, version.schema.hash());
                AcceptedSchema { source: of.source, stream: of.stream.clone(), version, schema }
            }
            (None, Some(hold)) => AcceptedSchema {
                source: hold.source,
                stream: hold.stream,
                version: hold.version,
                schema: hold.schema,
            },
            (None, None) => {
                return Err(Refusal::Conflict(format!(
                    "route {route} did not stop before any version; name the stream and the version to accept one beforehand"
                )));
            }
        };
        if order.version.is_some_and(|version| version != accepted.version) {
            return Err(Refusal::Conflict(format!(
                "route {route} stopped before version {} of {}; look at it with `towpath schema show {}` first",
                accepted.version, accepted.stream, accepted.stream
            )));
        }
        Ok(accepted)
    }

    fn one_stream(
        &self,
        asker: &Asker,
        catalog: &State,
        stream: &str,
        source: Option<&str>,
    ) -> Result<StreamVersions, Refusal> {
        let name = StreamName::new(stream).map_err(|error| Refusal::invalid(error.to_string()))?;
        asker.require(READ, &Target::stream(&name))?;
        one_stream(catalog, self.plane().schemas(), &name, source)
    }
}

pub(super) fn source_name(catalog: &State, source: SourceId) -> Option<ResourceName> {
    catalog.source(source).map(|source| source.name().clone())
}

/// Every version with what is different from the one before it, oldest first.
fn history(of: &StreamVersions) -> Vec<VersionStatus> {
    let mut before: Option<&SchemaVersion> = None;
    let shown = of.versions.iter().map(|version| {
        let changes = before.map(|before| compatibility::compare(&before.schema, &version.schema));
        before = Some(version);
        VersionStatus {
            version: version.version,
            schema: version.schema.hash(),
            first_offset: version.first_offset,
            first_seen_at: Timestamp::from_microsecond(version.first_us).unwrap_or(Timestamp::UNIX_EPOCH),
            changes: changes.unwrap_or_default(),
        }
    });
    shown.collect()
}

fn one_version(of: &StreamVersions, version: u32) -> Result<&SchemaVersion, Refusal> {
    of.versions.iter().find(|known| known.version == version).ok_or_else(|| {
        let newest = of.versions.last().map_or(0, |version| version.version);
        Refusal::NotFound(format!(
            "{} has no version {version} of its schema; the newest is {newest}",
            of.stream
        ))
    })
}

/// The versions of a stream: those of its one source, or of the source that is named.
fn one_stream(
    catalog: &State,
    all: Vec<StreamVersions>,
    name: &StreamName,
    source: Option<&str>,
) -> Result<StreamVersions, Refusal> {
    let stream = name.as_str();
    let source =
        source.map(|source| catalog.require::<SourceSpec>(source).map(|source| source.id)).transpose()?;
    let (mut found, others): (Vec<_>, Vec<_>) = all.into_iter().partition(|of| of.stream == *name);
    if found.is_empty() {
        let near = nearest(stream, others.iter().map(|of| of.stream.as_str()));
        let hint = near.map_or_else(
            || "; `towpath schema list` lists those there are".to_owned(),
            |near| format!("; did you mean `{near}`?"),
        );
        return Err(Refusal::NotFound(format!("there is no schema of a stream `{stream}`{hint}")));
    }
    if let Some(source) = source {
        found.retain(|of| of.source == source);
    }
    match found.len() {
        0 => Err(Refusal::NotFound(format!("stream `{stream}` has brought no record from that source"))),
        1 => Ok(found.remove(0)),
        _ => {
            let names = found.iter().filter_map(|of| source_name(catalog, of.source));
            let names: Vec<_> = names.map(|name| name.to_string()).collect();
            Err(Refusal::invalid(format!(
                "several sources bring stream `{stream}`: name one of {} as `source`",
                names.join(", ")
            )))
        }
    }
}
