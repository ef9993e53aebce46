//! Logins and sessions: opened, renewed, closed; and who one is.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::{Method, StatusCode};
use axum::routing;
use towpath_resource::api::{
    Listed, LoginOrder, LoginProvider, OwnPasswordOrder, RefreshOrder, SessionStatus, SessionTokens, WhoAmI,
};
use towpath_resource::{Object, Permission};

use super::endpoint::Endpoint;
use super::extract::{Body, CameFrom};
use super::problem_type::ProblemType;
use crate::service::{Asker, Need, Refusal, Service};

pub(super) fn endpoints() -> Vec<Endpoint> {
    [of_logins(), of_sessions()].into_iter().flatten().collect()
}

fn of_logins() -> Vec<Endpoint> {
    let topic = "auth";
    let opened = "Opens a session for a user with a password.";
    let renewed = "Renews a session. A refresh token holds once: if it comes again, the session ends, since it was stolen.";
    let listed = "Lists the identity providers that one can log in at, with what a client needs for it.";
    vec![
        Endpoint::new(
            Need::Nothing,
            Method::POST,
            "/v1/auth/login",
            routing::post(login),
            topic,
            "login",
            opened,
        )
        .takes::<LoginOrder>()
        .refuses(ProblemType::TooMany)
        .answers::<SessionTokens>(),
        Endpoint::new(
            Need::Nothing,
            Method::POST,
            "/v1/auth/refresh",
            routing::post(refresh),
            topic,
            "refresh_session",
            renewed,
        )
        .takes::<RefreshOrder>()
        .answers::<SessionTokens>(),
        Endpoint::new(
            Need::Nothing,
            Method::GET,
            "/v1/auth/providers",
            routing::get(providers),
            topic,
            "list_login_providers",
            listed,
        )
        .answers::<Listed<LoginProvider>>(),
    ]
}

fn of_sessions() -> Vec<Endpoint> {
    let (topic, object) = ("auth", Object::Session);
    let (read, write) = (Permission::read(object), Permission::write(object));
    let changed = "Sets the password of the user who asks. All of the user's sessions end.";
    let (whoami, logout) = (routing::get(whoami), routing::post(logout));
    let (password, list, close) = (routing::post(password), routing::get(list), routing::delete(close));
    vec![
        Endpoint::new(
            Need::ToBeKnown,
            Method::GET,
            "/v1/auth/whoami",
            whoami,
            topic,
            "whoami",
            "Says who asks.",
        )
        .answers::<WhoAmI>(),
        Endpoint::new(
            Need::ToBeKnown,
            Method::POST,
            "/v1/auth/logout",
            logout,
            topic,
            "logout",
            "Closes the session that asks.",
        )
        .refuses(ProblemType::Conflict)
        .status(StatusCode::NO_CONTENT),
        Endpoint::new(
            Need::ToBeKnown,
            Method::POST,
            "/v1/auth/password",
            password,
            topic,
            "set_own_password",
            changed,
        )
        .takes::<OwnPasswordOrder>()
        .refuses(ProblemType::Conflict)
        .refuses(ProblemType::TooMany)
        .status(StatusCode::NO_CONTENT),
        Endpoint::new(
            read,
            Method::GET,
            "/v1/sessions",
            list,
            topic,
            "list_sessions",
            "Lists open sessions.",
        )
        .answers::<Listed<SessionStatus>>(),
        Endpoint::new(
            write,
            Method::DELETE,
            "/v1/sessions/{id}",
            close,
            topic,
            "close_session",
            "Closes a session, at once.",
        )
        .status(StatusCode::NO_CONTENT),
    ]
}

async fn login(
    State(service): State<Service>,
    CameFrom(origin): CameFrom,
    Body(order): Body<LoginOrder>,
) -> Result<Json<SessionTokens>, Refusal> {
    Ok(Json(service.login(order, origin).await?))
}

async fn refresh(
    State(service): State<Service>,
    CameFrom(origin): CameFrom,
    Body(order): Body<RefreshOrder>,
) -> Result<Json<SessionTokens>, Refusal> {
    Ok(Json(service.refresh(&order.refresh_token, origin).await?))
}

async fn providers(State(service): State<Service>) -> Json<Listed<LoginProvider>> {
    Json(Listed { items: service.login_providers().await })
}

async fn whoami(State(service): State<Service>, asker: Asker) -> Json<WhoAmI> {
    Json(service.whoami(&asker))
}

async fn logout(State(service): State<Service>, asker: Asker) -> Result<StatusCode, Refusal> {
    service.logout(&asker).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn password(
    State(service): State<Service>,
    asker: Asker,
    Body(order): Body<OwnPasswordOrder>,
) -> Result<StatusCode, Refusal> {
    service.set_own_password(&asker, order).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn list(State(service): State<Service>, asker: Asker) -> Result<Json<Listed<SessionStatus>>, Refusal> {
    Ok(Json(Listed { items: service.sessions(&asker)? }))
}

async fn close(
    State(service): State<Service>,
    asker: Asker,
    Path(id): Path<String>,
) -> Result<StatusCode, Refusal> {
    service.close_session(&asker, &id).await?;
    Ok(StatusCode::NO_CONTENT)
}
