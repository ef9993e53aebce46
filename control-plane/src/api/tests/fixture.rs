//! An API over a real catalog and a data path that says what the test wants.

use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, Method, Request, StatusCode, header};
use futures_util::stream::{self, BoxStream, StreamExt};
use jiff::Timestamp;
use parking_lot::Mutex;
use serde_json::Value;
use tempfile::TempDir;
use tower::ServiceExt;
use towpath_audit::AuditKey;
use towpath_catalog::{Catalog, CatalogConfig, SecretHash};
use towpath_record::{AgentId, LogOffset, RegionName, ResourceName, RouteId, SourceId};
use towpath_resource::api::{
    CompareLine, CompareOrder, Finding, LogLevel, LogLine, LogPage, StreamRecord, Verdict,
};

use crate::api::{ApiSettings, IdempotencyKeys, router};
use crate::config::{AccessSettings, EgressSettings};
use crate::control::ca::CaFingerprint;
use crate::egress::Egress;
use crate::service::plane::{Letter, LetterOrder, Plane, PlaneError, Snapshot, StreamVersions, TailOrder};
use crate::service::{Pepper, Service, ServiceConfig};

pub(crate) const TOKEN: &str = "tpa1.test";

#[derive(Default)]
pub(crate) struct FakePlane {
    pub(crate) snapshot: Mutex<Snapshot>,
    pub(crate) letters: Mutex<Vec<Letter>>,
    pub(crate) schemas: Mutex<Vec<StreamVersions>>,
    pub(crate) unready: Mutex<Option<String>>,
}

#[async_trait]
impl Plane for FakePlane {
    fn snapshot(&self) -> Arc<Snapshot> {
        Arc::new(self.snapshot.lock().clone())
    }

    fn ready(&self) -> Result<(), String> {
        self.unready.lock().clone().map_or(Ok(()), Err)
    }

    async fn tail(
        &self,
        order: TailOrder,
    ) -> Result<BoxStream<'static, Result<StreamRecord, PlaneError>>, PlaneError> {
        let record = |row: u32| StreamRecord {
            offset: LogOffset(7),
            row,
            op: "create".into(),
            at: Timestamp::UNIX_EPOCH,
            tx: None,
            record: serde_json::Map::from_iter([("id".to_owned(), row.into())]),
        };
        if order.follow {
            return Ok(stream::pending().boxed());
        }
        let lost = PlaneError::Unavailable("frame 8 is lost".into());
        Ok(stream::iter((0..150).map(record).map(Ok).chain([Err(lost)])).boxed())
    }

    async fn check_source(&self, _: SourceId) -> Result<Vec<Finding>, PlaneError> {
        let remedy = Some("ALTER SYSTEM SET wal_level = logical;".to_owned());
        Ok(vec![Finding {
            subject: "wal_level".into(),
            verdict: Verdict::Failed,
            found: "it is replica".into(),
            remedy,
        }])
    }

    async fn agent_log(&self, _: AgentId, after: Option<String>, limit: u32) -> Result<LogPage, PlaneError> {
        let message = format!("{limit} lines after {after:?}");
        let line = LogLine { at: Timestamp::UNIX_EPOCH, level: LogLevel::Warn, message };
        Ok(LogPage { lines: vec![line], cursor: "c-1".into(), missed: 0 })
    }

    async fn compare(
        &self,
        _: RouteId,
        order: CompareOrder,
    ) -> Result<BoxStream<'static, CompareLine>, PlaneError> {
        let lines = [format!("limit {}", order.limit), "and so on".to_owned()];
        Ok(stream::iter(lines.map(CompareLine::Error)).boxed())
    }

    fn schemas(&self) -> Vec<StreamVersions> {
        self.schemas.lock().clone()
    }

    async fn letters(&self, order: LetterOrder) -> Result<Vec<Letter>, PlaneError> {
        let wanted = |letter: &&Letter| order.stream.as_ref().is_none_or(|stream| letter.stream == *stream);
        Ok(self.letters.lock().iter().filter(wanted).take(order.limit).cloned().collect())
    }

    async fn letter(&self, id: &str) -> Result<Letter, PlaneError> {
        let found = self.letters.lock().iter().find(|letter| letter.id == id).cloned();
        found.ok_or_else(|| PlaneError::NotFound(format!("there is no dead letter {id}")))
    }

    async fn replay_letter(&self, id: &str) -> Result<Letter, PlaneError> {
        let mut letters = self.letters.lock();
        let letter = letters.iter_mut().find(|letter| letter.id == id).unwrap();
        if std::mem::replace(&mut letter.replayed, true) {
            return Err(PlaneError::Conflict(format!("dead letter {id} was replayed already")));
        }
        Ok(letter.clone())
    }
}

pub(crate) struct Fixture {
    pub(crate) catalog: Arc<Catalog>,
    pub(crate) plane: Arc<FakePlane>,
    pub(crate) service: Service,
    pub(crate) router: Router,
    key: Arc<AuditKey>,
    pub(crate) dir: TempDir,
}

pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) content_type: String,
    pub(crate) text: String,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {}", self.text))
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// The detail of a problem with this status.
    pub(crate) fn problem(&self, status: u16) -> String {
        assert_eq!(self.status.as_u16(), status, "{}", self.text);
        assert_eq!(self.content_type, "application/problem+json", "{}", self.text);
        let problem = self.json();
        assert_eq!(problem["status"], status);
        let id = self.headers["x-request-id"].to_str().unwrap();
        assert_eq!(problem["instance"], format!("urn:uuid:{id}"));
        problem["detail"].as_str().unwrap().to_owned()
    }
}

impl Fixture {
    pub(crate) fn new() -> Self {
        Self::set_up(&ApiSettings::default())
    }

