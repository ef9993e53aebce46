//! People whom the control plane knows by a password.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::{Method, StatusCode};
use axum::routing;
use towpath_resource::api::{Listed, PasswordOrder, UserOrder, UserStatus};
use towpath_resource::{Object, Permission};

use super::endpoint::Endpoint;
use super::extract::Body;
use crate::service::{Asker, Refusal, Service};

pub(super) fn endpoints() -> Vec<Endpoint> {
    let (all, each, topic) = ("/v1/users", "/v1/users/{name}", "users");
    let (read, write) = (Permission::read(Object::User), Permission::write(Object::User));
    let made = "Makes a user with a password. Role bindings say what the user may do.";
    let gone = "Deletes a user. All of the user's sessions end at once.";
    let changed = "Sets a user's password. All of the user's sessions end.";
    vec![
        Endpoint::new(write, Method::POST, all, routing::post(create), topic, "create_user", made)
            .takes::<UserOrder>()
            .answers::<UserStatus>()
            .status(StatusCode::CREATED),
        Endpoint::new(read, Method::GET, all, routing::get(list), topic, "list_users", "Lists users.")
            .answers::<Listed<UserStatus>>(),
        Endpoint::new(read, Method::GET, each, routing::get(show), topic, "get_user", "Shows a user.")
            .answers::<UserStatus>(),
        Endpoint::new(write, Method::DELETE, each, routing::delete(delete), topic, "delete_user", gone)
            .status(StatusCode::NO_CONTENT),
        Endpoint::new(
            write,
            Method::PUT,
            "/v1/users/{name}/password",
            routing::put(password),
            topic,
            "set_password",
            changed,
        )
        .takes::<PasswordOrder>()
        .status(StatusCode::NO_CONTENT),
    ]
}

async fn create(
    State(service): State<Service>,
    asker: Asker,
    Body(order): Body<UserOrder>,
) -> Result<(StatusCode, Json<UserStatus>), Refusal> {
    Ok((StatusCode::CREATED, Json(service.create_user(&asker, order).await?)))
}

async fn list(State(service): State<Service>, asker: Asker) -> Result<Json<Listed<UserStatus>>, Refusal> {
    Ok(Json(Listed { items: service.users(&asker)? }))
}

async fn show(
    State(service): State<Service>,
    asker: Asker,
    Path(name): Path<String>,
) -> Result<Json<UserStatus>, Refusal> {
    Ok(Json(service.user(&asker, &name)?))
}

async fn delete(
    State(service): State<Service>,
    asker: Asker,
    Path(name): Path<String>,
) -> Result<StatusCode, Refusal> {
    service.delete_user(&asker, &name).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn password(
    State(service): State<Service>,
    asker: Asker,
    Path(name): Path<String>,
    Body(order): Body<PasswordOrder>,
) -> Result<StatusCode, Refusal> {
    service.set_password(&asker, &name, order).await?;
    Ok(StatusCode::NO_CONTENT)
}
