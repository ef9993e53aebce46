//! Who may do what: keys, users and sessions.

use async_trait::async_trait;
use prost_types::Struct;
use tonic::{Request, Response, Status};
use towpath_proto::admin::keys_server::Keys;
use towpath_proto::admin::sessions_server::Sessions;
use towpath_proto::admin::users_server::Users;
use towpath_proto::admin::{
    CloseSessionRequest, CreateKeyRequest, CreateUserRequest, KeyRequest, ListKeysRequest,
    ListProvidersRequest, ListSessionsRequest, ListUsersRequest, LoginRequest, LogoutRequest, RefreshRequest,
    RevokeAdminTokenRequest, RotateKeyRequest, SetOwnPasswordRequest, SetPasswordRequest, UserRequest,
    WhoAmIRequest,
};
use towpath_resource::api::{LoginOrder, OwnPasswordOrder, PasswordOrder};

use super::Admin;
use super::answer::{Messages, answer, asked, asked_by_anyone, done, listed, order};

#[async_trait]
impl Keys for Admin {
    type ListStream = Messages<Struct>;

    async fn create(&self, request: Request<CreateKeyRequest>) -> Result<Response<Struct>, Status> {
        let (admission, CreateKeyRequest { order: carried }) = asked(request)?;
        answer(self.0.create_key(&admission.asker, order(carried)?).await)
    }

    async fn list(&self, request: Request<ListKeysRequest>) -> Result<Response<Self::ListStream>, Status> {
        let (admission, _) = asked(request)?;
        listed(self.0.keys(&admission.asker))
    }

    async fn get(&self, request: Request<KeyRequest>) -> Result<Response<Struct>, Status> {
        let (admission, KeyRequest { id }) = asked(request)?;
        answer(self.0.key(&admission.asker, &id))
    }

    async fn rotate(&self, request: Request<RotateKeyRequest>) -> Result<Response<Struct>, Status> {
        let (admission, RotateKeyRequest { id, order: carried }) = asked(request)?;
        answer(self.0.rotate_key(&admission.asker, &id, order(carried)?).await)
    }

    async fn revoke(&self, request: Request<KeyRequest>) -> Result<Response<()>, Status> {
        let (admission, KeyRequest { id }) = asked(request)?;
        done(self.0.revoke_key(&admission.asker, &id).await)
    }

    async fn revoke_admin_token(
        &self,
        request: Request<RevokeAdminTokenRequest>,
    ) -> Result<Response<()>, Status> {
        let (admission, _) = asked(request)?;
        done(self.0.revoke_admin_token(&admission.asker).await)
    }
}

#[async_trait]
impl Users for Admin {
    type ListStream = Messages<Struct>;

    async fn create(&self, request: Request<CreateUserRequest>) -> Result<Response<Struct>, Status> {
        let (admission, CreateUserRequest { order: carried }) = asked(request)?;
        answer(self.0.create_user(&admission.asker, order(carried)?).await)
    }

    async fn list(&self, request: Request<ListUsersRequest>) -> Result<Response<Self::ListStream>, Status> {
        let (admission, _) = asked(request)?;
        listed(self.0.users(&admission.asker))
    }

    async fn get(&self, request: Request<UserRequest>) -> Result<Response<Struct>, Status> {
        let (admission, UserRequest { name }) = asked(request)?;
        answer(self.0.user(&admission.asker, &name))
    }

    async fn delete(&self, request: Request<UserRequest>) -> Result<Response<()>, Status> {
        let (admission, UserRequest { name }) = asked(request)?;
        done(self.0.delete_user(&admission.asker, &name).await)
    }

    async fn set_password(&self, request: Request<SetPasswordRequest>) -> Result<Response<()>, Status> {
        let (admission, SetPasswordRequest { name, password }) = asked(request)?;
        done(self.0.set_password(&admission.asker, &name, PasswordOrder { password }).await)
    }
}

#[async_trait]
impl Sessions for Admin {
    type ListProvidersStream = Messages<Struct>;
    type ListStream = Messages<Struct>;

    async fn login(&self, request: Request<LoginRequest>) -> Result<Response<Struct>, Status> {
        let (origin, LoginRequest { user, password }) = asked_by_anyone(request)?;
        answer(self.0.login(LoginOrder { user, password }, origin).await)
    }

    async fn refresh(&self, request: Request<RefreshRequest>) -> Result<Response<Struct>, Status> {
        let (origin, RefreshRequest { refresh_token }) = asked_by_anyone(request)?;
        answer(self.0.refresh(&refresh_token, origin).await)
    }

    async fn list_providers(
        &self,
        _: Request<ListProvidersRequest>,
    ) -> Result<Response<Self::ListProvidersStream>, Status> {
        listed(Ok(self.0.login_providers().await))
    }

    async fn who_am_i(&self, request: Request<WhoAmIRequest>) -> Result<Response<Struct>, Status> {
        let (admission, _) = asked(request)?;
        answer(Ok(self.0.whoami(&admission.asker)))
    }

    async fn logout(&self, request: Request<LogoutRequest>) -> Result<Response<()>, Status> {
        let (admission, _) = asked(request)?;
        done(self.0.logout(&admission.asker).await)
    }

    async fn set_own_password(
        &self,
        request: Request<SetOwnPasswordRequest>,
    ) -> Result<Response<()>, Status> {
        let (admission, SetOwnPasswordRequest { current, new }) = asked(request)?;
        done(self.0.set_own_password(&admission.asker, OwnPasswordOrder { current, new }).await)
    }

    async fn list(
        &self,
        request: Request<ListSessionsRequest>,
    ) -> Result<Response<Self::ListStream>, Status> {
        let (admission, _) = asked(request)?;
        listed(self.0.sessions(&admission.asker))
    }

    async fn close(&self, request: Request<CloseSessionRequest>) -> Result<Response<()>, Status> {
        let (admission, CloseSessionRequest { id }) = asked(request)?;
        done(self.0.close_session(&admission.asker, &id).await)
    }
}
