//! The schemas of streams: listed, shown, compared, and accepted for a route.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::Method;
use axum::routing;
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::json;
use towpath_catalog::{AcceptedSchema, State as CatalogState};
use towpath_record::{ResourceName, SourceId, StreamName, compatibility};
use towpath_resource::api::{
    AcceptOrder, Listed, SchemaAccepted, SchemaDescription, SchemaDiff, StreamSchemas, VersionStatus,
};
use towpath_resource::{RouteSpec, SourceSpec, nearest};

use super::endpoint::Endpoint;
use super::extract::{Admin, Args, Body};
use super::plane::{SchemaVersion, StreamVersions};
use super::problem::ApiError;
use super::state::ApiState;

pub(super) fn endpoints() -> Vec<Endpoint> {
    let source = "The source that brings the stream. Needed only where several do.";
    let version = |default: &str| json!({ "type": "integer", "minimum": 1, "description": default });
    vec![
        Endpoint::new(
            Method::GET,
            "/v1/schemas",
            routing::get(list),
            "schemas",
            "list_schemas",
            "Lists the schemas of streams with how many versions they had and what changed last.",
        )
        .answers::<Listed<StreamSchemas>>(),
        Endpoint::new(
            Method::GET,
            "/v1/schemas/{stream}",
            routing::get(show),
            "schemas",
            "get_schema",
            "Shows a version of a stream's schema, and what changed from version to version.",
        )
        .argument("version", "The version. Default: the newest.", version("The version."))
        .argument("source", source, json!({ "type": "string" }))
        .answers::<SchemaDescription>(),
        Endpoint::new(
            Method::GET,
            "/v1/schemas/{stream}/diff",
            routing::get(diff),
            "schemas",
            "diff_schema",
            "Compares two versions of a stream's schema.",
        )
        .argument("from", "The one version.", version("The one version."))
        .argument("to", "The other version.", version("The other version."))
        .argument("source", source, json!({ "type": "string" }))
        .answers::<SchemaDiff>(),
        Endpoint::new(
            Method::POST,
            "/v1/routes/{name}/accept",
            routing::post(accept),
            "schemas",
            "accept_schema",
            "Accepts a version of a schema for a route that stopped before it, or will.",
        )
        .takes::<AcceptOrder>()
        .answers::<SchemaAccepted>(),
    ]
}

