//! Enrolment tokens.

use jiff::Timestamp;
use towpath_access::Target;
use towpath_catalog::{SecretHash, Token};
use towpath_resource::api::token::MAX_TTL;
use towpath_resource::api::{CreatedToken, TokenOrder, TokenState, TokenStatus};
use towpath_resource::{Object, Permission, TokenId};

use super::{Asker, Refusal, Service};
use crate::control::token::EnrolmentToken;

impl Service {
    /// Makes a token with which one agent may enrol at a site. It is shown once.
    ///
    /// # Errors
    /// There is no such site, the time is too long, or it is not the asker's to make.
    pub async fn create_token(&self, asker: &Asker, order: TokenOrder) -> Result<CreatedToken, Refusal> {
        let TokenOrder { site, ttl } = order;
        asker.require(Permission::write(Object::EnrolmentToken), &of_site(&site))?;
        if ttl.0.is_zero() || ttl > MAX_TTL {
            return Err(Refusal::invalid(format!("ttl is {ttl}; it may be 1ms to {MAX_TTL}")));
        }
        let too_late = |_| Refusal::invalid(format!("ttl {ttl} reaches beyond the calendar"));
        let expires_at = Timestamp::now().checked_add(ttl.0).map_err(too_late)?;
        let minted = EnrolmentToken::mint(&self.0.config.ca);
        let token = minted.map_err(|error| Refusal::Unavailable(error.to_string()))?;
        let (hash, of_site, cause) = (SecretHash(token.hash().0), site.clone(), asker.cause.clone());
        let id = self
            .command(move |catalog| catalog.create_token(hash, of_site.as_str(), expires_at, &cause))
            .await?;
        Ok(CreatedToken { id, token: token.reveal().to_owned(), site, expires_at })
    }

    /// The enrolment tokens that the asker may see, without their secrets.
    pub fn tokens(&self, asker: &Asker) -> Vec<TokenStatus> {
        let (catalog, now, read) =
            (self.catalog(), Timestamp::now(), Permission::read(Object::EnrolmentToken));
        let seen = catalog.tokens.iter().filter(|(_, token)| asker.may(read, &of_site(&token.site)));
        seen.map(|(id, token)| status(*id, token, now)).collect()
    }

    /// Takes back a token that was not used.
    ///
    /// # Errors
    /// There is no such unused token, or it is not the asker's to take back.
    pub async fn revoke_token(&self, asker: &Asker, id: &str) -> Result<(), Refusal> {
        let unknown =
            || Refusal::NotFound(format!("there is no unused token {id}; `towpath token list` shows them"));
        let parsed: TokenId = id.parse().map_err(|_| unknown())?;
        let site = self.catalog().tokens.get(&parsed).map(|token| token.site.clone()).ok_or_else(unknown)?;
        asker.require(Permission::write(Object::EnrolmentToken), &of_site(&site))?;
        let cause = asker.cause.clone();
        let revoked = self.command(move |catalog| catalog.revoke_token(parsed, &cause)).await?;
        if revoked { Ok(()) } else { Err(unknown()) }
    }
}

fn of_site(site: &towpath_record::ResourceName) -> Target {
    Target::at_site(format!("site {site}"), site)
}

fn status(id: TokenId, token: &Token, now: Timestamp) -> TokenStatus {
    let state = match &token.used {
        Some(_) => TokenState::Used,
        None if token.expires_at <= now => TokenState::Expired,
        None => TokenState::Open,
    };
    TokenStatus {
        id,
        site: token.site.clone(),
        state,
        created_at: token.created_at,
        expires_at: token.expires_at,
        used_by: token.used.as_ref().map(|used| used.name.clone()),
        used_at: token.used.as_ref().map(|used| used.at),
    }
}
