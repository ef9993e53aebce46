//! Enrolment's view of the catalog.

use std::sync::Arc;
use std::time::SystemTime;

use async_trait::async_trait;
use jiff::Timestamp;
use towpath_catalog::{Actor, Catalog, EnrolError, Origin, SecretHash};

use super::ca::AgentCertificate;
use super::enrol::{EnrolmentLedger, EnrolmentRefusal, Newcomer};
use super::identity::AgentIdentity;
use super::token::TokenHash;
use super::turned_away;

/// The catalog, as enrolment needs it.
pub struct CatalogLedger(pub Arc<Catalog>);

#[async_trait]
impl EnrolmentLedger for CatalogLedger {
    async fn consume_token(
        &self,
        token: TokenHash,
        newcomer: Newcomer,
        _now: SystemTime,
    ) -> Result<AgentIdentity, EnrolmentRefusal> {
        let catalog = self.0.clone();
        let enrolled =
            blocking(move || catalog.enrol(&SecretHash(token.0), &newcomer.name, &newcomer.version));
        let enrolled = enrolled.await?;
        Ok(AgentIdentity { agent: enrolled.agent, site: enrolled.site })
    }

    async fn record_certificate(
        &self,
        identity: &AgentIdentity,
        certificate: &AgentCertificate,
    ) -> Result<(), EnrolmentRefusal> {
        let (catalog, agent, serial) = (self.0.clone(), identity.agent, certificate.serial.to_string());
        let not_after = Timestamp::try_from(certificate.not_after).unwrap_or(Timestamp::MAX);
        blocking(move || catalog.record_certificate(agent, serial, not_after)).await
    }

    async fn record_denial(&self, origin: Origin, refusal: &EnrolmentRefusal) {
        let on = match refusal {
            EnrolmentRefusal::UnknownToken => None,
            EnrolmentRefusal::UsedToken { site } | EnrolmentRefusal::ExpiredToken { site } => {
                Some(format!("site {site}"))
            }
            EnrolmentRefusal::Revoked { agent } => Some(format!("agent {agent}")),
            // Whoever is refused for these was known.
            EnrolmentRefusal::NameTaken { .. } | EnrolmentRefusal::Unavailable(_) => return,
        };
        turned_away::note(&self.0, Actor::Stranger, origin, turned_away::unknown(on));
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, EnrolError> + Send + 'static,
) -> Result<T, EnrolmentRefusal> {
    let done = tokio::task::spawn_blocking(work).await;
    let done = done.map_err(|error| EnrolmentRefusal::Unavailable(Box::new(error)))?;
    done.map_err(|error| match error {
        EnrolError::UnknownToken => EnrolmentRefusal::UnknownToken,
        EnrolError::UsedToken { site } => EnrolmentRefusal::UsedToken { site },
        EnrolError::ExpiredToken { site } => EnrolmentRefusal::ExpiredToken { site },
        EnrolError::NameTaken { name } => EnrolmentRefusal::NameTaken { name },
        EnrolError::Revoked { agent } => EnrolmentRefusal::Revoked { agent },
        other => EnrolmentRefusal::Unavailable(Box::new(other)),
    })
}
