//! What admins can do, as gRPC services: `towpath.admin.v1`, with reflection and health, on the port of the REST API.
//!
//! A call passes the guard, which finds out who asks and whether they have what the call needs, then its method, a thin
//! shell over the [`Service`]. What the resource model defines travels as `google.protobuf.Struct`.

mod needs;
mod status;
mod value;
mod answer;
mod resources;
mod routes;
mod fleet;
mod streams;
mod tokens;
mod identity;
mod audit;
mod health;
#[cfg(test)]
mod tests;

use std::convert::Infallible;

use axum::Router;
use axum::extract::{Request, State};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use tonic::Status;
use tonic::body::Body;
use tonic::server::NamedService;
use towpath_catalog::Interface;
use towpath_proto::admin::FILE_DESCRIPTOR_SET;
use towpath_proto::admin::agents_server::AgentsServer;
use towpath_proto::admin::audit_server::AuditServer;
use towpath_proto::admin::dead_letters_server::DeadLettersServer;
use towpath_proto::admin::events_server::EventsServer;
use towpath_proto::admin::fleet_server::FleetServer;
use towpath_proto::admin::keys_server::KeysServer;
use towpath_proto::admin::policies_server::PoliciesServer;
use towpath_proto::admin::resources_server::ResourcesServer;
use towpath_proto::admin::routes_server::RoutesServer;
use towpath_proto::admin::schemas_server::SchemasServer;
use towpath_proto::admin::sessions_server::SessionsServer;
use towpath_proto::admin::sources_server::SourcesServer;
use towpath_proto::admin::streams_server::StreamsServer;
use towpath_proto::admin::tokens_server::TokensServer;
use towpath_proto::admin::users_server::UsersServer;

use crate::api::{ANSWER_WITHIN, MAX_BODY_BYTES};
use crate::door::{bearer, origin};
use crate::service::{Need, Refusal, Service};

/// Every service, over one.
#[derive(Clone)]
struct Admin(Service);

/// The gRPC services. They have routes and no fallback, so that they can be merged with others.
///
/// # Panics
/// If the descriptors that were compiled in are not valid, which a test would have shown.
pub fn router(service: Service) -> Router {
    let admin = Admin(service.clone());
    let reflection = tonic_reflection::server::Builder::configure()
        .register_encoded_file_descriptor_set(FILE_DESCRIPTOR_SET)
        .build_v1()
        .expect("the descriptors that were compiled in are valid");
    let resources = ResourcesServer::new(admin.clone()).max_decoding_message_size(MAX_BODY_BYTES);
    let guarded = add(Router::new(), resources);
    let guarded = add(guarded, RoutesServer::new(admin.clone()));
    let guarded = add(guarded, SourcesServer::new(admin.clone()));
    let guarded = add(guarded, AgentsServer::new(admin.clone()));
    let guarded = add(guarded, FleetServer::new(admin.clone()));
    let guarded = add(guarded, StreamsServer::new(admin.clone()));
    let guarded = add(guarded, SchemasServer::new(admin.clone()));
    let guarded = add(guarded, PoliciesServer::new(admin.clone()));
    let guarded = add(guarded, DeadLettersServer::new(admin.clone()));
    let guarded = add(guarded, TokensServer::new(admin.clone()));
    let guarded = add(guarded, KeysServer::new(admin.clone()));
    let guarded = add(guarded, UsersServer::new(admin.clone()));
    let guarded = add(guarded, SessionsServer::new(admin.clone()));
    let guarded = add(guarded, AuditServer::new(admin.clone()));
    let guarded = add(guarded, EventsServer::new(admin));
    let guarded = add(guarded, reflection);
    let guarded = guarded.route_layer(middleware::from_fn_with_state(service.clone(), guard));
    add(guarded, health::server(service))
}

fn add<S>(router: Router, service: S) -> Router
where
    S: tower::Service<Request, Response = axum::http::Response<Body>, Error = Infallible>
        + NamedService
        + Clone
        + Send
        + Sync
        + 'static,
    S::Future: Send,
{
    router.route_service(&format!("/{}/{{method}}", S::NAME), service)
}

/// Lets a call pass that comes from someone known who has what it needs, and notes who.
async fn guard(State(service): State<Service>, request: Request, next: Next) -> Response {
    let path = request.uri().path();
    let Some(need) = needs::of(path) else {
        return refused(Status::unimplemented(format!("there is no call `{path}`; reflection lists them")));
    };
    match passed(&service, need, request, next).await {
        Ok(answer) => answer,
        Err(refusal) => refused(status::of(&refusal)),
    }
}

async fn passed(
    service: &Service,
    need: Need,
    mut request: Request,
    next: Next,
) -> Result<Response, Refusal> {
    let origin = origin(request.extensions(), Interface::Grpc);
    let _place = service.arrive(origin.address)?;
    request.extensions_mut().insert(origin.clone());
    if need == Need::Nothing {
        return Ok(in_time(request, next).await);
    }
    let (admission, _) = service.let_in(bearer(request.headers()), origin, need).await?;
    let asker = admission.asker.clone();
    request.extensions_mut().insert(admission);
    let answer = in_time(request, next).await;
    service.note_denials(&asker).await;
    Ok(answer)
}

/// The answer, which begins at once where it is a stream, and may then take its time.
async fn in_time(request: Request, next: Next) -> Response {
    match tokio::time::timeout(ANSWER_WITHIN, next.run(request)).await {
        Ok(answer) => answer,
        Err(_) => refused(Status::deadline_exceeded(format!(
            "the call was not done within {} s; look at the control plane's disk and load, then try again",
            ANSWER_WITHIN.as_secs()
        ))),
    }
}

fn refused(status: Status) -> Response {
    status.into_http::<axum::body::Body>().into_response()
}