async fn list(State(state): State<ApiState>) -> Json<Listed<StreamSchemas>> {
    let (catalog, snapshot) = (state.catalog(), state.plane().snapshot());
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
    Json(Listed { items: state.plane().schemas().iter().filter_map(shown).collect() })
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ShowArgs {
    version: Option<u32>,
    source: Option<String>,
}

async fn show(
    State(state): State<ApiState>,
    Path(stream): Path<String>,
    Args(args): Args<ShowArgs>,
) -> Result<Json<SchemaDescription>, ApiError> {
    let catalog = state.catalog();
    let of = one_stream(&catalog, state.plane().schemas(), &stream, args.source.as_deref())?;
    let newest = of.versions.last().map_or(0, |version| version.version);
    let version = one_version(&of, args.version.unwrap_or(newest))?;
    Ok(Json(SchemaDescription {
        source: source_name(&catalog, of.source),
        version: version.version,
        columns: version.schema.columns().to_vec(),
        key: version.schema.key().to_vec(),
        history: history(&of),
        stream: of.stream.clone(),
    }))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct DiffArgs {
    from: u32,
    to: u32,
    source: Option<String>,
}

async fn diff(
    State(state): State<ApiState>,
    Path(stream): Path<String>,
    Args(args): Args<DiffArgs>,
) -> Result<Json<SchemaDiff>, ApiError> {
    let catalog = state.catalog();
    let of = one_stream(&catalog, state.plane().schemas(), &stream, args.source.as_deref())?;
    let (from, to) = (one_version(&of, args.from)?, one_version(&of, args.to)?);
    let changes = compatibility::compare(&from.schema, &to.schema);
    Ok(Json(SchemaDiff {
        source: source_name(&catalog, of.source),
        from: from.version,
        to: to.version,
        backward: changes.iter().all(|change| change.backward),
        forward: changes.iter().all(|change| change.forward),
        changes,
        stream: of.stream.clone(),
    }))
}

async fn accept(
    State(state): State<ApiState>,
    Admin(actor): Admin,
    Path(name): Path<String>,
    Body(order): Body<AcceptOrder>,
) -> Result<Json<SchemaAccepted>, ApiError> {
    let catalog = state.catalog();
    let route = catalog.require::<RouteSpec>(&name)?;
    let held = state.plane().snapshot().routes.get(&route.id).and_then(|flow| flow.held.clone());
    let accepted = match (&order.stream, held) {
        (Some(stream), _) => {
            let source = order.source.as_ref().map(ResourceName::as_str);
            let of = one_stream(&catalog, state.plane().schemas(), stream.as_str(), source)?;
            let version = order.version.ok_or_else(|| {
                ApiError::invalid(format!(
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
            return Err(ApiError::Conflict(format!(
                "route {name} did not stop before any version; name the stream and the version to accept one beforehand"
            )));
        }
    };
    if order.version.is_some_and(|version| version != accepted.version) {
        return Err(ApiError::Conflict(format!(
            "route {name} stopped before version {} of {}; look at it with `towpath schema show {}` first",
            accepted.version, accepted.stream, accepted.stream
        )));
    }
    let (route, version, stream) = (route.name().clone(), accepted.version, accepted.stream.clone());
    let is_new = state.command(move |catalog| catalog.accept_schema(&name, &accepted, &actor)).await?;
    Ok(Json(SchemaAccepted { route, stream, version, is_new }))
}

fn source_name(catalog: &CatalogState, source: SourceId) -> Option<ResourceName> {
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

fn one_version(of: &StreamVersions, version: u32) -> Result<&SchemaVersion, ApiError> {
    of.versions.iter().find(|known| known.version == version).ok_or_else(|| {
        let newest = of.versions.last().map_or(0, |version| version.version);
        ApiError::NotFound(format!(
            "{} has no version {version} of its schema; the newest is {newest}",
            of.stream
        ))
    })
}

/// The versions of a stream: those of its one source, or of the source that is named.
fn one_stream(
    catalog: &CatalogState,
    all: Vec<StreamVersions>,
    stream: &str,
    source: Option<&str>,
) -> Result<StreamVersions, ApiError> {
    let name = StreamName::new(stream).map_err(|error| ApiError::invalid(error.to_string()))?;
    let source =
        source.map(|source| catalog.require::<SourceSpec>(source).map(|source| source.id)).transpose()?;
    let (mut found, others): (Vec<_>, Vec<_>) = all.into_iter().partition(|of| of.stream == name);
    if found.is_empty() {
        let near = nearest(stream, others.iter().map(|of| of.stream.as_str()));
        let hint = near.map_or_else(
            || "; `towpath schema list` lists those there are".to_owned(),
            |near| format!("; did you mean `{near}`?"),
        );
        return Err(ApiError::NotFound(format!("there is no schema of a stream `{stream}`{hint}")));
    }
    if let Some(source) = source {
        found.retain(|of| of.source == source);
    }
    match found.len() {
        0 => Err(ApiError::NotFound(format!("stream `{stream}` has brought no record from that source"))),
        1 => Ok(found.remove(0)),
        _ => {
            let names = found.iter().filter_map(|of| source_name(catalog, of.source));
            let names: Vec<_> = names.map(|name| name.to_string()).collect();
            Err(ApiError::invalid(format!(
                "several sources bring stream `{stream}`: name one of {} as `source`",
                names.join(", ")
            )))
        }
    }
}
