//! A part in Parquet. Calendar intervals, for which Parquet has no type of nanoseconds, are ISO 8601 text.

use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::IntervalMonthDayNanoType;
use arrow_array::{Array, ArrayRef, ListArray, RecordBatch, StringArray, StructArray};
use arrow_schema::{DataType, FieldRef, Fields, Schema};
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::WriterProperties;

use super::super::text::iso_duration;
use super::PartError;

/// A row group is written once it holds this much, so that memory stays bounded while readers get big pages.
const ROW_GROUP_BYTES: usize = 16 << 20;

pub(crate) struct ParquetPart {
    writer: ArrowWriter<File>,
}

impl ParquetPart {
    pub(crate) fn create(path: &Path, compressed: bool, rows: &RecordBatch) -> Result<Self, PartError> {
        let compression = match compressed {
            true => Compression::ZSTD(ZstdLevel::default()),
            false => Compression::UNCOMPRESSED,
        };
        let properties = WriterProperties::builder().set_compression(compression).build();
        let schema = Schema::new(storable_fields(rows.schema_ref().fields()));
        let writer = ArrowWriter::try_new(File::create_new(path)?, Arc::new(schema), Some(properties))?;
        Ok(Self { writer })
    }

    pub(crate) fn write(&mut self, rows: &RecordBatch) -> Result<(), PartError> {
        let schema = Schema::new(storable_fields(rows.schema_ref().fields()));
        let columns = rows.columns().iter().map(storable).collect();
        self.writer.write(&RecordBatch::try_new(Arc::new(schema), columns)?)?;
        if self.writer.in_progress_size() >= ROW_GROUP_BYTES {
            self.flush()?;
        }
        Ok(())
    }

    pub(crate) fn flush(&mut self) -> Result<(), PartError> {
        Ok(self.writer.flush()?)
    }

    pub(crate) fn finish(self) -> Result<(), PartError> {
        Ok(self.writer.into_inner()?.sync_all()?)
    }

    pub(crate) fn stored_bytes(&self) -> u64 {
        (self.writer.bytes_written() + self.writer.in_progress_size()) as u64
    }

    pub(crate) fn memory_bytes(&self) -> usize {
        self.writer.memory_size()
    }
}

fn storable_fields(fields: &Fields) -> Fields {
    fields.iter().map(storable_field).collect()
}

fn storable_field(field: &FieldRef) -> FieldRef {
    let data_type = match field.data_type() {
        DataType::Interval(_) => DataType::Utf8,
        DataType::List(item) => DataType::List(storable_field(item)),
        DataType::Struct(fields) => DataType::Struct(storable_fields(fields)),
        _ => return field.clone(),
    };
    Arc::new(field.as_ref().clone().with_data_type(data_type))
}

fn storable(array: &ArrayRef) -> ArrayRef {
    match array.data_type() {
        DataType::Interval(_) => {
            let intervals = array.as_primitive::<IntervalMonthDayNanoType>();
            Arc::new(intervals.iter().map(|value| value.map(iso_duration)).collect::<StringArray>())
        }
        DataType::List(item) => {
            let lists = array.as_list::<i32>();
            let (offsets, nulls) = (lists.offsets().clone(), lists.nulls().cloned());
            Arc::new(ListArray::new(storable_field(item), offsets, storable(lists.values()), nulls))
        }
        DataType::Struct(fields) => {
            let structs = array.as_struct();
            let columns = structs.columns().iter().map(storable).collect();
            Arc::new(StructArray::new(storable_fields(fields), columns, structs.nulls().cloned()))
        }
        _ => array.clone(),
    }
}
