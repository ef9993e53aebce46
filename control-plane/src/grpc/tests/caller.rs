//! A caller of the services, without a network between.

use axum::Router;
use prost_types::Struct;
use serde_json::Value;
use tonic::metadata::MetadataValue;
use tonic::service::Interceptor;
use tonic::service::interceptor::InterceptedService;
use tonic::{Request, Status};
use tonic_types::StatusExt;

use crate::api::tests::fixture::{Fixture, TOKEN};
use crate::grpc::{router, value};

/// Sends a token with each call.
#[derive(Clone, Copy)]
pub(super) struct Bearing(&'static str);

impl Interceptor for Bearing {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        let value = MetadataValue::try_from(format!("Bearer {}", self.0)).unwrap();
        request.metadata_mut().insert("authorization", value);
        Ok(request)
    }
}

/// The way to the services for someone who bears this token.
pub(super) fn bearing(fixture: &Fixture, token: &'static str) -> InterceptedService<Router, Bearing> {
    InterceptedService::new(router(fixture.service.clone()), Bearing(token))
}

/// The way to the services for an admin.
pub(super) fn admin(fixture: &Fixture) -> InterceptedService<Router, Bearing> {
    bearing(fixture, TOKEN)
}

/// The reason of a refusal.
pub(super) fn reason(status: &Status) -> String {
    status.get_details_error_info().map(|info| info.reason).unwrap_or_default()
}

/// A JSON object, as it travels.
pub(super) fn object(value: Value) -> Struct {
    let Value::Object(members) = value else { panic!("{value}") };
    value::to_struct(members)
}

/// What travelled, as JSON.
pub(super) fn json_of(carried: impl Into<Option<Struct>>) -> Value {
    Value::Object(value::from_struct(carried.into().unwrap_or_default()))
}
