//! Rows that are woven into what a source emits.

use arrow_array::Int32Array;
use async_trait::async_trait;
use towpath_adapter_api::{BatchOutput, WhichRows};
use towpath_record::{Column, ColumnType, ResourceName};

use super::*;

/// A table of one number that is also its key, and a word.
struct Shop(Vec<i32>);

#[async_trait]
impl TableReader for Shop {
    async fn read(&mut self, reading: &Reading, output: BatchOutput) -> Result<(), AdapterError> {
        let rows: [ArrayRef; 2] = [
            Arc::new(Int32Array::from(self.0.clone())),
            Arc::new(StringArray::from_iter_values(self.0.iter().map(|id| format!("read {id}")))),
        ];
        output.send(RecordBatch::try_new(reading.arrow(), rows.to_vec()).unwrap()).await?;
        Ok(())
    }
}

fn schema() -> StreamSchema {
    let columns =
        vec![Column::required("id", ColumnType::Int32), Column::required("word", ColumnType::String)];
    StreamSchema::new(columns, vec!["id".to_owned()]).unwrap()
}

fn owner() -> ResourceName {
    ResourceName::new("erp").unwrap()
}

fn stream(name: &str) -> StreamName {
    StreamName::new(name).unwrap()
}

/// An order for these keys at a table that has those rows.
fn order(wanted: &[i32], rows: &[i32]) -> (Weaving, oneshot::Receiver<Result<Resent, AdapterError>>) {
    let keys = Keys::of(&schema()).unwrap();
    let texts: Vec<_> = wanted.iter().map(|id| format!("{{\"id\":{id}}}")).collect();
    let which = WhichRows::Keys(keys.batch(&texts).unwrap());
    let (done, outcome) = oneshot::channel();
    let reading = Reading { owner: owner(), stream: stream("shop"), schema: schema(), rows: which };
    let reader = Box::new(Shop(rows.to_vec()));
    (Weaving::begin(ResendOrder { reader, reading, keys, texts, done }), outcome)
}

/// What a source emits of these rows.
fn emission(name: &str, op: Op, ids: &[i32]) -> Emission {
    let rows: [ArrayRef; 2] =
        [Arc::new(Int32Array::from(ids.to_vec())), Arc::new(StringArray::from(vec!["changed"; ids.len()]))];
    let rows = RecordBatch::try_new(
        Reading { owner: owner(), stream: stream("x"), schema: schema(), rows: WhichRows::All }.arrow(),
        rows.to_vec(),
    );
    Emission {
        stream: stream(name),
        rows: Rows::Records { schema: schema(), batch: record(&schema(), op, 0, &rows.unwrap()).unwrap() },
        position: Position::default(),
        marks: Vec::new(),
        transaction_continues: false,
    }
}

/// The operation and the keys of each emission.
fn shape(emissions: &[Emission]) -> Vec<(u8, Vec<i32>)> {
    let shape = |emission: &Emission| {
        let Rows::Records { batch, .. } = &emission.rows else { panic!("not records") };
        let ops = batch.column(0).as_any().downcast_ref::<UInt8Array>().unwrap();
        let ids = batch.column_by_name("id").unwrap().as_any().downcast_ref::<Int32Array>().unwrap();
        (ops.value(0), ids.values().to_vec())
    };
    emissions.iter().map(shape).collect()
}

async fn woven(mut weaving: Weaving) -> Woven {
    weaving.read().await;
    weaving.finish(&Position(bytes::Bytes::from_static(b"here")), 5)
}

#[tokio::test]
async fn what_is_there_is_sent_as_read_and_what_is_not_as_deleted_at_the_place_of_the_source() {
    let (weaving, outcome) = order(&[1, 2, 3], &[1, 3]);
    let mut woven = woven(weaving).await;
    let emissions = woven.take_emissions();
    assert_eq!(shape(&emissions), [(Op::Read.code(), vec![1, 3]), (Op::Delete.code(), vec![2])]);
    assert!(emissions.iter().all(|emission| emission.position.0.as_ref() == b"here"));
    woven.spooled();
    assert_eq!(outcome.await.unwrap().unwrap(), Resent { present: 2, deleted: 1, overtaken: 0 });
}

#[tokio::test]
async fn a_row_that_changes_while_it_is_read_is_left_to_the_change() {
    let (mut weaving, outcome) = order(&[1, 2, 3], &[1, 3]);
    weaving.watch(&emission("shop", Op::Update, &[1, 9]));
    weaving.watch(&emission("shop", Op::Delete, &[2]));
    weaving.watch(&emission("other", Op::Update, &[3]));
    let mut woven = woven(weaving).await;
    assert_eq!(shape(&woven.take_emissions()), [(Op::Read.code(), vec![3])]);
    woven.spooled();
    assert_eq!(outcome.await.unwrap().unwrap(), Resent { present: 1, deleted: 0, overtaken: 2 });
}

#[tokio::test]
async fn after_a_truncation_nothing_that_was_read_counts() {
    let (mut weaving, _) = order(&[1, 2], &[1]);
    weaving.watch(&emission("shop", Op::Truncate, &[0]));
    assert!(woven(weaving).await.take_emissions().is_empty());
}

#[tokio::test]
async fn a_reading_that_fails_is_told_and_sends_nothing() {
    struct Closed;
    #[async_trait]
    impl TableReader for Closed {
        async fn read(&mut self, _: &Reading, _: BatchOutput) -> Result<(), AdapterError> {
            Err(AdapterError::new(ErrorKind::Unavailable, "shop", "closed"))
        }
    }
    let keys = Keys::of(&schema()).unwrap();
    let texts = vec!["{\"id\":1}".to_owned()];
    let rows = WhichRows::Keys(keys.batch(&texts).unwrap());
    let (done, outcome) = oneshot::channel();
    let reading = Reading { owner: owner(), stream: stream("shop"), schema: schema(), rows };
    let mut woven =
        woven(Weaving::begin(ResendOrder { reader: Box::new(Closed), reading, keys, texts, done })).await;
    assert!(woven.take_emissions().is_empty());
    woven.spooled();
    assert_eq!(outcome.await.unwrap().unwrap_err().message, "closed");
}
