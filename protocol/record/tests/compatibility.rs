//! The rules of compatibility, held against what a cast really does.

#![allow(clippy::unwrap_used, reason = "a test that cannot set up its scene may panic")]

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{
    Date32Type, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type,
    TimestampMicrosecondType, UInt8Type, UInt16Type, UInt32Type, UInt64Type,
};
use arrow_array::{
    Array, ArrayRef, BinaryArray, BooleanArray, Decimal128Array, Int64Array, ListArray, PrimitiveArray,
    RecordBatch, StringArray, StructArray, TimestampMicrosecondArray, UInt8Array, new_null_array,
};
use arrow_schema::DataType;
use proptest::prelude::*;
use towpath_record::compatibility::{Fit, compare, fit};
use towpath_record::schema::Op;
use towpath_record::{CastPlan, Column, ColumnType, Compatibility, StreamSchema};

/// How many values of a type are hard.
const HARD: usize = 4;
/// Behind those stands one absence for each level of nesting, so that none hides another.
const LEVELS: usize = 3;
const VALUES: usize = HARD + LEVELS;

/// The hardest values of a type, the same number for each.
fn extremes(column_type: &ColumnType, level: usize) -> ArrayRef {
    use ColumnType as T;
    macro_rules! whole {
        ($kind:ty, $native:ty) => {
            Arc::new(PrimitiveArray::<$kind>::from_iter_values([<$native>::MIN, <$native>::MAX, 0, 1]))
        };
    }
    let hard: ArrayRef = match column_type {
        T::Boolean => Arc::new(BooleanArray::from(vec![true, false, true, false])),
        T::Int8 => whole!(Int8Type, i8),
        T::Int16 => whole!(Int16Type, i16),
        T::Int32 => whole!(Int32Type, i32),
        T::Int64 => whole!(Int64Type, i64),
        T::Uint8 => whole!(UInt8Type, u8),
        T::Uint16 => whole!(UInt16Type, u16),
        T::Uint32 => whole!(UInt32Type, u32),
        T::Uint64 => whole!(UInt64Type, u64),
        T::Float32 => {
            let values = [f32::MAX, f32::MIN_POSITIVE, 0.5, f32::NAN];
            Arc::new(PrimitiveArray::<Float32Type>::from_iter_values(values))
        }
        T::Float64 => {
            let values = [f64::MAX, f64::MIN_POSITIVE, 0.1, f64::NAN];
            Arc::new(PrimitiveArray::<Float64Type>::from_iter_values(values))
        }
        T::Decimal { precision, scale } => {
            let most = 10i128.pow(u32::from(*precision)) - 1;
            let values = Decimal128Array::from_iter_values([most, -most, 0, 1]);
            Arc::new(values.with_precision_and_scale(*precision, scale.cast_signed()).unwrap())
        }
        T::String => Arc::new(StringArray::from(vec!["", "zwölf", "12", "true"])),
        T::Binary => Arc::new(BinaryArray::from(vec![&b""[..], b"a", b"\xff", b"\0"])),
        T::Date => Arc::new(PrimitiveArray::<Date32Type>::from_iter_values([i32::MIN, i32::MAX, 0, 1])),
        T::Timestamp => Arc::new(
            PrimitiveArray::<TimestampMicrosecondType>::from_iter_values([0, 1, -1, 1 << 50])
                .with_timezone("UTC"),
        ),
        T::LocalTimestamp => {
            Arc::new(PrimitiveArray::<TimestampMicrosecondType>::from_iter_values([0, 1, -1, 1 << 50]))
        }
        T::List(item) => {
            let field = Arc::new(item.to_arrow());
            let offsets = arrow_buffer::OffsetBuffer::from_lengths([1; VALUES]);
            return Arc::new(ListArray::new(field, offsets, with_absence(item, level + 1), None));
        }
        T::Struct(fields) => {
            let columns = fields.iter().map(|field| with_absence(field, level + 1)).collect();
            let fields = fields.iter().map(Column::to_arrow).collect();
            return Arc::new(StructArray::new(fields, columns, None));
        }
        other => new_null_array(&other.to_arrow(), HARD),
    };
    arrow_select::concat::concat(&[&hard, &hard.slice(0, LEVELS)]).unwrap()
}

/// The hardest values of a column: where it may, the one of its level is absent.
fn with_absence(column: &Column, level: usize) -> ArrayRef {
    let values = extremes(&column.column_type, level);
    if !column.nullable {
        return values;
    }
    let last: BooleanArray = (0..VALUES).map(|row| Some(row + 1 + level == VALUES)).collect();
    arrow_select::nullif::nullif(&values, &last).unwrap()
}

