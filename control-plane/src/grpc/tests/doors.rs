//! Who is let in, and what can be found out about the services.

use std::collections::BTreeSet;

use axum::body::Body;
use axum::http::Request;
use futures_util::StreamExt;
use futures_util::stream;
use prost::Message;
use prost_types::FileDescriptorSet;
use tonic::Code;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;
use tonic_reflection::pb::v1::ServerReflectionRequest;
use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;
use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
use tonic_reflection::pb::v1::server_reflection_response::MessageResponse;
use tonic_types::StatusExt;
use tower::ServiceExt;
use towpath_proto::admin::FILE_DESCRIPTOR_SET;
use towpath_proto::admin::resources_client::ResourcesClient;
use towpath_proto::admin::sessions_client::SessionsClient;
use towpath_proto::admin::{ListResourcesRequest, WatchRequest, WhoAmIRequest};

use super::caller::{admin, bearing, reason};
use crate::api::tests::fixture::Fixture;
use crate::api::{ApiSettings, RateSettings};
use crate::grpc::needs::NEEDS;
use crate::grpc::router;
use crate::service::Need;

/// The path of every call of the admin services, as their descriptors have them.
pub(super) fn described() -> BTreeSet<String> {
    let described = FileDescriptorSet::decode(FILE_DESCRIPTOR_SET).unwrap();
    let files = described.file.iter().filter(|file| file.package() == "towpath.admin.v1");
    let calls = files.flat_map(|file| &file.service).flat_map(|service| {
        service.method.iter().map(|call| format!("/towpath.admin.v1.{}/{}", service.name(), call.name()))
    });
    calls.collect()
}

#[test]
fn every_call_says_what_it_needs_and_nothing_else_does() {
    let listed: BTreeSet<_> = NEEDS.iter().map(|(call, _)| (*call).to_owned()).collect();
    assert_eq!(listed.len(), NEEDS.len(), "a call stands there twice");
    let ours = listed.into_iter().filter(|call| call.starts_with("/towpath.")).collect();
    assert_eq!(described(), ours);
    assert!(described().len() > 20);
}

#[tokio::test]
async fn strangers_are_told_nothing_but_health() {
    let fixture = Fixture::new();
    for (call, _) in NEEDS.iter().filter(|(_, need)| *need != Need::Nothing) {
        for token in [None, Some("Bearer wrong"), Some("Bearer "), Some("Basic x")] {
            let mut request = Request::post(*call).header("content-type", "application/grpc");
            if let Some(token) = token {
                request = request.header("authorization", token);
            }
            let answer = router(fixture.service.clone()).oneshot(request.body(Body::empty()).unwrap()).await;
            let status = answer.unwrap().headers()["grpc-status"].to_str().unwrap().parse::<i32>().unwrap();
            assert_eq!(status, Code::Unauthenticated as i32, "{call} with {token:?}");
        }
    }
    let mut health = HealthClient::new(router(fixture.service.clone()));
    let healthy = health.check(HealthCheckRequest::default()).await.unwrap().into_inner();
    assert_eq!(healthy.status(), ServingStatus::Serving);
}

#[tokio::test]
async fn a_refusal_names_its_reason_and_remedy() {
    let fixture = Fixture::new();
    let mut resources = ResourcesClient::new(bearing(&fixture, "wrong"));
    let refused = resources
        .list(ListResourcesRequest { kind: "Site".into(), ..ListResourcesRequest::default() })
        .await
        .unwrap_err();
    assert_eq!((refused.code(), reason(&refused).as_str()), (Code::Unauthenticated, "unauthorized"));
    assert!(refused.message().contains("towpath login"), "{refused}");
}

#[tokio::test]
async fn a_call_that_is_not_there_is_not_guessed_at() {
    let fixture = Fixture::new();
    let call = Request::post("/towpath.admin.v1.Resources/Steal").body(Body::empty()).unwrap();
    let answer = router(fixture.service.clone()).oneshot(call).await.unwrap();
    assert_eq!(answer.headers()["grpc-status"], (Code::Unimplemented as i32).to_string().as_str());
}

