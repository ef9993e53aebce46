//! Streams, their records, their schemas, what policies make of them, and what of them could not be processed.

use async_trait::async_trait;
use futures_util::StreamExt;
use prost_types::Struct;
use tonic::{Request, Response, Status};
use towpath_proto::admin::dead_letters_server::DeadLetters;
use towpath_proto::admin::policies_server::Policies;
use towpath_proto::admin::schemas_server::Schemas;
use towpath_proto::admin::streams_server::Streams;
use towpath_proto::admin::{
    DeadLetterRequest, DiffSchemaRequest, ExplainPolicyRequest, GetSchemaRequest, ListDeadLettersRequest,
    ListSchemasRequest, ListStreamsRequest, ReadStreamRequest,
};
use towpath_resource::StartFrom;
use towpath_resource::api::ExplainOrder;

use super::answer::{Messages, answer, asked, carried, listed};
use super::{Admin, status};
use crate::service::{Reading, Refusal};

const DEFAULT_LIMIT: usize = 100;

#[async_trait]
impl Streams for Admin {
    type ListStream = Messages<Struct>;
    type ReadStream = Messages<Struct>;

    async fn list(&self, request: Request<ListStreamsRequest>) -> Result<Response<Self::ListStream>, Status> {
        let (admission, _) = asked(request)?;
        listed(Ok(self.0.streams(&admission.asker)))
    }

    async fn read(&self, request: Request<ReadStreamRequest>) -> Result<Response<Self::ReadStream>, Status> {
        let (admission, ReadStreamRequest { stream, from, limit, follow }) = asked(request)?;
        let from = (!from.is_empty()).then(|| from.parse::<StartFrom>()).transpose();
        let from = from.map_err(|error| status::of(&Refusal::invalid(format!("from: {error}"))))?;
        let reading = Reading { from, limit: (limit > 0).then_some(limit as usize), follow };
        let records = self.0.read_stream(&admission.asker, &stream, reading).await;
        let records = records.map(|records| records.map(|record| record.map_err(Refusal::from)));
        self.flowing(admission, records, |record| carried(&record))
    }
}

#[async_trait]
impl Schemas for Admin {
    type ListStream = Messages<Struct>;

    async fn list(&self, request: Request<ListSchemasRequest>) -> Result<Response<Self::ListStream>, Status> {
        let (admission, _) = asked(request)?;
        listed(Ok(self.0.schemas(&admission.asker)))
    }

    async fn get(&self, request: Request<GetSchemaRequest>) -> Result<Response<Struct>, Status> {
        let (admission, GetSchemaRequest { stream, version, source }) = asked(request)?;
        answer(self.0.schema(&admission.asker, &stream, version, source.as_deref()))
    }

    async fn diff(&self, request: Request<DiffSchemaRequest>) -> Result<Response<Struct>, Status> {
        let (admission, DiffSchemaRequest { stream, from, to, source }) = asked(request)?;
        answer(self.0.schema_diff(&admission.asker, &stream, (from, to), source.as_deref()))
    }
}

#[async_trait]
impl Policies for Admin {
    async fn explain(&self, request: Request<ExplainPolicyRequest>) -> Result<Response<Struct>, Status> {
        let (admission, ExplainPolicyRequest { stream, field, region, purpose }) = asked(request)?;
        let order = ExplainOrder { stream, field, region, purpose };
        answer(self.0.explain_policy(&admission.asker, &order))
    }
}

#[async_trait]
impl DeadLetters for Admin {
    type ListStream = Messages<Struct>;

    async fn list(
        &self,
        request: Request<ListDeadLettersRequest>,
    ) -> Result<Response<Self::ListStream>, Status> {
        let (admission, ListDeadLettersRequest { stream, route, limit }) = asked(request)?;
        let limit = if limit == 0 { DEFAULT_LIMIT } else { limit as usize };
        listed(self.0.dead_letters(&admission.asker, stream.as_deref(), route.as_deref(), limit).await)
    }

    async fn get(&self, request: Request<DeadLetterRequest>) -> Result<Response<Struct>, Status> {
        let (admission, DeadLetterRequest { id }) = asked(request)?;
        answer(self.0.dead_letter(&admission.asker, &id).await)
    }

    async fn replay(&self, request: Request<DeadLetterRequest>) -> Result<Response<Struct>, Status> {
        let (admission, DeadLetterRequest { id }) = asked(request)?;
        answer(self.0.replay_dead_letter(&admission.asker, &id).await)
    }
}