fn batch(schema: &StreamSchema, op: Op, columns: Vec<ArrayRef>) -> RecordBatch {
    let rows = columns.first().map_or(VALUES, |column| column.len());
    let mut all: Vec<ArrayRef> = vec![
        Arc::new(UInt8Array::from_value(op.code(), rows)),
        Arc::new(TimestampMicrosecondArray::from_value(0, rows).with_timezone("UTC")),
        new_null_array(&DataType::Utf8, rows),
    ];
    all.extend(columns);
    RecordBatch::try_new(schema.arrow().clone(), all).unwrap()
}

fn hardest(schema: &StreamSchema) -> RecordBatch {
    batch(schema, Op::Create, schema.columns().iter().map(|column| with_absence(column, 0)).collect())
}

fn schema(columns: Vec<Column>) -> StreamSchema {
    StreamSchema::new(columns, Vec::new()).unwrap()
}

fn leaf() -> impl Strategy<Value = ColumnType> {
    use ColumnType as T;
    let decimal = (1u8..=38)
        .prop_flat_map(|precision| (Just(precision), 0..=precision))
        .prop_map(|(precision, scale)| T::Decimal { precision, scale });
    let plain = prop::sample::select(vec![
        T::Boolean,
        T::Int8,
        T::Int16,
        T::Int32,
        T::Int64,
        T::Uint8,
        T::Uint16,
        T::Uint32,
        T::Uint64,
        T::Float32,
        T::Float64,
        T::String,
        T::Binary,
        T::Date,
        T::LocalTimestamp,
        T::Timestamp,
    ]);
    prop_oneof![3 => plain, 1 => decimal]
}

fn column_type() -> impl Strategy<Value = ColumnType> {
    leaf().prop_recursive(2, 6, 2, |inner| {
        let column = |name: &'static str| {
            (inner.clone(), any::<bool>()).prop_map(move |(column_type, nullable)| Column {
                nullable,
                ..Column::nullable(name, column_type)
            })
        };
        prop_oneof![
            column("item").prop_map(|item| ColumnType::List(Box::new(item))),
            (column("x"), column("y")).prop_map(|(x, y)| ColumnType::Struct(vec![x, y])),
            column("x").prop_map(|x| ColumnType::Struct(vec![x])),
        ]
    })
}

fn any_schema() -> impl Strategy<Value = StreamSchema> {
    let column = (column_type(), any::<bool>(), any::<bool>());
    prop::collection::vec(column, 3).prop_map(|columns| {
        let named = columns.into_iter().zip(["a", "b", "c"]);
        // The first is always there, so that no schema is empty.
        let kept = named.filter(|((_, _, there), name)| *there || *name == "a");
        let columns = kept.map(|((column_type, nullable, _), name)| Column {
            nullable,
            ..Column::nullable(name, column_type)
        });
        schema(columns.collect())
    })
}

