//! Resources of every kind: listed, followed, shown with their status, put, patched and deleted, all in one way.

mod described;

use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use serde::Deserialize;
use serde_json::Value;
use towpath_catalog::{Outcome, Terms};
use towpath_resource::Kind;
use towpath_resource::api::Page;

use super::conditions::{Known, MeantFor, tag};
use super::endpoint::Endpoint;
use super::extract::{Args, Patch, Text};
use super::watch::{LAST_EVENT_ID, watch};
use crate::service::{Admission, Asker, ListOrder, Put, Refusal, Service, Shown, WatchOrder};

pub(super) fn endpoints() -> Vec<Endpoint> {
    Kind::ALL.into_iter().flat_map(described::of_kind).collect()
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ListArgs {
    limit: Option<usize>,
    cursor: Option<String>,
    sort: Option<String>,
    filter: Option<String>,
    #[serde(default)]
    watch: bool,
    since: Option<u64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ChangeArgs {
    #[serde(default)]
    dry_run: bool,
}

async fn list(
    kind: Kind,
    State(service): State<Service>,
    Extension(admission): Extension<Admission>,
    headers: HeaderMap,
    Args(args): Args<ListArgs>,
) -> Result<Response, Refusal> {
    let ListArgs { limit, cursor, sort, filter, watch: follow, since } = args;
    let filter = filter.as_deref().unwrap_or_default().parse()?;
    if follow {
        let others = [("limit", limit.is_some()), ("cursor", cursor.is_some()), ("sort", sort.is_some())];
        if let Some((name, _)) = others.into_iter().find(|(_, given)| *given) {
            return Err(Refusal::invalid_argument(name, "does not go with `watch`"));
        }
        return watch(&service, admission, kind, WatchOrder { filter, since }, &headers).await;
    }
    let only_followed = [("since", since.is_some()), ("Last-Event-ID", headers.contains_key(LAST_EVENT_ID))];
    if let Some((name, _)) = only_followed.into_iter().find(|(_, given)| *given) {
        return Err(Refusal::invalid_argument(name, "goes with `watch=true` only"));
    }
    let sort = sort.as_deref().map(str::parse).transpose();
    let sort = sort
        .map_err(|error: crate::service::SortError| Refusal::invalid_argument("sort", error.to_string()))?;
    let order = ListOrder { limit, cursor, sort: sort.unwrap_or_default(), filter };
    let page = service.list(&admission.asker, kind, order).await?;
    let items = page.items.iter().map(Shown::to_json).collect();
    Ok(Json(Page::<Value> { items, next_cursor: page.next_cursor }).into_response())
}

async fn show(
    kind: Kind,
    State(service): State<Service>,
    asker: Asker,
    known: Known,
    Path(name): Path<String>,
) -> Result<Response, Refusal> {
    let shown = service.show(&asker, kind, &name)?;
    let generation = shown.resource.generation();
    if known.has(generation) {
        return Ok((StatusCode::NOT_MODIFIED, [tag(generation)]).into_response());
    }
    Ok(([tag(generation)], Json(shown.to_json())).into_response())
}

async fn put(
    kind: Kind,
    State(service): State<Service>,
    asker: Asker,
    MeantFor(expected): MeantFor,
    Path(name): Path<String>,
    Args(args): Args<ChangeArgs>,
    Text(text): Text,
) -> Result<Response, Refusal> {
    let terms = Terms { expected, dry_run: args.dry_run };
    Ok(changed(&service.put(&asker, kind, &name, &text, terms).await?, args.dry_run))
}

async fn patch(
    kind: Kind,
    State(service): State<Service>,
    asker: Asker,
    MeantFor(expected): MeantFor,
    Path(name): Path<String>,
    Args(args): Args<ChangeArgs>,
    Patch(patch): Patch,
) -> Result<Response, Response> {
    let terms = Terms { expected, dry_run: args.dry_run };
    let done = service.patch(&asker, kind, &name, &patch, &terms).await;
    done.map(|put| changed(&put, args.dry_run)).map_err(IntoResponse::into_response)
}

async fn delete(
    kind: Kind,
    State(service): State<Service>,
    asker: Asker,
    MeantFor(expected): MeantFor,
    Path(name): Path<String>,
    Args(args): Args<ChangeArgs>,
) -> Result<StatusCode, Refusal> {
    let terms = Terms { expected, dry_run: args.dry_run };
    service.delete(&asker, kind, &name, terms).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// The resource as it is now. What was only tried is of no generation yet, so it has no tag.
fn changed(put: &Put, dry_run: bool) -> Response {
    let created = put.outcome == Outcome::Created && !dry_run;
    let status = if created { StatusCode::CREATED } else { StatusCode::OK };
    let body = Json(put.shown.to_json());
    if dry_run {
        return (status, body).into_response();
    }
    (status, [tag(put.shown.resource.generation())], body).into_response()
}
