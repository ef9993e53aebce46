//! Health, as `grpc.health.v1` asks for it: whether the data path takes and delivers frames. Machines ask without a
//! token.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::StreamExt;
use futures_util::stream;
use tokio::sync::Semaphore;
use tonic::{Request, Response, Status};
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_server::{Health, HealthServer};
use tonic_health::pb::{HealthCheckRequest, HealthCheckResponse};

use super::answer::Messages;
use super::needs::NEEDS;
use crate::service::Service;

/// How long a change of health takes to be told.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// Watches at once, since strangers may open them.
const MOST_WATCHES: usize = 64;

/// The health service.
pub(super) struct Healthy {
    service: Service,
    watches: Arc<Semaphore>,
}

/// The health of the control plane.
pub(super) fn server(service: Service) -> HealthServer<Healthy> {
    HealthServer::new(Healthy { service, watches: Arc::new(Semaphore::new(MOST_WATCHES)) })
}

#[async_trait]
impl Health for Healthy {
    type WatchStream = Messages<HealthCheckResponse>;

    async fn check(
        &self,
        request: Request<HealthCheckRequest>,
    ) -> Result<Response<HealthCheckResponse>, Status> {
        let name = request.into_inner().service;
        if !is_served(&name) {
            return Err(Status::not_found(format!("there is no service `{name}`; reflection lists them")));
        }
        Ok(Response::new(answer(health_of(&self.service))))
    }

    async fn watch(
        &self,
        request: Request<HealthCheckRequest>,
    ) -> Result<Response<Self::WatchStream>, Status> {
        let name = request.into_inner().service;
        let permit = self.watches.clone().try_acquire_owned().map_err(|_| {
            Status::resource_exhausted("too many watch the health; ask by Check now and then instead")
        })?;
        let service = self.service.clone();
        let health =
            move || if is_served(&name) { health_of(&service) } else { ServingStatus::ServiceUnknown };
        let changes = stream::unfold((health, None, permit), |(health, before, permit)| async move {
            loop {
                let now = health();
                if before != Some(now) {
                    return Some((Ok(answer(now)), (health, Some(now), permit)));
                }
                tokio::time::sleep(LOOK_EVERY).await;
            }
        });
        let stopping = self.service.clone();
        Ok(Response::new(changes.take_until(async move { stopping.stopped().await }).boxed()))
    }
}

/// Whether a service has this name. The empty name means all of them.
fn is_served(name: &str) -> bool {
    let services = NEEDS.iter().filter_map(|(call, _)| call.strip_prefix('/')?.split('/').next());
    name.is_empty() || services.into_iter().any(|service| service == name)
}

fn health_of(service: &Service) -> ServingStatus {
    if service.ready().is_ok() { ServingStatus::Serving } else { ServingStatus::NotServing }
}

fn answer(health: ServingStatus) -> HealthCheckResponse {
    HealthCheckResponse { status: health.into() }
}
