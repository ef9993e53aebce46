//! Sites, agents, sources, sinks and routes: listed, shown with their status, replaced and deleted, all in one way.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::{Method, StatusCode};
use axum::routing;
use serde::Serialize;
use serde_json::{Value, json};
use towpath_resource::api::FleetStatus;
use towpath_resource::{AnyManifest, AnyResource, Kind};

use super::apply::documents;
use super::endpoint::{Endpoint, JSON, YAML, named};
use super::extract::{Admin, Text};
use super::problem::ApiError;
use super::state::ApiState;

pub(super) fn endpoints() -> Vec<Endpoint> {
    Kind::ALL.into_iter().flat_map(of_kind).collect()
}

fn of_kind(kind: Kind) -> [Endpoint; 4] {
    let (one, many, schema) = (kind.noun(), kind.plural(), kind.as_str());
    let (all, each) = (format!("/v1/{many}"), format!("/v1/{many}/{{name}}"));
    let list = routing::get(move |state| list(kind, state));
    let show = routing::get(move |state, name| show(kind, state, name));
    let put = routing::put(move |state, admin, name, text| put(kind, state, admin, name, text));
    let delete = routing::delete(move |state, admin, name| delete(kind, state, admin, name));
    let items = json!({
        "type": "object",
        "properties": { "items": { "type": "array", "items": { "$ref": format!("#/components/schemas/{schema}") } } },
    });
    [
        Endpoint::new(Method::GET, all, list, many, format!("list_{many}"), format!("Lists the {many}."))
            .answers_as(vec![JSON], Box::new(|_| items)),
        Endpoint::new(
            Method::GET,
            each.clone(),
            show,
            many,
            format!("get_{one}"),
            format!("Shows a {one}, with its status."),
        )
        .answers_as(vec![JSON], named(schema)),
        Endpoint::new(
            Method::PUT,
            each.clone(),
            put,
            many,
            format!("put_{one}"),
            format!("Creates or replaces a {one}."),
        )
        .takes_as(vec![JSON, YAML], named(schema))
        .answers_as(vec![JSON], named(schema)),
        Endpoint::new(
            Method::DELETE,
            each,
            delete,
            many,
            format!("delete_{one}"),
            format!("Deletes a {one} that no other resource needs."),
        )
        .status(StatusCode::NO_CONTENT),
    ]
}

async fn list(kind: Kind, State(state): State<ApiState>) -> Json<Value> {
    let fleet = state.fleet(&state.plane().snapshot());
    let shown = state.catalog().list(kind).iter().map(|resource| shown(resource, &fleet)).collect::<Vec<_>>();
    Json(json!({ "items": shown }))
}

async fn show(
    kind: Kind,
    State(state): State<ApiState>,
    Path(name): Path<String>,
) -> Result<Json<Value>, ApiError> {
    let resource = state.catalog().require_any(kind, &name)?;
    let fleet = state.fleet(&state.plane().snapshot());
    Ok(Json(shown(&resource, &fleet)))
}

async fn put(
    kind: Kind,
    State(state): State<ApiState>,
    Admin(actor): Admin,
    Path(name): Path<String>,
    Text(text): Text,
) -> Result<Json<Value>, ApiError> {
    let manifest = sole_manifest(&text)?;
    if manifest.kind() != kind || manifest.name().as_str() != name {
        let address = format!("/v1/{}/{name}", kind.plural());
        return Err(ApiError::invalid(format!(
            "the body is {}, which does not belong at {address}",
            manifest.subject()
        )));
    }
    let applied = state.command(move |catalog| catalog.apply(manifest, &actor)).await?;
    let fleet = state.fleet(&state.plane().snapshot());
    Ok(Json(shown(&applied.resource, &fleet)))
}

async fn delete(
    kind: Kind,
    State(state): State<ApiState>,
    Admin(actor): Admin,
    Path(name): Path<String>,
) -> Result<StatusCode, ApiError> {
    let name = state.catalog().require_any(kind, &name)?.name().clone();
    state.command(move |catalog| catalog.delete(kind, &name, &actor)).await?;
    Ok(StatusCode::NO_CONTENT)
}

fn sole_manifest(text: &str) -> Result<AnyManifest, ApiError> {
    let mut documents = documents(text)?.into_iter();
    let (Some(document), None) = (documents.next(), documents.next()) else {
        return Err(ApiError::invalid("the body must be one document; use /v1/apply for several"));
    };
    let subject = document.subject;
    document.manifest.map_err(|faults| {
        let listed: Vec<_> = faults.iter().map(ToString::to_string).collect();
        ApiError::Invalid { detail: format!("{subject} is not valid: {}", listed.join("; ")), faults }
    })
}

/// A resource with what was observed of it.
fn shown(resource: &AnyResource, fleet: &FleetStatus) -> Value {
    let name = resource.name();
    let status = match resource {
        AnyResource::Site(_) => {
            let here: Vec<_> = fleet.agents.iter().filter(|agent| agent.site == *name).collect();
            let connected = here.iter().filter(|agent| agent.connected).count();
            Some(json!({ "agents": here.len(), "connected_agents": connected }))
        }
        AnyResource::Agent(_) => to_value(fleet.agents.iter().find(|status| status.name == *name)),
        AnyResource::Source(_) => to_value(fleet.sources.iter().find(|status| status.name == *name)),
        AnyResource::Sink(_) => to_value(fleet.sinks.iter().find(|status| status.name == *name)),
        AnyResource::Route(_) => to_value(fleet.routes.iter().find(|status| status.name == *name)),
    };
    let mut shown = serde_json::to_value(resource).expect("a resource is always JSON");
    if let Some(status) = status {
        shown["status"] = status;
    }
    shown
}

fn to_value<T: Serialize>(status: Option<&T>) -> Option<Value> {
    status.map(|status| serde_json::to_value(status).expect("a status is always JSON"))
}
