//! Routes from end to end, and the systems and agents at their ends.

use async_trait::async_trait;
use futures_util::StreamExt;
use prost_types::Struct;
use tonic::{Request, Response, Status};
use towpath_proto::admin::agents_server::Agents;
use towpath_proto::admin::routes_server::Routes;
use towpath_proto::admin::sources_server::Sources;
use towpath_proto::admin::{
    CheckSourceRequest, GetAgentLogRequest, Resource, RevokeAgentRequest, RouteOrderRequest, RouteRequest,
};

use super::Admin;
use super::answer::{Messages, answer, asked, carried, order, shown};

const DEFAULT_LINES: u32 = 100;

#[async_trait]
impl Routes for Admin {
    type CompareStream = Messages<Struct>;

    async fn describe(&self, request: Request<RouteRequest>) -> Result<Response<Struct>, Status> {
        let (admission, RouteRequest { name }) = asked(request)?;
        answer(self.0.describe_route(&admission.asker, &name))
    }

    async fn replay(&self, request: Request<RouteOrderRequest>) -> Result<Response<Struct>, Status> {
        let (admission, RouteOrderRequest { name, order: carried }) = asked(request)?;
        answer(self.0.replay_route(&admission.asker, &name, order(carried)?).await)
    }

    async fn compare(
        &self,
        request: Request<RouteOrderRequest>,
    ) -> Result<Response<Self::CompareStream>, Status> {
        let (admission, RouteOrderRequest { name, order: how }) = asked(request)?;
        let lines = self.0.compare_route(&admission.asker, &name, order(how)?).await;
        self.flowing(admission, lines.map(|lines| lines.map(Ok)), |line| carried(&line))
    }

    async fn accept_schema(&self, request: Request<RouteOrderRequest>) -> Result<Response<Struct>, Status> {
        let (admission, RouteOrderRequest { name, order: carried }) = asked(request)?;
        answer(self.0.accept_schema(&admission.asker, &name, order(carried)?).await)
    }
}

#[async_trait]
impl Sources for Admin {
    async fn check(&self, request: Request<CheckSourceRequest>) -> Result<Response<Struct>, Status> {
        let (admission, CheckSourceRequest { name }) = asked(request)?;
        answer(self.0.check_source(&admission.asker, &name).await)
    }
}

#[async_trait]
impl Agents for Admin {
    async fn revoke(&self, request: Request<RevokeAgentRequest>) -> Result<Response<Resource>, Status> {
        let (admission, RevokeAgentRequest { name }) = asked(request)?;
        shown(self.0.revoke_agent(&admission.asker, &name).await)
    }

    async fn get_log(&self, request: Request<GetAgentLogRequest>) -> Result<Response<Struct>, Status> {
        let (admission, GetAgentLogRequest { name, after, limit }) = asked(request)?;
        let limit = if limit == 0 { DEFAULT_LINES } else { limit };
        answer(self.0.agent_log(&admission.asker, &name, after, limit).await)
    }
}
