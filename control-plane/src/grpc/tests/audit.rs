//! The audit trail by gRPC.

use serde_json::json;
use tonic::Code;
use towpath_proto::admin::audit_client::AuditClient;
use towpath_proto::admin::{
    ExportAuditRequest, GetAuditKeyRequest, ListAuditRequest, ListCheckpointsRequest, VerifyAuditRequest,
};

use super::caller::{admin, bearing, json_of, object};
use crate::api::tests::fixture::Fixture;

#[tokio::test]
async fn the_trail_is_asked_and_verified() {
    let fixture = Fixture::new();
    fixture.put("/v1/sites/plant", "apiVersion: towpath/v1\nkind: Site\nmetadata: {name: plant}\n").await;
    let mut audit = AuditClient::new(admin(&fixture));
    let order = ListAuditRequest {
        filter: Some(object(json!({ "subject": "site/plant" }))),
        ..ListAuditRequest::default()
    };
    let page = json_of(audit.list(order).await.unwrap().into_inner());
    assert_eq!(page["items"][0]["event"], "resource_applied");
    let by_rest = fixture.get("/v1/audit?subject=site/plant").await.json();
    assert_eq!(page, by_rest);
    let both = ListAuditRequest { after: Some(1), before: Some(9), ..ListAuditRequest::default() };
    assert_eq!(audit.list(both).await.unwrap_err().code(), Code::InvalidArgument);
    let wrong =
        ListAuditRequest { filter: Some(object(json!({ "moods": "x" }))), ..ListAuditRequest::default() };
    assert_eq!(audit.list(wrong).await.unwrap_err().code(), Code::InvalidArgument);
    let verified = json_of(audit.verify(VerifyAuditRequest {}).await.unwrap().into_inner());
    assert_eq!(verified, fixture.get("/v1/audit/verify").await.json());
}

#[tokio::test]
async fn the_trail_is_exported_byte_for_byte_as_by_rest() {
    let fixture = Fixture::new();
    fixture.catalog.checkpoint().unwrap();
    let mut audit = AuditClient::new(admin(&fixture));
    let mut signed = audit.list_checkpoints(ListCheckpointsRequest::default()).await.unwrap().into_inner();
    assert_eq!(json_of(signed.message().await.unwrap().unwrap())["checkpoint"]["number"], 1);
    let pem = audit.get_key(GetAuditKeyRequest {}).await.unwrap().into_inner().pem;
    assert_eq!(fixture.get("/v1/audit/key").await.json()["pem"], pem);
    let (mut parts, mut text) =
        (audit.export(ExportAuditRequest {}).await.unwrap().into_inner(), String::new());
    while let Some(part) = parts.message().await.unwrap() {
        text.push_str(&part.lines);
    }
    assert_eq!(text, fixture.get("/v1/audit/export").await.text);
    let mut stranger = AuditClient::new(bearing(&fixture, "wrong"));
    assert_eq!(stranger.export(ExportAuditRequest {}).await.unwrap_err().code(), Code::Unauthenticated);
}
