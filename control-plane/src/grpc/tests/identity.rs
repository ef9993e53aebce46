//! Keys, users and sessions by gRPC.

use serde_json::{Value, json};
use tonic::Code;
use towpath_proto::admin::keys_client::KeysClient;
use towpath_proto::admin::sessions_client::SessionsClient;
use towpath_proto::admin::users_client::UsersClient;
use towpath_proto::admin::{
    CloseSessionRequest, CreateKeyRequest, CreateUserRequest, KeyRequest, ListKeysRequest,
    ListProvidersRequest, ListSessionsRequest, ListUsersRequest, LoginRequest, LogoutRequest, RefreshRequest,
    RotateKeyRequest, SetOwnPasswordRequest, SetPasswordRequest, UserRequest, WhoAmIRequest,
};

use super::caller::{admin, bearing, json_of, object};
use crate::api::tests::fixture::Fixture;
use crate::grpc::router;

const PASSWORD: &str = "correct horse battery";

fn text(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_key_is_made_used_rotated_and_taken_back() {
    let fixture = Fixture::new();
    let mut keys = KeysClient::new(admin(&fixture));
    let order = Some(object(json!({ "name": "ci", "grants": [{ "role": "viewer" }] })));
    let made = json_of(keys.create(CreateKeyRequest { order }).await.unwrap().into_inner());
    let mut listed = keys.list(ListKeysRequest {}).await.unwrap().into_inner();
    assert_eq!(json_of(listed.message().await.unwrap().unwrap())["id"], made["id"]);
    assert!(listed.message().await.unwrap().is_none());

    let secret = text(&made["key"]).leak();
    let mut bearer = KeysClient::new(bearing(&fixture, secret));
    let denied = bearer.list(ListKeysRequest {}).await.unwrap_err();
    assert_eq!(denied.code(), Code::PermissionDenied);
    let order = Some(object(json!({})));
    let rotated = keys.rotate(RotateKeyRequest { id: "ci".into(), order }).await.unwrap().into_inner();
    assert_ne!(json_of(rotated)["key"], made["key"]);
    let named = || KeyRequest { id: "ci".into() };
    assert_eq!(json_of(keys.get(named()).await.unwrap().into_inner())["name"], "ci");
    keys.revoke(named()).await.unwrap();
    assert_eq!(bearer.list(ListKeysRequest {}).await.unwrap_err().code(), Code::Unauthenticated);
}

#[tokio::test]
async fn a_user_logs_in_without_a_token_and_is_known_by_what_that_brings() {
    let fixture = Fixture::new();
    let mut users = UsersClient::new(admin(&fixture));
    let order = Some(object(json!({ "name": "bob", "password": PASSWORD })));
    users.create(CreateUserRequest { order }).await.unwrap();

    let mut stranger = SessionsClient::new(router(fixture.service.clone()));
    let login = |password: &str| LoginRequest { user: "bob".into(), password: password.into() };
    assert_eq!(stranger.login(login("wrong password")).await.unwrap_err().code(), Code::Unauthenticated);
    assert!(stranger.list_providers(ListProvidersRequest {}).await.is_ok());
    let tokens = json_of(stranger.login(login(PASSWORD)).await.unwrap().into_inner());
    let refresh = || RefreshRequest { refresh_token: text(&tokens["refresh_token"]) };
    let renewed = json_of(stranger.refresh(refresh()).await.unwrap().into_inner());

    let mut bob = SessionsClient::new(bearing(&fixture, text(&renewed["access_token"]).leak()));
    let who = json_of(bob.who_am_i(WhoAmIRequest {}).await.unwrap().into_inner());
    assert_eq!(who["who"], "user bob");
    let denied = bob.list(ListSessionsRequest {}).await.unwrap_err();
    assert_eq!(denied.code(), Code::PermissionDenied);
    // A refresh token that comes again is stolen: the session ends for both who hold it.
    assert_eq!(stranger.refresh(refresh()).await.unwrap_err().code(), Code::Unauthenticated);
    assert_eq!(bob.who_am_i(WhoAmIRequest {}).await.unwrap_err().code(), Code::Unauthenticated);
}

#[tokio::test]
async fn a_session_ends_by_logout_by_an_admin_and_with_the_password() {
    let fixture = Fixture::new();
    let mut users = UsersClient::new(admin(&fixture));
    let order = Some(object(json!({ "name": "bob", "password": PASSWORD })));
    users.create(CreateUserRequest { order }).await.unwrap();
    let mut stranger = SessionsClient::new(router(fixture.service.clone()));
    let mut session = async |password: &str| {
        let login = LoginRequest { user: "bob".into(), password: password.into() };
        let tokens = json_of(stranger.login(login).await.unwrap().into_inner());
        SessionsClient::new(bearing(&fixture, text(&tokens["access_token"]).leak()))
    };

    let mut bob = session(PASSWORD).await;
    bob.logout(LogoutRequest {}).await.unwrap();
    assert_eq!(bob.who_am_i(WhoAmIRequest {}).await.unwrap_err().code(), Code::Unauthenticated);

    let mut bob = session(PASSWORD).await;
    let mut sessions = SessionsClient::new(admin(&fixture));
    let mut open = sessions.list(ListSessionsRequest {}).await.unwrap().into_inner();
    let id = text(&json_of(open.message().await.unwrap().unwrap())["id"]);
    sessions.close(CloseSessionRequest { id }).await.unwrap();
    assert_eq!(bob.who_am_i(WhoAmIRequest {}).await.unwrap_err().code(), Code::Unauthenticated);

    let mut bob = session(PASSWORD).await;
    let order = SetOwnPasswordRequest { current: PASSWORD.into(), new: "another long password".into() };
    bob.set_own_password(order).await.unwrap();
    assert_eq!(bob.who_am_i(WhoAmIRequest {}).await.unwrap_err().code(), Code::Unauthenticated);

    let mut bob = session("another long password").await;
    let order = SetPasswordRequest { name: "bob".into(), password: "a third long password".into() };
    users.set_password(order).await.unwrap();
    assert_eq!(bob.who_am_i(WhoAmIRequest {}).await.unwrap_err().code(), Code::Unauthenticated);

    let bob = || UserRequest { name: "bob".into() };
    assert_eq!(json_of(users.get(bob()).await.unwrap().into_inner())["name"], "bob");
    users.delete(bob()).await.unwrap();
    let mut left = users.list(ListUsersRequest {}).await.unwrap().into_inner();
    assert!(left.message().await.unwrap().is_none());
}
