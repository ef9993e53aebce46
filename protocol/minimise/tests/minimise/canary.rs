//! Random streams and policies: a value that may not be written stands nowhere in the bytes that are.
//!
//! Every value of every field of every row is one that is not found by chance. After minimisation the rows are written as
//! they would be stored, and every value is looked for in all of the bytes.

use std::sync::Arc;

use arrow_array::{
    Array, ArrayRef, BinaryArray, BooleanArray, Decimal128Array, Float64Array, Int64Array, RecordBatch,
    StringArray, TimestampMicrosecondArray, UInt64Array,
};
use arrow_ipc::writer::StreamWriter;
use proptest::prelude::*;
use towpath_record::{Column, ColumnType, Op, StreamSchema};

use crate::scene::{batch, before_of, minimiser, schema, stream, structs};

const OPS: [Op; 5] = [Op::Create, Op::Update, Op::Delete, Op::Read, Op::Truncate];
const TYPES: [ColumnType; 7] = [
    ColumnType::String,
    ColumnType::Binary,
    ColumnType::Int64,
    ColumnType::Uint64,
    ColumnType::Float64,
    ColumnType::Decimal { precision: 38, scale: 4 },
    ColumnType::Timestamp,
];

type Chosen = fn(&ColumnType) -> bool;

/// The words for treatments, and which types they can be chosen for.
const FATES: [(&str, Chosen); 9] = [
    ("allow", |_| true),
    ("drop", |_| true),
    ("{mask: all}", |_| true),
    ("{hash: {key: '${env:KEY}'}}", |_| true),
    ("{tokenise: {key: '${env:KEY}'}}", |of| *of == ColumnType::String),
    ("{mask: domain}", |of| *of == ColumnType::String),
    ("{mask: {keep_last: 4}}", |of| matches!(of, ColumnType::String | ColumnType::Int64)),
    ("{bucket: {decimals: 1}}", |of| matches!(of, ColumnType::Float64 | ColumnType::Decimal { .. })),
    ("{bucket: year}", |of| *of == ColumnType::Timestamp),
];

const ALLOW: usize = 0;

#[derive(Clone, Debug)]
struct Field {
    of: ColumnType,
    fate: usize,
    nullable: bool,
}

#[derive(Clone, Copy, Debug)]
struct Row {
    op: usize,
    passes: bool,
    /// Whether there is a row before, and whether that one passes.
    before: Option<bool>,
}

#[derive(Clone, Debug)]
struct Scene {
    fields: Vec<Field>,
    rows: Vec<Row>,
    keyed: bool,
    filtered: bool,
}

fn field() -> impl Strategy<Value = Field> {
    (proptest::sample::select(&TYPES[..]), any::<bool>()).prop_flat_map(|(of, nullable)| {
        let fates: Vec<_> = (0..FATES.len()).filter(|fate| FATES[*fate].1(&of)).collect();
        proptest::sample::select(fates).prop_map(move |fate| Field { of: of.clone(), fate, nullable })
    })
}

fn scene() -> impl Strategy<Value = Scene> {
    let row = (0..OPS.len(), any::<bool>(), proptest::option::of(any::<bool>()));
    let row = row.prop_map(|(op, passes, before)| Row { op, passes, before });
    let rows = proptest::collection::vec(row, 1..6);
    (proptest::collection::vec(field(), 1..6), rows, any::<bool>(), any::<bool>())
        .prop_map(|(fields, rows, keyed, filtered)| Scene { fields, rows, keyed, filtered })
}

/// The number of a value: of the row as it is (0) or was (1), of this row and field. All eight bytes of it are telling, and
/// it is no multiple of anything that values are rounded to.
fn number(version: usize, row: usize, field: usize) -> i64 {
    0x0039_5a7b_1d00_0001 + (version as i64 * 0x10_0001) + (row as i64 * 0x1003) + (field as i64 * 0x31)
}

fn word(version: usize, row: usize, field: usize) -> String {
    format!("canary-{version}-{row}-{field}@no domain")
}

/// The values of a field, and for each the bytes by which it would be found.
fn values(field: &Field, at: usize, version: usize, rows: usize) -> (ArrayRef, Vec<Vec<u8>>) {
    let numbers: Vec<_> = (0..rows).map(|row| number(version, row, at)).collect();
    let words: Vec<_> = (0..rows).map(|row| word(version, row, at)).collect();
    let told: Vec<Vec<u8>> = numbers.iter().map(|number| number.to_le_bytes().to_vec()).collect();
    let of_words = || words.iter().map(|word| word.clone().into_bytes()).collect();
    match &field.of {
        ColumnType::String => (Arc::new(StringArray::from(words.clone())), of_words()),
        ColumnType::Binary => (Arc::new(BinaryArray::from_iter_values(&words)), of_words()),
        ColumnType::Int64 => (Arc::new(Int64Array::from(numbers)), told),
        ColumnType::Uint64 => {
            (Arc::new(UInt64Array::from_iter_values(numbers.iter().map(|n| n.unsigned_abs()))), told)
        }
        ColumnType::Float64 => {
            let floats: Vec<_> =
                numbers.iter().map(|number| (number % 1_000_003) as f64 + 0.123_456).collect();
            let told = floats.iter().map(|float| float.to_le_bytes().to_vec()).collect();
            (Arc::new(Float64Array::from(floats)), told)
        }
        ColumnType::Decimal { precision, scale } => {
            let digits = Decimal128Array::from_iter_values(numbers.iter().map(|number| i128::from(*number)));
            (Arc::new(digits.with_precision_and_scale(*precision, scale.cast_signed()).unwrap()), told)
        }
        ColumnType::Timestamp => {
            (Arc::new(TimestampMicrosecondArray::from(numbers).with_timezone("UTC")), told)
        }
        other => panic!("{other} is not tried here"),
    }
}

