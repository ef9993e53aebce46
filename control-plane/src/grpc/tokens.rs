//! Enrolment tokens.

use async_trait::async_trait;
use prost_types::Struct;
use tonic::{Request, Response, Status};
use towpath_proto::admin::tokens_server::Tokens;
use towpath_proto::admin::{CreateTokenRequest, ListTokensRequest, RevokeTokenRequest};

use super::Admin;
use super::answer::{Messages, answer, asked, done, listed, order};

#[async_trait]
impl Tokens for Admin {
    type ListStream = Messages<Struct>;

    async fn create(&self, request: Request<CreateTokenRequest>) -> Result<Response<Struct>, Status> {
        let (admission, CreateTokenRequest { order: carried }) = asked(request)?;
        answer(self.0.create_token(&admission.asker, order(carried)?).await)
    }

    async fn list(&self, request: Request<ListTokensRequest>) -> Result<Response<Self::ListStream>, Status> {
        let (admission, _) = asked(request)?;
        listed(Ok(self.0.tokens(&admission.asker)))
    }

    async fn revoke(&self, request: Request<RevokeTokenRequest>) -> Result<Response<()>, Status> {
        let (admission, RevokeTokenRequest { id }) = asked(request)?;
        done(self.0.revoke_token(&admission.asker, &id).await)
    }
}