    pub(crate) fn set_up(settings: &ApiSettings) -> Self {
        Self::configured(settings, &EgressSettings::default())
    }

    /// With other settings than the default.
    pub(crate) fn configured(settings: &ApiSettings, egress: &EgressSettings) -> Self {
        let key = Arc::new(AuditKey::generate().unwrap());
        let fixture = Self::over(tempfile::tempdir().unwrap(), key, settings, egress);
        fixture.catalog.create_admin_token("ada", SecretHash::of(TOKEN)).unwrap();
        fixture
    }

    /// The same, started again from what is on the disk at this moment, as after a kill.
    pub(crate) fn killed(&self) -> Self {
        let dir = tempfile::tempdir().unwrap();
        copy(self.dir.path(), dir.path());
        Self::over(dir, self.key.clone(), &ApiSettings::default(), &EgressSettings::default())
    }

    fn over(dir: TempDir, key: Arc<AuditKey>, settings: &ApiSettings, egress: &EgressSettings) -> Self {
        let sink_regions = [RegionName::new("us").unwrap()].into();
        let config = CatalogConfig { key: Some(key.clone()), sink_regions, ..CatalogConfig::default() };
        let (catalog, _) = Catalog::open(dir.path(), config).unwrap();
        let (catalog, plane) = (Arc::new(catalog), Arc::new(FakePlane::default()));
        let config = ServiceConfig {
            catalog: catalog.clone(),
            plane: plane.clone(),
            ca: CaFingerprint([7; 32]),
            metrics: Arc::new(|| "towpath_process_up 1\n".to_owned()),
            access: AccessSettings::default(),
            pepper: Pepper::open_or_create(dir.path()).unwrap(),
            data_dir: dir.path().to_owned(),
            exports: crate::control::export::Exports::default(),
            egress: Arc::new(Egress::new(egress).unwrap()),
            rate: settings.rate.clone(),
            repeats: IdempotencyKeys::open(&dir.path().join("idempotency")).unwrap(),
        };
        let service = Service::new(config);
        let router = router(service.clone(), settings, true);
        Self { catalog, plane, service, router, key, dir }
    }

    /// With a site, an agent, a source, a sink and a route.
    pub(crate) async fn furnished() -> (Self, AgentId) {
        let fixture = Self::new();
        fixture.post("/v1/apply", "apiVersion: towpath/v1\nkind: Site\nmetadata: {name: plant}\n").await;
        let created = fixture.post("/v1/tokens", r#"{"site": "plant"}"#).await.json();
        let secret = SecretHash::of(created["token"].as_str().unwrap());
        let agent = fixture.catalog.enrol(&secret, &name("plant-1"), "0.1.0").unwrap().agent;
        let report = fixture.post("/v1/apply", REST).await.json();
        assert!(report["results"].as_array().unwrap().iter().all(|r| r["outcome"] == "created"), "{report}");
        (fixture, agent)
    }

    pub(crate) async fn send(&self, method: Method, path: &str, token: Option<&str>, body: Body) -> Answer {
        let bearer = token.map(|token| format!("Bearer {token}"));
        let headers: Vec<_> = bearer.iter().map(|value| ("authorization", value.as_str())).collect();
        self.ask(method, path, &headers, body).await
    }

    /// With these headers and no others.
    pub(crate) async fn ask(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: Body,
    ) -> Answer {
        let mut request = Request::builder().method(method).uri(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let response = self.router.clone().oneshot(request.body(body).unwrap()).await.unwrap();
        let (status, headers) = (response.status(), response.headers().clone());
        let content_type = response.headers().get(header::CONTENT_TYPE);
        let content_type = content_type.map(|value| value.to_str().unwrap().to_owned()).unwrap_or_default();
        let bytes = to_bytes(response.into_body(), 64 << 20).await.unwrap();
        Answer { status, headers, content_type, text: String::from_utf8(bytes.into()).unwrap() }
    }

    /// As the admin, with one more header.
    pub(crate) async fn with(&self, method: Method, path: &str, header: (&str, &str), body: &str) -> Answer {
        let bearer = format!("Bearer {TOKEN}");
        self.ask(method, path, &[("authorization", &bearer), header], Body::from(body.to_owned())).await
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.send(Method::GET, path, Some(TOKEN), Body::empty()).await
    }

    pub(crate) async fn post(&self, path: &str, body: &str) -> Answer {
        self.send(Method::POST, path, Some(TOKEN), Body::from(body.to_owned())).await
    }

    pub(crate) async fn put(&self, path: &str, body: &str) -> Answer {
        self.send(Method::PUT, path, Some(TOKEN), Body::from(body.to_owned())).await
    }

    pub(crate) async fn delete(&self, path: &str) -> Answer {
        self.send(Method::DELETE, path, Some(TOKEN), Body::empty()).await
    }
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let (path, name) = entry.map(|entry| (entry.path(), entry.file_name())).unwrap();
        match path.is_dir() {
            true => copy(&path, &to.join(name)),
            false => drop(std::fs::copy(&path, to.join(name)).unwrap()),
        }
    }
}

pub(crate) fn name(text: &str) -> ResourceName {
    ResourceName::new(text).unwrap()
}

const REST: &str = r"
apiVersion: towpath/v1
kind: Route
metadata: {name: orders}
spec: {streams: [erp.*], sink: crm}
---
apiVersion: towpath/v1
kind: Source
metadata: {name: erp}
spec: {agent: plant-1, adapter: file, config: {path: /srv/erp}, release: spool}
---
apiVersion: towpath/v1
kind: Sink
metadata: {name: crm}
spec: {agent: plant-1, adapter: sqlite, config: {path: /srv/crm.db}}
";
