//! The doors of every interface: how often and how many at once may come in, whoever they are and by whichever way.

use std::net::IpAddr;

use tokio::sync::OwnedSemaphorePermit;
use towpath_catalog::{Actor, Origin};

use super::limits::Left;
use super::{Admission, Need, Refusal, Service};

/// Requests that are worked on at once. One whose answer has begun is no longer among them.
pub(super) const MOST_REQUESTS: usize = 1024;

impl Service {
    /// Lets a request from an address in, before it is known who asks. What is answered is held while it is worked on.
    ///
    /// # Errors
    /// Too many came from there, or too many are under way.
    pub fn arrive(&self, address: Option<IpAddr>) -> Result<OwnedSemaphorePermit, Refusal> {
        self.0.limits.of_address(address)?;
        self.0.places.clone().try_acquire_owned().map_err(|_| {
            Refusal::TooMany("too many requests are under way; try again in a moment".to_owned())
        })
    }

    /// Lets someone in who is known by this bearer token, has what is needed and does not ask too often.
    ///
    /// # Errors
    /// Nobody is known by it, the need is not met, or too many came.
    pub async fn let_in(
        &self,
        bearer: Option<&str>,
        origin: Origin,
        need: Need,
    ) -> Result<(Admission, Left), Refusal> {
        let address = origin.address;
        let admitted = self.admit(bearer, origin, need).await;
        if let Err(Refusal::Unknown(_)) = admitted {
            self.0.limits.failed(address)?;
        }
        let admission = admitted?;
        let left = self.0.limits.of_principal(&admission.asker.cause.actor)?;
        Ok((admission, left))
    }

    /// Counts so many more requests of someone who was let in, as far as that many can ever come at once.
    ///
    /// # Errors
    /// They are too many.
    pub fn charge(&self, actor: &Actor, requests: u64) -> Result<(), Refusal> {
        let counted = requests.min(self.0.limits.at_once());
        (0..counted).try_for_each(|_| self.0.limits.of_principal(actor).map(drop))?;
        Ok(())
    }
}
