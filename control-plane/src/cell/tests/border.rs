//! What the policies forbid does not come over the border, whoever brings it.

use std::path::Path;
use std::sync::Arc;

use arrow_array::{
    ArrayRef, RecordBatch, StringArray, TimestampMicrosecondArray, UInt8Array, new_null_array,
};
use arrow_schema::DataType;
use towpath_record::dead_letter::{self, DeadLetter};
use towpath_record::{Column, ColumnType, FrameDraft, FrameKind, Op, Position, StreamName, StreamSchema};

use super::hand::Hand;
use super::*;
use crate::service::plane::{Plane, PlaneError};

/// A value that no policy lets in. It is not random, and long enough not to come about by chance.
const CANARY: &str = "ada.lovelace.canary.7391@example.com";

const CUSTOMERS: &str = r#"
apiVersion: towpath/v1
kind: Policy
metadata: {name: customers}
spec:
  streams: [erp.**]
  classify:
    - {fields: [email], classes: [pii.email]}
    - {fields: [id], classes: []}
  rules:
    - {classes: ["pii.*"], then: drop}
"#;

fn id() -> Column {
    Column::required("id", ColumnType::String)
}

fn email() -> Column {
    Column::nullable("email", ColumnType::String)
}

fn schema(columns: Vec<Column>) -> StreamSchema {
    StreamSchema::new(columns, vec!["id".to_owned()]).unwrap()
}

/// One row, in which every field has the value of its name in the list.
fn row(schema: &StreamSchema, values: &[(&str, &str)]) -> RecordBatch {
    let column = |field: &arrow_schema::Field| -> ArrayRef {
        match field.name().as_str() {
            "_op" => Arc::new(UInt8Array::from(vec![Op::Create.code()])),
            "_ts" => Arc::new(TimestampMicrosecondArray::from(vec![0]).with_timezone("UTC")),
            "_tx" => new_null_array(&DataType::Utf8, 1),
            name => {
                let value = values.iter().find(|(field, _)| *field == name).map(|(_, value)| *value);
                Arc::new(StringArray::from(vec![value]))
            }
        }
    };
    let columns = schema.arrow().fields().iter().map(|field| column(field)).collect();
    RecordBatch::try_new(schema.arrow().clone(), columns).unwrap()
}

/// A cell whose agent is there, with a policy or two.
struct Scene {
    bench: Bench,
    lane: LaneId,
    hand: Hand,
    agent: AgentId,
}

impl Scene {
    async fn with(policies: &str) -> Self {
        let (fixture, agent) = Fixture::furnished().await;
        let source = fixture.catalog.state().sources.values().next().unwrap().id;
        let bench = Bench::new(fixture);
        let scene_lane = LaneId { source, region: RegionName::main() };
        let hand = Hand::greeted(&bench, agent).await;
        let scene = Self { bench, lane: scene_lane, hand, agent };
        scene.apply(policies).await;
        scene
    }

    async fn apply(&self, text: &str) {
        let report = self.bench.fixture.post("/v1/apply", text).await.json();
        let results = report["results"].as_array().unwrap();
        assert!(results.iter().all(|result| result["outcome"] != "refused"), "{report}");
    }

    /// Opens the lane anew and sends what comes next in it. Returns how it was refused, if it was.
    async fn brings(
        &mut self,
        kind: FrameKind,
        schema: &StreamSchema,
        batch: &RecordBatch,
    ) -> Option<towpath_proto::link::LaneRefused> {
        let (epoch, seq, prev_crc) = self.hand.open(&self.lane).await;
        let frame = FrameDraft {
            lane: self.lane.clone(),
            epoch,
            seq: seq + 1,
            prev_crc,
            stream: StreamName::new("erp.orders").unwrap(),
            kind,
            position: Position::default(),
            marks: Vec::new(),
            captured_at_us: 1,
            transaction_continues: false,
        };
        let frame = frame.seal(schema, batch).unwrap();
        let refused = self.hand.send(schema, frame).await;
        if refused.is_none() {
            self.hand.close();
        }
        refused
    }

    async fn brings_row(
        &mut self,
        columns: Vec<Column>,
        values: &[(&str, &str)],
    ) -> Option<towpath_proto::link::LaneRefused> {
        let schema = schema(columns);
        let batch = row(&schema, values);
        self.brings(FrameKind::Records, &schema, &batch).await
    }