impl Scene {
    fn policy(&self) -> String {
        let fates = self.fields.iter().enumerate().map(|(at, field)| {
            let fate = FATES[if self.is_key(at) && field.fate > 1 { 3 } else { field.fate }].0;
            (at, fate)
        });
        let (classify, rules): (Vec<_>, Vec<_>) = fates
            .map(|(at, fate)| {
                (
                    format!("{{fields: [f{at}], classes: [own.f{at}]}}"),
                    format!("{{classes: [own.f{at}], then: {fate}}}"),
                )
            })
            .unzip();
        let filter = if self.filtered { ", filter: row.pass" } else { "" };
        format!(
            "{{streams: ['**'], classify: [{{fields: [pass], classes: []}}, {}], rules: [{}]{filter}}}",
            classify.join(", "),
            rules.join(", ")
        )
    }

    /// Of a stream with a key the first field is the key, unless it is dropped.
    fn is_key(&self, at: usize) -> bool {
        self.keyed && at == 0 && self.fields[0].fate != 1
    }

    fn rows(&self) -> (StreamSchema, RecordBatch, Vec<(bool, Vec<u8>)>) {
        let column = |(at, field): (usize, &Field)| Column {
            nullable: field.nullable,
            ..Column::nullable(format!("f{at}"), field.of.clone())
        };
        let mut columns: Vec<_> = self.fields.iter().enumerate().map(column).collect();
        columns.push(Column::nullable("pass", ColumnType::Boolean));
        let members = columns.clone();
        columns.push(before_of(members.clone()));
        let (mut now, mut before, mut canaries) = (Vec::new(), Vec::new(), Vec::new());
        for (at, field) in self.fields.iter().enumerate() {
            for (version, into) in [&mut now, &mut before].into_iter().enumerate() {
                let (column, told) = values(field, at, version, self.rows.len());
                into.push(column);
                let told = told.into_iter().enumerate();
                canaries.extend(told.map(|(row, told)| (self.may_be_told(version, row, at), told)));
            }
        }
        let passes = |is: fn(&Row) -> bool| -> ArrayRef {
            Arc::new(self.rows.iter().map(|row| Some(is(row))).collect::<BooleanArray>())
        };
        now.push(passes(|row| row.passes));
        before.push(passes(|row| row.before == Some(true)));
        let valid: Vec<_> = self.rows.iter().map(|row| row.before.is_some()).collect();
        now.push(structs(&members, before, &valid));
        let ops: Vec<_> = self.rows.iter().map(|row| OPS[row.op]).collect();
        let key: &[&str] = if self.is_key(0) { &["f0"] } else { &[] };
        let given = schema(columns, key);
        let rows = batch(&given, &ops, now);
        (given, rows, canaries)
    }

    /// Whether a value may stand in what is written.
    fn may_be_told(&self, version: usize, row: usize, field: usize) -> bool {
        let Row { op, passes, before } = self.rows[row];
        let is_whole = !self.filtered || (passes && !matches!(OPS[op], Op::Delete | Op::Truncate));
        let is_left_whole = !self.filtered || passes || matches!(OPS[op], Op::Delete | Op::Truncate);
        let stands = match version {
            0 => is_whole || self.is_key(field),
            // What an absent struct hides is not told by any policy, but an allowed field may well stand there.
            _ => !self.filtered || (is_left_whole && before == Some(true)),
        };
        stands && self.fields[field].fate == ALLOW
    }
}

fn written(rows: &RecordBatch) -> Vec<u8> {
    let mut writer = StreamWriter::try_new(Vec::new(), rows.schema_ref()).unwrap();
    writer.write(rows).unwrap();
    writer.into_inner().unwrap()
}

fn stands_in(bytes: &[u8], canary: &[u8]) -> bool {
    bytes.windows(canary.len()).any(|window| window == canary)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn a_value_that_may_not_be_written_is_nowhere_in_what_is(scene in scene()) {
        let (given, rows, canaries) = scene.rows();
        let all = written(&rows);
        prop_assert!(canaries.iter().all(|(_, canary)| stands_in(&all, canary)), "every value can be found");
        let (left, rows) = minimiser(&[&scene.policy()]).records(&stream(), given, rows).unwrap();
        prop_assert_eq!(rows.schema_ref(), left.arrow());
        rows.columns().iter().for_each(|column| column.to_data().validate_full().unwrap());
        let bytes = written(&rows);
        for (may_stand, canary) in canaries {
            prop_assert!(may_stand || !stands_in(&bytes, &canary), "{:?} is written", canary);
        }
    }
}
