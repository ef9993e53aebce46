//! What every method does: takes the asker and the message out of a request, and puts an answer together.

use futures_util::stream::{self, BoxStream};
use futures_util::{Stream, StreamExt};
use prost_types::Struct;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use tonic::{Request, Response, Status};
use towpath_catalog::Origin;
use towpath_proto::admin::Resource;

use super::{Admin, status, value};
use crate::api::read;
use crate::service::{Admission, Refusal, Shown};

/// An answer of many messages.
pub(super) type Messages<T> = BoxStream<'static, Result<T, Status>>;

/// Who asks, and the message.
pub(super) fn asked<T>(request: Request<T>) -> Result<(Admission, T), Status> {
    let (_, mut extensions, message) = request.into_parts();
    let admission = extensions.remove().ok_or_else(|| status::of(&Refusal::unauthenticated()))?;
    Ok((admission, message))
}

/// From where it is asked, and the message, of a call for those who are not known yet.
pub(super) fn asked_by_anyone<T>(request: Request<T>) -> Result<(Origin, T), Status> {
    let (_, mut extensions, message) = request.into_parts();
    let origin = extensions.remove().ok_or_else(|| status::of(&Refusal::unauthenticated()))?;
    Ok((origin, message))
}

/// An answer of one message.
pub(super) fn answer(answered: Result<impl Serialize, Refusal>) -> Result<Response<Struct>, Status> {
    let answered = answered.map_err(|refusal| status::of(&refusal))?;
    Ok(Response::new(carried(&answered)))
}

/// An answer without content.
pub(super) fn done(answered: Result<(), Refusal>) -> Result<Response<()>, Status> {
    answered.map(Response::new).map_err(|refusal| status::of(&refusal))
}

/// An answer of one resource.
pub(super) fn shown(answered: Result<Shown, Refusal>) -> Result<Response<Resource>, Status> {
    let shown = answered.map_err(|refusal| status::of(&refusal))?;
    Ok(Response::new(to_resource(&shown)))
}

/// An answer of one message for each item that is there.
pub(super) fn listed<T: Serialize + Send + 'static>(
    answered: Result<Vec<T>, Refusal>,
) -> Result<Response<Messages<Struct>>, Status> {
    let items = answered.map_err(|refusal| status::of(&refusal))?;
    Ok(Response::new(stream::iter(items.into_iter().map(|item| Ok(carried(&item)))).boxed()))
}

/// The order in a message.
pub(super) fn order<T: DeserializeOwned>(carried: Option<Struct>) -> Result<T, Status> {
    let order = Value::Object(value::from_struct(carried.unwrap_or_default()));
    read(order).map_err(|refusal| status::of(&refusal))
}

impl Admin {
    /// An answer of messages for as long as whoever asked may have them.
    pub(super) fn flowing<T: Send + 'static, M: Send + 'static>(
        &self,
        admission: Admission,
        items: Result<impl Stream<Item = Result<T, Refusal>> + Send + 'static, Refusal>,
        message: impl Fn(T) -> M + Send + 'static,
    ) -> Result<Response<Messages<M>>, Status> {
        let items = items.map_err(|refusal| status::of(&refusal))?;
        let messages = self.0.while_admitted(admission, items);
        Ok(Response::new(
            messages.map(move |item| item.map(&message).map_err(|refusal| status::of(&refusal))).boxed(),
        ))
    }
}

/// What the resource model defines, as it travels.
pub(super) fn carried(item: &impl Serialize) -> Struct {
    match serde_json::to_value(item).expect("what is answered is always JSON") {
        Value::Object(members) => value::to_struct(members),
        other => value::to_struct(Map::from_iter([("value".to_owned(), other)])),
    }
}

/// A resource as it travels.
pub(super) fn to_resource(shown: &Shown) -> Resource {
    let Value::Object(mut document) = shown.to_json() else { unreachable!("a resource is always an object") };
    let mut take = |name: &str| document.remove(name).unwrap_or_default();
    let text = |value: Value| value.as_str().unwrap_or_default().to_owned();
    let part = |value: Value| match value {
        Value::Object(members) => Some(value::to_struct(members)),
        _ => None,
    };
    Resource {
        api_version: text(take("apiVersion")),
        kind: text(take("kind")),
        metadata: part(take("metadata")),
        spec: part(take("spec")),
        status: part(take("status")),
    }
}

/// The document that a resource stands for. What was left out is not in it.
pub(super) fn from_resource(resource: Resource) -> Value {
    let Resource { api_version, kind, metadata, spec, status: _ } = resource;
    let mut document = Map::new();
    document.insert("apiVersion".to_owned(), api_version.into());
    document.insert("kind".to_owned(), kind.into());
    for (name, part) in [("metadata", metadata), ("spec", spec)] {
        if let Some(part) = part {
            document.insert(name.to_owned(), Value::Object(value::from_struct(part)));
        }
    }
    Value::Object(document)
}
