//! The audit trail: asked, verified, exported.

use async_trait::async_trait;
use prost_types::Struct;
use tonic::{Request, Response, Status};
use towpath_catalog::Order;
use towpath_proto::admin::audit_server::Audit;
use towpath_proto::admin::{
    ExportAuditRequest, ExportAuditResponse, GetAuditKeyRequest, GetAuditKeyResponse, ListAuditRequest,
    ListCheckpointsRequest, VerifyAuditRequest,
};

use super::answer::{Messages, answer, asked, listed, order};
use super::{Admin, status};
use crate::service::Refusal;

const DEFAULT_LIMIT: u32 = 100;

#[async_trait]
impl Audit for Admin {
    type ListCheckpointsStream = Messages<Struct>;
    type ExportStream = Messages<ExportAuditResponse>;

    async fn list(&self, request: Request<ListAuditRequest>) -> Result<Response<Struct>, Status> {
        let (admission, ListAuditRequest { filter, after, before, limit }) = asked(request)?;
        let order_of_page = match (after, before) {
            (Some(_), Some(_)) => {
                return Err(status::of(&Refusal::invalid("either `after` or `before`, not both")));
            }
            (Some(after), None) => Order::After(after),
            (None, before) => Order::Before(before.unwrap_or(u64::MAX)),
        };
        answer(self.0.audit(&admission.asker, order(filter)?, order_of_page, at_most(limit)).await)
    }

    async fn verify(&self, request: Request<VerifyAuditRequest>) -> Result<Response<Struct>, Status> {
        let (admission, _) = asked(request)?;
        answer(self.0.verify_audit(&admission.asker).await)
    }

    async fn list_checkpoints(
        &self,
        request: Request<ListCheckpointsRequest>,
    ) -> Result<Response<Self::ListCheckpointsStream>, Status> {
        let (admission, ListCheckpointsRequest { after, limit }) = asked(request)?;
        listed(self.0.checkpoints(&admission.asker, after, at_most(limit)).await)
    }

    async fn get_key(
        &self,
        request: Request<GetAuditKeyRequest>,
    ) -> Result<Response<GetAuditKeyResponse>, Status> {
        let (admission, _) = asked(request)?;
        let pem = self.0.audit_key(&admission.asker).map_err(|refusal| status::of(&refusal))?;
        Ok(Response::new(GetAuditKeyResponse { pem }))
    }

    async fn export(
        &self,
        request: Request<ExportAuditRequest>,
    ) -> Result<Response<Self::ExportStream>, Status> {
        let (admission, _) = asked(request)?;
        let parts = self.0.export_audit(&admission.asker).await;
        self.flowing(admission, parts, |lines| ExportAuditResponse { lines })
    }
}

fn at_most(limit: u32) -> usize {
    (if limit == 0 { DEFAULT_LIMIT } else { limit }) as usize
}
