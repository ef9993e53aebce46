//! Rows that the control plane wants cast before the sink sees them, because their schema broke the route's rule.

use std::collections::BTreeMap;

use arrow_schema::ArrowError;
use towpath_adapter_api::Delivery;
use towpath_record::{CastError, CastPlan, CastRows, SchemaHash, SourceId, StreamName, StreamSchema};

use crate::link::RouteCast;

/// What is cast to what, as the binding of the route says.
pub(crate) struct Casts(BTreeMap<(SourceId, SchemaHash), BTreeMap<StreamName, StreamSchema>>);

/// Rows cannot be cast.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CastFailure {
    /// No row of the schema can become one of the other.
    #[error(transparent)]
    Plan(#[from] CastError),
    /// The rows are not what their schema says.
    #[error(transparent)]
    Rows(#[from] ArrowError),
}

impl Casts {
    pub(crate) fn new(ordered: &[RouteCast]) -> Self {
        let mut casts: BTreeMap<_, BTreeMap<_, _>> = BTreeMap::new();
        for RouteCast { source, stream, from, to } in ordered {
            casts.entry((*source, *from)).or_default().insert(stream.clone(), to.clone());
        }
        Self(casts)
    }

    /// Casts a delivery, if that is wanted. Returns the schema and what became of the rows.
    pub(crate) fn cast(&self, delivery: &Delivery) -> Result<Option<(StreamSchema, CastRows)>, CastFailure> {
        let place = (delivery.lane.source, delivery.schema.hash());
        let Some(to) = self.0.get(&place).and_then(|streams| streams.get(&delivery.stream)) else {
            return Ok(None);
        };
        let plan = CastPlan::new(delivery.schema.clone(), to.clone())?;
        Ok(Some((to.clone(), plan.cast(&delivery.batch)?)))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow_array::{ArrayRef, RecordBatch, StringArray, TimestampMicrosecondArray, UInt8Array};
    use towpath_record::{Column, ColumnType, LaneId, Link, LogOffset, RegionName};

    use super::*;

    fn schema(column_type: ColumnType) -> StreamSchema {
        StreamSchema::new(vec![Column::nullable("n", column_type)], Vec::new()).unwrap()
    }

    fn delivery(source: u8, texts: Vec<&str>) -> Delivery {
        let (schema, rows) = (schema(ColumnType::String), texts.len());
        let columns: Vec<ArrayRef> = vec![
            Arc::new(UInt8Array::from_value(1, rows)),
            Arc::new(TimestampMicrosecondArray::from_value(0, rows).with_timezone("UTC")),
            Arc::new(StringArray::new_null(rows)),
            Arc::new(StringArray::from(texts)),
        ];
        Delivery {
            offset: LogOffset(1),
            lane: LaneId { source: SourceId::from_bytes([source; 16]), region: RegionName::main() },
            link: Link { epoch: 1, seq: 1, crc: 0 },
            stream: StreamName::new("erp.orders").unwrap(),
            batch: RecordBatch::try_new(schema.arrow().clone(), columns).unwrap(),
            schema,
            captured_at_us: 0,
        }
    }

    #[test]
    fn only_what_was_ordered_is_cast_and_each_row_keeps_its_place() {
        let to = schema(ColumnType::Int64);
        let casts = Casts::new(&[RouteCast {
            source: SourceId::from_bytes([1; 16]),
            stream: StreamName::new("erp.orders").unwrap(),
            from: schema(ColumnType::String).hash(),
            to: to.clone(),
        }]);
        let (cast_to, cast) = casts.cast(&delivery(1, vec!["many", "2"])).unwrap().unwrap();
        assert_eq!((cast_to.hash(), cast.rows, cast.misfits[0].0), (to.hash(), vec![1], 0));
        assert!(
            casts.cast(&delivery(2, vec!["3"])).unwrap().is_none(),
            "another source's rows are left alone"
        );
    }
}
