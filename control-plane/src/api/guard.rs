//! Who is let in, and how often.

use std::net::IpAddr;
use std::sync::Arc;

use axum::extract::{ConnectInfo, Request, State};
use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use tokio::sync::Semaphore;
use towpath_access::Denied;
use towpath_catalog::{Actor, Cause, Interface, Origin};
use uuid::Uuid;

use super::endpoint::Need;
use super::idempotency::{Keys, once};
use super::problem::Refused;
use super::problem_type::ProblemType;
use super::rate::Rates;
use super::settings::RateSettings;
use super::stamp::RequestId;
use crate::http::Peer;
use crate::service::{Asker, Refusal, Service};

/// Requests that are worked on at once. One whose answer has begun is no longer among them.
const MOST_REQUESTS: usize = 1024;

/// What all endpoints are guarded by. Cheap to clone.
#[derive(Clone)]
pub(super) struct Doors {
    service: Service,
    rates: Rates,
    keys: Keys,
    places: Arc<Semaphore>,
}

impl Doors {
    pub(super) fn new(service: Service, rate: &RateSettings) -> Self {
        let places = Arc::new(Semaphore::new(MOST_REQUESTS));
        Self { service, rates: Rates::new(rate), keys: Keys::default(), places }
    }

    /// Who sent a request with these headers.
    async fn asker(&self, headers: &HeaderMap, origin: Origin) -> Result<Asker, Refused> {
        let address = origin.address;
        let stranger = Cause { actor: Actor::Stranger, origin: Some(origin.clone()) };
        match self.service.authenticate(bearer(headers)?, origin).await {
            Ok(asker) => Ok(asker),
            Err(refusal @ Refusal::Unknown(_)) => {
                self.rates.failed(address)?;
                self.service.note_refusal(&stranger, &refusal).await;
                Err(refusal.into())
            }
            Err(refusal) => Err(refusal.into()),
        }
    }
}

/// Lets a request pass that comes from someone known who has what the endpoint needs, and notes who.
pub(super) async fn guard(
    State((doors, need)): State<(Doors, Need)>,
    mut request: Request,
    next: Next,
) -> Result<Response, Refused> {
    let address = address_of(&request);
    doors.rates.of_address(address)?;
    let Ok(_place) = doors.places.try_acquire() else {
        return Err(Refused::new(
            ProblemType::TooMany,
            "too many requests are under way; try again in a moment",
        ));
    };
    let request_id = request.extensions().get::<RequestId>().map_or_else(Uuid::now_v7, |id| id.0);
    let origin = Origin { address, interface: Interface::Rest, request: request_id };
    let asker = doors.asker(request.headers(), origin).await?;
    let cause = asker.cause.clone();
    let actor = cause.actor.clone();
    let left = doors.rates.of_principal(&actor)?;
    let denied = match need {
        Need::Permission(permission) => asker.principal.decide(permission, None).err(),
        Need::DecidedByContent => None,
    };
    request.extensions_mut().insert(asker);
    let mut response = match denied {
        Some(denied) => Refusal::from(denied).into_response(),
        None => once(&doors.keys, &actor, request, next).await,
    };
    if let Some(denied) = response.extensions().get::<Denied>().cloned() {
        doors.service.note_refusal(&cause, &Refusal::Denied(denied)).await;
    }
    doors.rates.tell(left, &mut response);
    Ok(response)
}

/// The address of the connection. What headers such as `X-Forwarded-For` say of it is not believed.
fn address_of(request: &Request) -> Option<IpAddr> {
    request.extensions().get::<ConnectInfo<Peer>>().map(|ConnectInfo(peer)| peer.ip())
}

/// The bearer token. Of two, whatever stands before us may have looked at the other one.
fn bearer(headers: &HeaderMap) -> Result<Option<&str>, Refused> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let value = values.next().and_then(|value| value.to_str().ok());
    if values.next().is_some() {
        return Err(Refused::new(ProblemType::Malformed, "two `Authorization` headers came; send one"));
    }
    let parts = value.and_then(|value| value.split_once(' '));
    Ok(parts.filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer")).map(|(_, token)| token))
}
