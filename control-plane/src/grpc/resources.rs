//! Resources of every kind, all in one way.

use async_trait::async_trait;
use futures_util::StreamExt;
use futures_util::stream;
use prost_types::Struct;
use serde_json::{Map, Value, json};
use tonic::{Request, Response, Status};
use towpath_catalog::{Expected, Terms};
use towpath_proto::admin;
use towpath_proto::admin::expected::State;
use towpath_proto::admin::resources_server::Resources;
use towpath_proto::admin::watch_response::Change;
use towpath_proto::admin::{
    ApplyRequest, ApplyResponse, DeleteResourceRequest, GetResourceRequest, HistoryRequest,
    ListResourcesRequest, ListResourcesResponse, PatchResourceRequest, PutResourceRequest, Resource,
    RollbackRequest, WatchRequest, WatchResponse,
};
use towpath_record::ResourceName;
use towpath_resource::{Kind, Object, Permission};

use super::answer::{Messages, asked, carried, done, from_resource, listed, shown, to_resource};
use super::{Admin, status, value};
use crate::service::{Asker, Filter, ListOrder, Refusal, Sort, WatchEvent, WatchOrder, parse};

#[async_trait]
impl Resources for Admin {
    type WatchStream = Messages<WatchResponse>;
    type HistoryStream = Messages<Struct>;

    async fn list(
        &self,
        request: Request<ListResourcesRequest>,
    ) -> Result<Response<ListResourcesResponse>, Status> {
        let (admission, ListResourcesRequest { kind, filter, sort, limit, cursor }) = asked(request)?;
        let kind = readable(&admission.asker, &kind)?;
        let order = ListOrder {
            limit: (limit > 0).then_some(limit as usize),
            cursor: (!cursor.is_empty()).then_some(cursor),
            sort: sort_of(&sort)?,
            filter: filter_of(&filter)?,
        };
        let page = self.0.list(&admission.asker, kind, order).await;
        let page = page.map_err(|refusal| status::of(&refusal))?;
        Ok(Response::new(ListResourcesResponse {
            items: page.items.iter().map(to_resource).collect(),
            next_cursor: page.next_cursor.unwrap_or_default(),
        }))
    }

    async fn get(&self, request: Request<GetResourceRequest>) -> Result<Response<Resource>, Status> {
        let (admission, GetResourceRequest { kind, name }) = asked(request)?;
        shown(self.0.show(&admission.asker, kind_named(&kind)?, &name))
    }

    async fn apply(&self, request: Request<ApplyRequest>) -> Result<Response<ApplyResponse>, Status> {
        let (admission, ApplyRequest { resources, dry_run }) = asked(request)?;
        let documents: Vec<_> =
            resources.into_iter().map(|resource| from_resource(resource).to_string()).collect();
        let documents = parse(&documents.join("\n---\n")).map_err(|refusal| status::of(&refusal))?;
        let report = self.0.apply_reporting(&admission.asker, &documents, dry_run).await;
        let report = report.map_err(|refusal| status::of(&refusal))?;
        Ok(Response::new(ApplyResponse { results: report.results.iter().map(carried).collect() }))
    }

    async fn put(&self, request: Request<PutResourceRequest>) -> Result<Response<Resource>, Status> {
        let (admission, PutResourceRequest { resource, expected, dry_run }) = asked(request)?;
        let document = from_resource(resource.unwrap_or_default());
        let named = |pointer: &str| document.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
        let (kind, name) = (kind_named(named("/kind"))?, named("/metadata/name"));
        let terms = Terms { expected: expected_of(expected), dry_run };
        let put = self.0.put(&admission.asker, kind, name, &document.to_string(), terms).await;
        shown(put.map(|put| put.shown))
    }

    async fn patch(&self, request: Request<PatchResourceRequest>) -> Result<Response<Resource>, Status> {
        let (admission, PatchResourceRequest { kind, name, patch, expected, dry_run }) = asked(request)?;
        let patch = Value::Object(value::from_struct(patch.unwrap_or_default()));
        let terms = Terms { expected: expected_of(expected), dry_run };
        let put = self.0.patch(&admission.asker, kind_named(&kind)?, &name, &patch, &terms).await;
        shown(put.map(|put| put.shown))
    }