    /// Files of the control plane in which the canary stands.
    fn files_with_canary(&self) -> Vec<String> {
        let mut found = Vec::new();
        for dir in [self.bench.dir.path(), self.bench.fixture.dir.path()] {
            search(dir, &mut found);
        }
        found
    }

    fn source_flow(&self) -> crate::service::plane::SourceFlow {
        // A look is good for a moment; what is asked here is how it is now.
        std::thread::sleep(Duration::from_millis(250));
        self.bench.cell.snapshot().sources.get(&self.lane.source).cloned().unwrap_or_default()
    }
}

fn search(dir: &Path, found: &mut Vec<String>) {
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            search(&path, found);
        } else if std::fs::read(&path).unwrap().windows(CANARY.len()).any(|bytes| bytes == CANARY.as_bytes())
        {
            found.push(path.display().to_string());
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_frame_with_a_forbidden_field_is_refused_before_any_file_has_a_byte_of_it() {
    let mut scene = Scene::with(CUSTOMERS).await;
    let forbidden = [("id", "1"), ("email", CANARY)];

    let refused = scene.brings_row(vec![id(), email()], &forbidden).await.expect("it is refused");
    assert_eq!(refused.fault(), LaneFault::Policy);
    for part in ["`email`", "erp.orders", "region main", "`drop`", "rule 1 of policy customers"] {
        assert!(refused.reason.contains(part), "{part}: {}", refused.reason);
    }
    assert!(
        refused.remedy.contains("towpath policy explain erp.orders.email --region main"),
        "{}",
        refused.remedy
    );
    assert_eq!(scene.files_with_canary(), Vec::<String>::new());
    assert_eq!(scene.bench.cell.log().status().next, LogOffset(1), "the log is as it was");

    let event = scene.bench.denied().await;
    assert_eq!(event["lacking"], "conformity with policy");
    assert_eq!(event["on"], "field email of stream erp.orders, from source erp");
    assert_eq!(event["actor"]["agent"], scene.agent.to_string());
    let flow = scene.source_flow();
    assert_eq!(flow.refused_frames, 1);
    assert!(flow.trouble.unwrap().message.contains("rule 1 of policy customers"));

    // The agent mends its ways, on the same lane.
    assert_eq!(scene.brings_row(vec![id()], &[("id", "1")]).await, None);
    let flow = scene.source_flow();
    assert_eq!((flow.refused_frames, flow.trouble), (1, None));
    assert_eq!(scene.files_with_canary(), Vec::<String>::new());

    // An admin lets it in. That it is found now shows that it would have been found before.
    scene.apply(&CUSTOMERS.replace("then: drop", "then: allow")).await;
    assert_eq!(scene.brings_row(vec![id(), email()], &forbidden).await, None);
    assert_ne!(scene.files_with_canary(), Vec::<String>::new());

    // And forbids it again, at once.
    scene.apply(CUSTOMERS).await;
    assert!(scene.brings_row(vec![id(), email()], &[("id", "2"), ("email", CANARY)]).await.is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_field_that_nobody_knows_or_that_only_says_another_treatment_is_refused() {
    let mut scene = Scene::with(&CUSTOMERS.replace("then: drop", "then: {mask: domain}")).await;
    let masked = Column { treatment: Some("mask domain".into()), class: Some("pii.email".into()), ..email() };
    assert_eq!(
        scene.brings_row(vec![id(), masked.clone()], &[("id", "1"), ("email", "***@example.com")]).await,
        None
    );
    let other = Column { treatment: Some("mask keep_last 4".into()), ..masked };
    assert!(
        scene
            .brings_row(vec![id(), other], &[("id", "1")])
            .await
            .unwrap()
            .reason
            .contains("mask keep_last 4")
    );
    let new = Column::nullable("shoe_size", ColumnType::String);
    let refused = scene.brings_row(vec![id(), new], &[("id", "1")]).await.unwrap();
    assert!(
        refused.reason.contains("`shoe_size`") && refused.reason.contains("nobody said"),
        "{}",
        refused.reason
    );
    let posing = Column { class: Some(String::new()), ..Column::nullable("shoe_size", ColumnType::String) };
    let refused = scene.brings_row(vec![id(), posing], &[("id", "1")]).await.unwrap();
    assert!(
        refused.reason.contains("nobody said"),
        "an empty class makes no field known: {}",
        refused.reason
    );
    let before = Column::nullable("_before", ColumnType::Struct(vec![email()]));
    let schema = schema(vec![id(), before]);
    let batch = RecordBatch::new_empty(schema.arrow().clone());
    let refused = scene.brings(FrameKind::Records, &schema, &batch).await.unwrap();
    assert!(
        refused.reason.contains("`email`"),
        "the row as it was before a change is no way around: {}",
        refused.reason
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn dead_letters_come_without_the_input_and_nothing_else_comes_in_their_name() {
    let mut scene = Scene::with(CUSTOMERS).await;
    let letter = |raw: &str| {
        let letter = DeadLetter {
            resource: "orders.csv".into(),
            line: 7,
            column: None,
            reason: "it has too few fields".into(),
            raw: raw.as_bytes().to_vec(),
            raw_truncated: false,
        };
        dead_letter::to_batch(&[letter], 1)
    };
    let letters = dead_letter::schema();
    let refused = scene.brings(FrameKind::DeadLetters, letters, &letter(CANARY)).await.unwrap();
    assert_eq!(refused.fault(), LaneFault::Policy);
    assert!(refused.reason.contains("dead letters of stream erp.orders"), "{}", refused.reason);
    let records = schema(vec![id(), email()]);
    let batch = row(&records, &[("id", "1"), ("email", CANARY)]);
    for kind in [FrameKind::DeadLetters, FrameKind::Progress, FrameKind::Replay] {
        let refused = scene.brings(kind, &records, &batch).await;
        assert_eq!(refused.map(|refused| refused.fault()), Some(LaneFault::Policy), "{kind:?}");
    }
    assert_eq!(scene.files_with_canary(), Vec::<String>::new());
    assert_eq!(scene.brings(FrameKind::DeadLetters, letters, &letter("")).await, None);

    scene.bench.fixture.delete("/v1/policies/customers").await;
    assert_eq!(scene.brings(FrameKind::DeadLetters, letters, &letter(CANARY)).await, None);
    assert_ne!(scene.files_with_canary(), Vec::<String>::new(), "no policy covers it any more");
}

/// The same classes; persons may be known at home.
const AT_HOME: &str = r#"
apiVersion: towpath/v1
kind: Policy
metadata: {name: customers}
spec:
  streams: [erp.**]
  classify:
    - {fields: [email], classes: [pii.email]}
    - {fields: [id], classes: []}
  rules:
    - {classes: ["pii.*"], regions: [main], then: allow}
    - {classes: ["pii.*"], then: drop}
"#;

const LAKE: &str = r"
apiVersion: towpath/v1
kind: Sink
metadata: {name: lake}
spec: {agent: cloud-1, adapter: sqlite, config: {path: /srv/lake.db}}
---
apiVersion: towpath/v1
kind: Route
metadata: {name: to-lake}
spec: {streams: ['erp.**'], sink: lake, purpose: analytics}
";

impl Scene {
    /// With a sink in another region and a route to it, which is run. Returns the session of the sink's agent.
    async fn with_lake(policies: &str) -> (Self, Hand, AbortOnDropHandle<()>) {
        let scene = Self::with(policies).await;
        scene
            .apply("apiVersion: towpath/v1\nkind: Site\nmetadata: {name: cloud}\nspec: {region: us}\n")
            .await;
        let fixture = &scene.bench.fixture;
        let created = fixture.post("/v1/tokens", r#"{"site": "cloud"}"#).await.json();
        let secret = SecretHash::of(created["token"].as_str().unwrap());
        let agent = fixture.catalog.enrol(&secret, &name("cloud-1"), "0.1.0").unwrap().agent;
        scene.apply(LAKE).await;
        let cell = scene.bench.cell.clone();
        let follower = AbortOnDropHandle::new(tokio::spawn(async move { cell.follow_catalog().await }));
        let hand = Hand::greeted(&scene.bench, agent).await;
        (scene, hand, follower)
    }

    fn route(&self) -> crate::service::plane::RouteFlow {
        let id = self.bench.fixture.catalog.state().routes.get(&name("to-lake")).unwrap().id;
        self.bench.cell.snapshot().routes.get(&id).cloned().unwrap_or_default()
    }

    async fn brings_three(&mut self) {
        for columns in [vec![id()], vec![id(), email()], vec![id()]] {
            assert_eq!(self.brings_row(columns, &[("id", "1"), ("email", CANARY)]).await, None);
        }
    }
}

fn seqs(hand: &Hand) -> Vec<u64> {
    hand.delivered().map(|frame| frame.header().seq).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_route_stops_before_what_may_not_stand_where_its_sink_does_and_goes_on_once_it_may() {
    let (mut scene, mut lake, _follower) = Scene::with_lake(AT_HOME).await;
    scene.brings_three().await;
    let bound = lake.bound().await;
    lake.delivery(&bound).await;
    lake.until(|| scene.route().stopped).await;
    let trouble = scene.route().trouble.unwrap();
    for part in ["route to-lake", "`email`", "region us", "rule 2 of policy customers"] {
        assert!(trouble.message.contains(part), "{part}: {}", trouble.message);
    }
    let explain = "towpath policy explain erp.orders.email --region us --purpose analytics";
    assert!(trouble.remedy.contains(explain), "{}", trouble.remedy);
    assert_eq!(seqs(&lake), [1], "nothing of it goes out, and nothing goes past it");

    scene.apply(&AT_HOME.replace("regions: [main]", "regions: [main, us]")).await;
    let bound = lake.bound().await;
    lake.delivery(&bound).await;
    lake.delivery(&bound).await;
    assert_eq!(seqs(&lake), [1, 2, 3], "nothing was left out");
    lake.until(|| !scene.route().stopped).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_rule_keeps_from_a_purpose_stays_open_to_others() {
    let scene =
        Scene::with(&AT_HOME.replace("regions: [main], then: allow", "purposes: [billing], then: allow"))
            .await;
    let log = scene.bench.cell.log().clone();
    let schema = schema(vec![id(), email()]);
    log.put_schema(schema.clone()).await.unwrap();
    let draft = FrameDraft {
        lane: scene.lane.clone(),
        epoch: 1,
        seq: 1,
        prev_crc: 0,
        stream: StreamName::new("erp.orders").unwrap(),
        kind: FrameKind::Records,
        position: Position::default(),
        marks: Vec::new(),
        captured_at_us: 1,
        transaction_continues: false,
    };
    let frame = draft.seal(&schema, &row(&schema, &[("id", "1")])).unwrap();
    let judge = |purpose: Option<&str>| {
        let (in_force, purpose) = (scene.bench.cell.in_force().clone(), purpose.map(str::to_owned));
        Checkpoint::before_sink(in_force, log.clone(), RegionName::main(), purpose).judge(&frame)
    };
    assert_eq!(judge(Some("billing")), Ok(()));
    for other in [None, Some("marketing")] {
        assert!(judge(other).unwrap_err().reason.contains("`email`"), "{other:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_letter_is_not_written_to_the_log_again_once_the_policies_forbid_it() {
    let allowed = AT_HOME.replace("regions: [main]", "regions: [main, us]");
    let (mut scene, mut lake, _follower) = Scene::with_lake(&allowed).await;
    scene.brings_three().await;
    let bound = lake.bound().await;
    lake.delivery(&bound).await;
    lake.rejects_next(&bound).await;
    lake.until(|| scene.bench.cell.deliveries().letters(|_| true, 1).len() == 1).await;
    let letter = scene.bench.cell.deliveries().letters(|_| true, 1).remove(0).id;

    scene.apply(CUSTOMERS).await;
    let next = scene.bench.cell.log().status().next;
    let refused = scene.bench.cell.replay_letter(&letter).await.unwrap_err();
    assert!(matches!(&refused, PlaneError::Conflict(why) if why.contains("`email`")), "{refused}");
    assert_eq!(scene.bench.cell.log().status().next, next);

    scene.apply(&allowed).await;
    assert!(scene.bench.cell.replay_letter(&letter).await.unwrap().replayed);
}
