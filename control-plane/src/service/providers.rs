//! Identity providers: what they publish is fetched, kept and followed; whom their tokens name is found out.
//!
//! A provider's keys are fetched when its first token comes, and again in the background when they are a quarter of an
//! hour old, so that a key that the provider takes back holds no longer. A token with a key that is not known brings them
//! at once, but no more often than every ten seconds, whoever sends such tokens. Keys older than a day are not used.

mod token;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use jsonwebtoken::jwk::JwkSet;
use parking_lot::Mutex;
use serde::Deserialize;
use towpath_catalog::{Actor, State};
use towpath_record::ResourceName;
use towpath_resource::IdentityProviderSpec;
use towpath_resource::api::LoginProvider;

use super::Refusal;
use crate::egress::{Egress, EgressError};
use token::TokenFault;

const REFRESHED_AFTER: Duration = Duration::from_secs(15 * 60);
const USED_FOR: Duration = Duration::from_secs(24 * 60 * 60);
/// Nothing is fetched from a provider more often than this.
const PAUSE: Duration = Duration::from_secs(10);

/// The identity providers, and the way to them.
pub(super) struct Providers {
    egress: Arc<Egress>,
    max_token_age: Option<Duration>,
    known: Mutex<HashMap<String, Arc<Provider>>>,
}

/// Someone whom a provider knows.
pub(super) struct Identity {
    pub(super) actor: Actor,
    pub(super) groups: Vec<String>,
}

/// A provider, by its issuer.
struct Provider {
    issuer: String,
    published: Mutex<Option<Arc<Published>>>,
    /// Held while it is asked, so that one request serves all who wait.
    last_asked: tokio::sync::Mutex<Option<Instant>>,
}

/// What a provider publishes.
struct Published {
    discovery: Discovery,
    keys: JwkSet,
    at: Instant,
}

/// What we use of OpenID Connect Discovery 1.0.
#[derive(Clone, Deserialize)]
struct Discovery {
    issuer: String,
    jwks_uri: String,
    token_endpoint: String,
    authorization_endpoint: Option<String>,
    device_authorization_endpoint: Option<String>,
}

/// Why a provider cannot be used.
#[derive(Debug, thiserror::Error)]
enum ProviderFault {
    #[error(transparent)]
    Egress(#[from] EgressError),
    #[error("it calls itself `{said}`; write its issuer exactly so")]
    OtherIssuer { said: String },
    #[error("it did not answer a moment ago; trying again in a few seconds")]
    Paused,
}

impl Providers {
    pub(super) fn new(egress: Arc<Egress>, max_token_age: Option<Duration>) -> Self {
        Self { egress, max_token_age, known: Mutex::default() }
    }

    /// Whom a provider's token names.
    ///
    /// # Errors
    /// No provider of ours made it, it does not hold, or the provider cannot be asked for its keys.
    pub(super) async fn verify(&self, state: &State, bearer: &str) -> Result<Identity, Refusal> {
        let issuer = token::claimed_issuer(bearer).ok_or_else(Refusal::unauthenticated)?;
        let mut ours = state.identity_providers.values().filter(|one| one.spec.issuer == issuer);
        let resource = ours.next().ok_or_else(Refusal::unauthenticated)?;
        let (name, spec) = (resource.name(), &resource.spec);
        let provider = self.provider(state, &issuer);
        let unavailable = |fault: ProviderFault| {
            Refusal::Unavailable(format!("identity provider {name} cannot be asked for its keys: {fault}"))
        };
        let published = provider.published(&self.egress).await.map_err(unavailable)?;
        let check = |keys: &JwkSet| token::check(bearer, spec, keys, self.max_token_age, Timestamp::now());
        let checked = match check(&published.keys) {
            Err(TokenFault::UnknownKey) => match provider.ask(&self.egress).await {
                Ok(published) => check(&published.keys),
                Err(_) => Err(TokenFault::UnknownKey),
            },
            checked => checked,
        };
        let claims = checked.map_err(|fault| {
            Refusal::Unknown(format!("the token of identity provider {name} is refused: {fault}"))
        })?;
        let actor = Actor::Identity { provider: name.clone(), subject: claims.subject, name: claims.name };
        Ok(Identity { actor, groups: claims.groups })
    }

    /// The providers that a login can go to. One that cannot be asked is left out, and the log says why.
    pub(super) async fn logins(&self, state: &State) -> Vec<LoginProvider> {
        let mut logins = Vec::new();
        for resource in state.identity_providers.values() {
            let provider = self.provider(state, &resource.spec.issuer);
            match provider.published(&self.egress).await {
                Ok(published) => logins.push(login(resource.name(), &resource.spec, &published.discovery)),
                Err(fault) => {
                    tracing::warn!(provider = %resource.name(), %fault, "an identity provider cannot be used");
                }
            }
        }
        logins
    }

    fn provider(&self, state: &State, issuer: &str) -> Arc<Provider> {
        let mut known = self.known.lock();
        if let Some(provider) = known.get(issuer) {
            return provider.clone();
        }
        known.retain(|issuer, _| state.identity_providers.values().any(|one| one.spec.issuer == *issuer));
        let (published, last_asked) = Default::default();
        let provider = Arc::new(Provider { issuer: issuer.to_owned(), published, last_asked });
        known.insert(issuer.to_owned(), provider.clone());
        provider
    }
}

impl Provider {
    /// What it publishes, as far as it is known and not too old; else it is asked.
    async fn published(self: &Arc<Self>, egress: &Arc<Egress>) -> Result<Arc<Published>, ProviderFault> {
        let known = self.published.lock().clone();
        match known.filter(|known| known.at.elapsed() < USED_FOR) {
            Some(known) => {
                if known.at.elapsed() >= REFRESHED_AFTER {
                    let (provider, egress) = (self.clone(), egress.clone());
                    tokio::spawn(async move {
                        if let Err(fault) = provider.ask(&egress).await {
                            tracing::warn!(issuer = provider.issuer, %fault, "an identity provider's keys are not fresh");
                        }
                    });
                }
                Ok(known)
            }
            None => self.ask(egress).await,
        }
    }

    /// Asks it, unless it was asked a moment ago.
    async fn ask(&self, egress: &Egress) -> Result<Arc<Published>, ProviderFault> {
        let mut last_asked = self.last_asked.lock().await;
        if last_asked.is_some_and(|last| last.elapsed() < PAUSE) {
            return self.published.lock().clone().ok_or(ProviderFault::Paused);
        }
        *last_asked = Some(Instant::now());
        let address = format!("{}/.well-known/openid-configuration", self.issuer.trim_end_matches('/'));
        let discovery: Discovery = egress.json(&address).await?;
        if discovery.issuer != self.issuer {
            return Err(ProviderFault::OtherIssuer { said: discovery.issuer });
        }
        let keys = egress.json(&discovery.jwks_uri).await?;
        let published = Arc::new(Published { discovery, keys, at: Instant::now() });
        *self.published.lock() = Some(published.clone());
        Ok(published)
    }
}

fn login(name: &ResourceName, spec: &IdentityProviderSpec, discovery: &Discovery) -> LoginProvider {
    LoginProvider {
        name: name.clone(),
        issuer: spec.issuer.clone(),
        client_id: spec.client_id.clone(),
        scopes: spec.scopes.clone(),
        authorization_endpoint: discovery.authorization_endpoint.clone(),
        device_authorization_endpoint: discovery.device_authorization_endpoint.clone(),
        token_endpoint: discovery.token_endpoint.clone(),
    }
}
