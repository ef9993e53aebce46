//! Enrolment tokens.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::{Method, StatusCode};
use axum::routing;
use jiff::Timestamp;
use towpath_catalog::{SecretHash, Token};
use towpath_resource::TokenId;
use towpath_resource::api::token::MAX_TTL;
use towpath_resource::api::{CreatedToken, Listed, TokenOrder, TokenState, TokenStatus};

use super::endpoint::Endpoint;
use super::extract::{Admin, Body};
use super::problem::ApiError;
use super::state::ApiState;
use crate::control::token::EnrolmentToken;

pub(super) fn endpoints() -> Vec<Endpoint> {
    let path = "/v1/tokens";
    vec![
        Endpoint::new(
            Method::POST,
            path,
            routing::post(create),
            "tokens",
            "create_token",
            "Makes a token with which one agent may enrol at a site. It is shown once.",
        )
        .takes::<TokenOrder>()
        .answers::<CreatedToken>()
        .status(StatusCode::CREATED),
        Endpoint::new(
            Method::GET,
            path,
            routing::get(list),
            "tokens",
            "list_tokens",
            "Lists enrolment tokens.",
        )
        .answers::<Listed<TokenStatus>>(),
        Endpoint::new(
            Method::DELETE,
            "/v1/tokens/{id}",
            routing::delete(revoke),
            "tokens",
            "revoke_token",
            "Takes back a token that was not used.",
        )
        .status(StatusCode::NO_CONTENT),
    ]
}

async fn create(
    State(state): State<ApiState>,
    Admin(actor): Admin,
    Body(order): Body<TokenOrder>,
) -> Result<(StatusCode, Json<CreatedToken>), ApiError> {
    let TokenOrder { site, ttl } = order;
    if ttl.0.is_zero() || ttl > MAX_TTL {
        return Err(ApiError::invalid(format!("ttl is {ttl}; it may be 1ms to {MAX_TTL}")));
    }
    let too_late = |_| ApiError::invalid(format!("ttl {ttl} reaches beyond the calendar"));
    let expires_at = Timestamp::now().checked_add(ttl.0).map_err(too_late)?;
    let token = EnrolmentToken::mint(state.ca()).map_err(|error| ApiError::Unavailable(error.to_string()))?;
    let (hash, of_site) = (SecretHash(token.hash().0), site.clone());
    let id = state
        .command(move |catalog| catalog.create_token(hash, of_site.as_str(), expires_at, &actor))
        .await?;
    let created = CreatedToken { id, token: token.reveal().to_owned(), site, expires_at };
    Ok((StatusCode::CREATED, Json(created)))
}

async fn list(State(state): State<ApiState>) -> Json<Listed<TokenStatus>> {
    let (catalog, now) = (state.catalog(), Timestamp::now());
    let items = catalog.tokens.iter().map(|(id, token)| status(*id, token, now)).collect();
    Json(Listed { items })
}

async fn revoke(
    State(state): State<ApiState>,
    Admin(actor): Admin,
    Path(id): Path<String>,
) -> Result<StatusCode, ApiError> {
    let unknown =
        || ApiError::NotFound(format!("there is no unused token {id}; `towpath token list` shows them"));
    let parsed: TokenId = id.parse().map_err(|_| unknown())?;
    let revoked = state.command(move |catalog| catalog.revoke_token(parsed, &actor)).await?;
    if revoked { Ok(StatusCode::NO_CONTENT) } else { Err(unknown()) }
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