    async fn delete(&self, request: Request<DeleteResourceRequest>) -> Result<Response<()>, Status> {
        let (admission, DeleteResourceRequest { kind, name, generation, dry_run }) = asked(request)?;
        let expected = generation.map_or(Expected::Anything, |generation| Expected::OneOf(vec![generation]));
        let terms = Terms { expected, dry_run };
        done(self.0.delete(&admission.asker, kind_named(&kind)?, &name, terms).await)
    }

    async fn watch(&self, request: Request<WatchRequest>) -> Result<Response<Self::WatchStream>, Status> {
        let (admission, WatchRequest { kind, filter, after }) = asked(request)?;
        let kind = readable(&admission.asker, &kind)?;
        let order = WatchOrder { filter: filter_of(&filter)?, since: after };
        let events = self.0.watch(&admission.asker, kind, order).await.map(|events| {
            let mut has_begun = false;
            events.flat_map(move |event| stream::iter(messages(kind, event, &mut has_begun)))
        });
        self.flowing(admission, events, |message| message)
    }

    async fn history(
        &self,
        request: Request<HistoryRequest>,
    ) -> Result<Response<Self::HistoryStream>, Status> {
        let (admission, HistoryRequest { kind, name }) = asked(request)?;
        listed(self.0.history(&admission.asker, kind_named(&kind)?, &name).await)
    }

    async fn rollback(&self, request: Request<RollbackRequest>) -> Result<Response<Resource>, Status> {
        let (admission, RollbackRequest { kind, name, to }) = asked(request)?;
        shown(self.0.rollback(&admission.asker, kind_named(&kind)?, &name, to).await)
    }
}

fn kind_named(text: &str) -> Result<Kind, Status> {
    text.parse::<Kind>()
        .map_err(|unknown| status::of(&Refusal::invalid_argument("kind", unknown.to_string())))
}

/// A kind of which the asker may see something.
fn readable(asker: &Asker, text: &str) -> Result<Kind, Status> {
    let kind = kind_named(text)?;
    let read = Permission::read(Object::Resource(kind));
    asker.principal.decide(read, None).map_err(|denied| status::of(&denied.into()))?;
    Ok(kind)
}

fn expected_of(expected: Option<admin::Expected>) -> Expected {
    match expected.and_then(|expected| expected.state) {
        None => Expected::Anything,
        Some(State::Generation(generation)) => Expected::OneOf(vec![generation]),
        Some(State::Present(true)) => Expected::Present,
        Some(State::Present(false)) => Expected::Absent,
    }
}

fn filter_of(text: &str) -> Result<Filter, Status> {
    text.parse::<Filter>().map_err(|error| status::of(&error.into()))
}

fn sort_of(text: &str) -> Result<Sort, Status> {
    if text.is_empty() {
        return Ok(Sort::default());
    }
    text.parse::<Sort>().map_err(|error| status::of(&Refusal::invalid_argument("sort", error.to_string())))
}

/// What an event of a watch tells: of a part of what there is, each resource by itself.
fn messages(kind: Kind, event: WatchEvent, has_begun: &mut bool) -> Vec<Result<WatchResponse, Refusal>> {
    let message = |change: Change, resource, after| WatchResponse { change: change.into(), resource, after };
    match event {
        WatchEvent::Snapshot { items, complete } => {
            let begun = (!std::mem::replace(has_begun, true)).then(|| message(Change::Begun, None, None));
            let present = items.iter().map(|one| message(Change::Present, Some(to_resource(one)), None));
            let complete = complete.map(|seq| message(Change::Complete, None, Some(seq)));
            begun.into_iter().chain(present).chain(complete).map(Ok).collect()
        }
        WatchEvent::Applied { seq, shown } => {
            vec![Ok(message(Change::Applied, Some(to_resource(&shown)), Some(seq)))]
        }
        WatchEvent::Deleted { seq, name } => {
            vec![Ok(message(Change::Deleted, Some(named(kind, &name)), Some(seq)))]
        }
        WatchEvent::Ended { reason } => vec![Err(Refusal::Gone(reason))],
    }
}

/// A resource of which no more is known.
fn named(kind: Kind, name: &ResourceName) -> Resource {
    let metadata = value::to_struct(Map::from_iter([("name".to_owned(), json!(name))]));
    Resource { kind: kind.as_str().to_owned(), metadata: Some(metadata), ..Resource::default() }
}