/// Whether a value that is lost could be another kind of value in both forms, so that no rule tells which fit.
fn converts(from: &ColumnType, to: &ColumnType) -> bool {
    match (from, to) {
        (ColumnType::List(from), ColumnType::List(to)) => converts(&from.column_type, &to.column_type),
        (ColumnType::Struct(from), ColumnType::Struct(to)) => from.iter().any(|from| {
            let same = to.iter().find(|to| to.name == from.name);
            same.is_some_and(|to| converts(&from.column_type, &to.column_type))
        }),
        _ => fit(from, to) == Fit::Converts,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn a_schema_reads_another_exactly_if_its_hardest_rows_can_be_cast(old in any_schema(), new in any_schema()) {
        let is_another_kind = old.columns().iter().any(|old| {
            let same = new.columns().iter().find(|new| new.name == old.name);
            same.is_some_and(|new| converts(&old.column_type, &new.column_type))
        });
        prop_assume!(!is_another_kind);
        let cast = CastPlan::new(old.clone(), new.clone()).unwrap().cast(&hardest(&old)).unwrap();
        prop_assert_eq!(
            Compatibility::Backward.allows(&old, &new),
            cast.misfits.is_empty(),
            "{:?}\n{:?}", compare(&old, &new), cast.misfits
        );
        prop_assert_eq!(cast.batch.schema_ref(), new.arrow());
        prop_assert_eq!(cast.rows.len() + cast.misfits.len(), VALUES);
    }

    #[test]
    fn what_was_cast_and_is_still_there_comes_back_the_same(old in any_schema(), new in any_schema()) {
        let (there, back) =
            (CastPlan::new(old.clone(), new.clone()).unwrap(), CastPlan::new(new, old.clone()).unwrap());
        let before = hardest(&old);
        let cast = there.cast(&before).unwrap();
        let returned = back.cast(&cast.batch).unwrap();
        for (place, column) in old.columns().iter().enumerate() {
            let simple = !matches!(column.column_type, ColumnType::List(_) | ColumnType::Struct(_));
            let kept = there.to().columns().iter().find(|kept| kept.name == column.name);
            // Text has more than one form for a value, so only what was no text must come back.
            let Some(kept) = kept.filter(|_| simple && column.column_type != ColumnType::String) else { continue };
            for (row, at) in returned.rows.iter().enumerate() {
                let original = cast.rows[*at as usize] as usize;
                let (is, was) = (returned.batch.column(place + 3), before.column(place + 3));
                let (is, was) = (is.slice(row, 1), was.slice(original, 1));
                let no_number = |values: &ArrayRef| {
                    values.as_primitive_opt::<Float64Type>().is_some_and(|v| v.value(0).is_nan())
                        || values.as_primitive_opt::<Float32Type>().is_some_and(|v| v.value(0).is_nan())
                };
                let same = is.to_data() == was.to_data() || (no_number(&is) && no_number(&was));
                prop_assert!(same, "{:?} by way of {:?}: {:?} and {:?}", column, kept, is, was);
            }
        }
    }

    #[test]
    fn backward_one_way_is_forward_the_other_and_full_is_both(a in any_schema(), b in any_schema()) {
        use Compatibility as C;
        prop_assert_eq!(C::Backward.allows(&a, &b), C::Forward.allows(&b, &a));
        prop_assert_eq!(C::Full.allows(&a, &b), C::Backward.allows(&a, &b) && C::Forward.allows(&a, &b));
        prop_assert!(C::None.allows(&a, &b) && C::Full.allows(&a, &a) && compare(&a, &a).is_empty());
    }
}

fn one(column: Column) -> StreamSchema {
    schema(vec![Column::nullable("a", ColumnType::Int64), column])
}

#[test]
fn each_kind_of_change_breaks_the_levels_that_are_documented() {
    use ColumnType as T;
    let plain = schema(vec![Column::nullable("a", T::Int64)]);
    let (optional, required) = (Column::nullable("b", T::Int32), Column::required("b", T::Int32));
    let wide = Column::nullable("b", T::Int64);
    let cases = [
        (plain.clone(), one(optional.clone()), true, true, "column `b` is new: int32"),
        (plain.clone(), one(required.clone()), false, true, "column `b` is new: int32, required"),
        (one(optional.clone()), plain.clone(), true, true, "column `b` is gone; it was int32"),
        (one(required.clone()), plain, true, false, "column `b` is gone; it was int32, required"),
        (one(optional.clone()), one(wide.clone()), true, false, "column `b` was widened from int32 to int64"),
        (one(wide), one(optional.clone()), false, true, "column `b` was narrowed from int64 to int32"),
        (one(optional.clone()), one(required.clone()), false, true, "column `b` must be present now"),
        (one(required), one(optional.clone()), true, false, "column `b` may be absent now"),
        (
            one(optional.clone()),
            one(Column::nullable("b", T::String)),
            false,
            false,
            "column `b` was retyped from int32 to string",
        ),
        (
            one(optional),
            StreamSchema::new(
                vec![Column::nullable("a", T::Int64), Column::nullable("b", T::Int32)],
                vec!["a".into()],
            )
            .unwrap(),
            false,
            false,
            "the key was none and is `a`",
        ),
    ];
    for (old, new, backward, forward, said) in cases {
        let changes = compare(&old, &new);
        assert_eq!(changes.len(), 1, "{said}");
        assert_eq!((changes[0].backward, changes[0].forward), (backward, forward), "{said}");
        assert_eq!(changes[0].to_string(), said);
    }
}

#[test]
fn a_renamed_column_is_one_that_is_gone_and_one_that_is_new() {
    let old = one(Column::nullable("b", ColumnType::Date));
    let new = one(Column::nullable("c", ColumnType::Date));
    let said: Vec<_> = compare(&old, &new).iter().map(ToString::to_string).collect();
    assert_eq!(said, ["column `b` is gone; it was date", "column `c` is new: date"]);
}

#[test]
fn a_value_that_does_not_fit_names_its_row_its_column_and_itself() {
    let old = schema(vec![Column::required("n", ColumnType::Int64)]);
    let new = schema(vec![Column::nullable("n", ColumnType::String)]);
    let texts = StringArray::from(vec![Some("7"), Some("many\u{1b}"), None, Some("1.5"), Some("-3")]);
    let rows = batch(&new, Op::Create, vec![Arc::new(texts)]);
    let cast = CastPlan::new(new, old).unwrap().cast(&rows).unwrap();
    assert_eq!(cast.rows, [0, 4]);
    assert_eq!(cast.batch.column(3).as_primitive::<Int64Type>(), &Int64Array::from(vec![7, -3]));
    let reasons: Vec<_> = cast.misfits.iter().map(|(row, reason)| format!("{row}: {reason}")).collect();
    assert_eq!(
        reasons,
        [
            r"1: column `n`: `many\u{1b}` is no int64",
            "2: column `n` is absent and must be present",
            "3: column `n`: `1.5` is no int64",
        ]
    );
}

#[test]
fn text_becomes_a_value_only_if_nothing_is_rounded_or_guessed() {
    use ColumnType as T;
    let cases: [(T, &[&str], &[&str]); 6] = [
        (T::Decimal { precision: 5, scale: 2 }, &["1.5", "-999.99", "1.500"], &["1.555", "1000", "1e2", "x"]),
        (T::Date, &["2026-01-31"], &["2026-01-31T10:00:00", "31.01.2026", "2026-02-30"]),
        (
            T::LocalTimestamp,
            &["2026-01-31T10:00:00.5"],
            &["2026-01-31T10:00:00Z", "2026-01-31T10:00:00+02:00", "soon"],
        ),
        (
            T::Timestamp,
            &["2026-01-31T10:00:00Z", "2026-01-31T10:00:00-05:00"],
            &["2026-01-31T10:00:00", "2026-01-31T10:00:00.1234567Z"],
        ),
        (T::Float32, &["0.5", "NaN", "inf"], &["1e39", "half"]),
        (T::Boolean, &["true", "false"], &["vielleicht"]),
    ];
    for (column_type, good, bad) in cases {
        let from = schema(vec![Column::nullable("a", T::String)]);
        let to = schema(vec![Column::nullable("a", column_type.clone())]);
        let texts: StringArray = good.iter().chain(bad).map(|text| Some(*text)).collect();
        let cast = CastPlan::new(from.clone(), to).unwrap();
        let cast = cast.cast(&batch(&from, Op::Create, vec![Arc::new(texts)])).unwrap();
        let fitting: Vec<_> = (0..good.len() as u32).collect();
        assert_eq!(cast.rows, fitting, "{column_type}: {:?}", cast.misfits);
    }
}

#[test]
fn a_deletion_is_cast_by_its_key_alone() {
    let keyed = |columns| StreamSchema::new(columns, vec!["id".into()]).unwrap();
    let id = Column::required("id", ColumnType::Int64);
    let old = keyed(vec![
        id.clone(),
        Column::required("n", ColumnType::Int64),
        Column::required("m", ColumnType::String),
    ]);
    let new = keyed(vec![id, Column::nullable("n", ColumnType::String)]);
    let columns = || -> Vec<ArrayRef> {
        vec![Arc::new(Int64Array::from(vec![1])), Arc::new(StringArray::from(vec!["no number"]))]
    };
    let plan = CastPlan::new(new.clone(), old).unwrap();
    assert_eq!(plan.cast(&batch(&new, Op::Update, columns())).unwrap().misfits.len(), 1);
    let deleted = plan.cast(&batch(&new, Op::Delete, columns())).unwrap();
    assert_eq!((deleted.misfits.len(), deleted.batch.num_rows()), (0, 1));
}

#[test]
fn rows_are_never_cast_to_another_key() {
    let columns = || vec![Column::required("a", ColumnType::Int64), Column::required("b", ColumnType::Int64)];
    let old = StreamSchema::new(columns(), vec!["a".into()]).unwrap();
    let new = StreamSchema::new(columns(), vec!["a".into(), "b".into()]).unwrap();
    let error = CastPlan::new(new, old).unwrap_err().to_string();
    assert_eq!(error, "the key was `a` and is `a`, `b`, so rows cannot be told apart as before");
}