#[tokio::test]
async fn health_follows_the_data_path_and_knows_which_services_there_are() {
    let fixture = Fixture::new();
    let mut health = HealthClient::new(router(fixture.service.clone()));
    let asked = |name: &str| HealthCheckRequest { service: name.into() };
    *fixture.plane.unready.lock() = Some("the region log is read-only".to_owned());
    let answer = health.check(asked("towpath.admin.v1.Resources")).await.unwrap().into_inner();
    assert_eq!(answer.status(), ServingStatus::NotServing);
    assert_eq!(health.check(asked("moods")).await.unwrap_err().code(), Code::NotFound);
    let mut watch = health.watch(asked("")).await.unwrap().into_inner();
    assert_eq!(watch.message().await.unwrap().unwrap().status(), ServingStatus::NotServing);
    *fixture.plane.unready.lock() = None;
    assert_eq!(watch.message().await.unwrap().unwrap().status(), ServingStatus::Serving);
    fixture.service.stop();
    assert!(watch.message().await.unwrap().is_none());
}

#[tokio::test]
async fn reflection_lists_the_services_to_those_who_are_known() {
    let fixture = Fixture::new();
    let ask = || {
        let message_request = Some(MessageRequest::ListServices(String::new()));
        stream::iter([ServerReflectionRequest { host: String::new(), message_request }])
    };
    let mut stranger = ServerReflectionClient::new(bearing(&fixture, "wrong"));
    assert_eq!(stranger.server_reflection_info(ask()).await.unwrap_err().code(), Code::Unauthenticated);
    let mut known = ServerReflectionClient::new(admin(&fixture));
    let mut answers = known.server_reflection_info(ask()).await.unwrap().into_inner();
    let answer = answers.next().await.unwrap().unwrap().message_response.unwrap();
    let MessageResponse::ListServicesResponse(services) = answer else { panic!("{answer:?}") };
    let names: Vec<_> = services.service.into_iter().map(|service| service.name).collect();
    for name in
        ["towpath.admin.v1.Resources", "towpath.admin.v1.Events", "grpc.reflection.v1.ServerReflection"]
    {
        assert!(names.iter().any(|known| known == name), "{name} in {names:?}");
    }
}

#[tokio::test]
async fn a_watch_ends_when_the_rights_with_which_it_began_are_taken_away() {
    let (fixture, _) = Fixture::furnished().await;
    let bob = fixture.operator("bob").await.leak();
    let mut resources = ResourcesClient::new(bearing(&fixture, bob));
    let order = WatchRequest { kind: "Site".into(), ..WatchRequest::default() };
    let mut changes = resources.watch(order).await.unwrap().into_inner();
    while changes.message().await.unwrap().unwrap().after.is_none() {}
    fixture.delete("/v1/role-bindings/operator-bob").await;
    let ended = changes.message().await.unwrap_err();
    assert_eq!(ended.code(), Code::Aborted, "{ended}");
}

#[tokio::test]
async fn calls_and_requests_of_rest_count_together_towards_what_one_may_ask() {
    let rate = RateSettings { per_principal: 1, burst_seconds: 2, ..RateSettings::default() };
    let fixture = Fixture::set_up(&ApiSettings { rate, ..ApiSettings::default() });
    assert_eq!(fixture.get("/v1/status").await.status, 200);
    let mut sessions = SessionsClient::new(admin(&fixture));
    sessions.who_am_i(WhoAmIRequest {}).await.unwrap();
    let refused = sessions.who_am_i(WhoAmIRequest {}).await.unwrap_err();
    assert_eq!((refused.code(), reason(&refused).as_str()), (Code::ResourceExhausted, "rate-limited"));
    let retry = refused.get_details_retry_info().and_then(|info| info.retry_delay).unwrap();
    assert!(!retry.is_zero() && refused.message().contains("try again in"), "{refused}");
    fixture.get("/v1/status").await.problem(429);
}

#[tokio::test]
async fn a_long_answer_ends_when_the_control_plane_stops() {
    let fixture = Fixture::new();
    let mut resources = ResourcesClient::new(admin(&fixture));
    let mut changes = resources
        .watch(WatchRequest { kind: "Site".into(), ..WatchRequest::default() })
        .await
        .unwrap()
        .into_inner();
    while changes.message().await.unwrap().unwrap().after.is_none() {}
    fixture.service.stop();
    assert_eq!(changes.message().await.unwrap_err().code(), Code::Unavailable);
}
