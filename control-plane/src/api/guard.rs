//! Who is let in, and how often.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;
use axum::middleware::Next;
use axum::response::Response;
use tokio::sync::Semaphore;
use towpath_catalog::{Interface, Origin};

use super::idempotency::{Keys, once};
use super::problem::Refused;
use super::problem_type::ProblemType;
use super::rate::Rates;
use super::settings::RateSettings;
use crate::door::{bearer, origin};
use crate::service::{Admission, Need, Refusal, Service};

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

    /// Lets whoever sent a request with these headers in.
    async fn admit(&self, headers: &HeaderMap, origin: Origin, need: Need) -> Result<Admission, Refused> {
        let address = origin.address;
        let admitted = self.service.admit(sole_bearer(headers)?, origin, need).await;
        if let Err(Refusal::Unknown(_)) = admitted {
            self.rates.failed(address)?;
        }
        Ok(admitted?)
    }
}

/// Lets a request pass that comes from someone known who has what the endpoint needs, and notes who.
pub(super) async fn guard(
    State((doors, need)): State<(Doors, Need)>,
    mut request: Request,
    next: Next,
) -> Result<Response, Refused> {
    let origin = origin(request.extensions(), Interface::Rest);
    doors.rates.of_address(origin.address)?;
    let Ok(_place) = doors.places.try_acquire() else {
        return Err(Refused::new(
            ProblemType::TooMany,
            "too many requests are under way; try again in a moment",
        ));
    };
    request.extensions_mut().insert(origin.clone());
    if need == Need::Nothing {
        return Ok(next.run(request).await);
    }
    let admission = doors.admit(request.headers(), origin, need).await?;
    let asker = admission.asker.clone();
    let left = doors.rates.of_principal(&asker.cause.actor)?;
    request.extensions_mut().insert(asker.clone());
    request.extensions_mut().insert(admission);
    let mut response = once(&doors.keys, &asker.cause.actor, request, next).await;
    doors.service.note_denials(&asker).await;
    doors.rates.tell(left, &mut response);
    Ok(response)
}

/// The bearer token. A request with two is told so.
fn sole_bearer(headers: &HeaderMap) -> Result<Option<&str>, Refused> {
    if headers.get_all(AUTHORIZATION).iter().nth(1).is_some() {
        return Err(Refused::new(ProblemType::Malformed, "two `Authorization` headers came; send one"));
    }
    Ok(bearer(headers))
}
