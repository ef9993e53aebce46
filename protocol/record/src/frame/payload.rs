//! The payload: one Arrow IPC record batch message without its schema, compressed as a whole.
//!
//! The bytes may come from a stranger. Before Arrow builds arrays from them, every buffer that the metadata
//! names must lie inside the body, and the row count must be the header's; Arrow then validates offsets, UTF-8
//! and null counts.

use std::collections::HashMap;

use arrow_array::RecordBatch;
use arrow_buffer::Buffer;
use arrow_ipc::MetadataVersion;
use arrow_ipc::reader::RecordBatchDecoder;
use arrow_ipc::writer::{DictionaryTracker, IpcDataGenerator, IpcWriteContext, IpcWriteOptions};
use arrow_schema::{ArrowError, DataType};

use super::{Codec, SealError};
use crate::schema::{SchemaHash, StreamSchema};

const LENGTH_BYTES: usize = 4;
const BODY_ALIGNMENT: usize = 8;

/// Why a frame's payload cannot be read as rows.
#[derive(Debug, thiserror::Error)]
pub enum DecodeError {
    /// The caller brought another schema than the frame needs.
    #[error("the frame needs schema {needed} but schema {given} was given")]
    OtherSchema {
        /// The schema the header names.
        needed: SchemaHash,
        /// The schema that was given.
        given: SchemaHash,
    },
    /// The payload does not decompress to what the header says.
    #[error("the payload does not decompress to {expected} bytes: {reason}")]
    Decompress {
        /// The length that the header says.
        expected: usize,
        /// What the decompressor said.
        reason: String,
    },
    /// The metadata points outside the payload or contradicts the header.
    #[error("the payload is malformed: {0}")]
    Malformed(String),
    /// Arrow refused the arrays.
    #[error("the payload is not a batch of its schema")]
    Arrow(#[source] ArrowError),
}

pub(super) fn encode(batch: &RecordBatch) -> Result<Vec<u8>, SealError> {
    let mut dictionaries = DictionaryTracker::new(false);
    let (_, encoded) = IpcDataGenerator::default()
        .encode(batch, &mut dictionaries, &IpcWriteOptions::default(), &mut IpcWriteContext::default())
        .map_err(SealError::Encode)?;
    let unpadded = LENGTH_BYTES + encoded.ipc_message.len();
    let body_at = unpadded.next_multiple_of(BODY_ALIGNMENT);
    let metadata_bytes =
        u32::try_from(body_at - LENGTH_BYTES).expect("metadata of bounded columns fits 32 bits");
    let mut raw = Vec::with_capacity(body_at + encoded.arrow_data.len());
    raw.extend_from_slice(&metadata_bytes.to_le_bytes());
    raw.extend_from_slice(&encoded.ipc_message);
    raw.resize(body_at, 0);
    raw.extend_from_slice(&encoded.arrow_data);
    Ok(raw)
}

pub(super) fn compress(raw: &[u8]) -> (Codec, Vec<u8>) {
    let packed = lz4_flex::block::compress(raw);
    if packed.len() < raw.len() { (Codec::Lz4, packed) } else { (Codec::None, raw.to_vec()) }
}

pub(super) fn decompress(codec: Codec, stored: &[u8], expected: usize) -> Result<Buffer, DecodeError> {
    let fault = |reason: String| DecodeError::Decompress { expected, reason };
    let raw = match codec {
        Codec::None => stored.to_vec(),
        Codec::Lz4 => lz4_flex::block::decompress(stored, expected).map_err(|e| fault(e.to_string()))?,
    };
    if raw.len() == expected {
        Ok(Buffer::from_vec(raw))
    } else {
        Err(fault(format!("it gives {} bytes", raw.len())))
    }
}

pub(super) fn decode(raw: Buffer, schema: &StreamSchema, rows: usize) -> Result<RecordBatch, DecodeError> {
    let malformed = |reason: &str| DecodeError::Malformed(reason.to_owned());
    let length = raw.get(..LENGTH_BYTES).ok_or_else(|| malformed("it has no metadata length"))?;
    let metadata_bytes = u32::from_le_bytes(length.try_into().expect("four bytes were taken")) as usize;
    let body_at = LENGTH_BYTES + metadata_bytes;
    let metadata = raw.get(LENGTH_BYTES..body_at).ok_or_else(|| malformed("its metadata is cut short"))?;
    let message = arrow_ipc::root_as_message(metadata)
        .map_err(|e| DecodeError::Malformed(format!("its metadata is not a flatbuffer: {e}")))?;
    let batch = message.header_as_record_batch().ok_or_else(|| malformed("it is not a record batch"))?;
    let body = raw.slice(body_at);
    check(&batch, body.len(), rows)?;
    check_widths(&batch, schema)?;
    RecordBatchDecoder::try_new(&body, batch, schema.arrow().clone(), &HashMap::new(), &MetadataVersion::V5)
        .and_then(RecordBatchDecoder::read_record_batch)
        .map_err(DecodeError::Arrow)
}

fn check(batch: &arrow_ipc::RecordBatch<'_>, body_bytes: usize, rows: usize) -> Result<(), DecodeError> {
    let malformed = |reason: String| Err(DecodeError::Malformed(reason));
    if usize::try_from(batch.length()) != Ok(rows) {
        return malformed(format!("it has {} rows where the header says {rows}", batch.length()));
    }
    if batch.compression().is_some() {
        return malformed("its buffers are compressed one by one".to_owned());
    }
    for buffer in batch.buffers().into_iter().flatten() {
        let range = usize::try_from(buffer.offset()).ok().zip(usize::try_from(buffer.length()).ok());
        let end = range.and_then(|(offset, length)| offset.checked_add(length));
        if end.is_none_or(|end| end > body_bytes) {
            return malformed(format!(
                "a buffer at {} of {} bytes lies outside the body of {body_bytes}",
                buffer.offset(),
                buffer.length()
            ));
        }
    }
    for node in batch.nodes().into_iter().flatten() {
        let (length, nulls) = (node.length(), node.null_count());
        if length < 0 || nulls < 0 || nulls > length || length > i64::from(u32::MAX) {
            return malformed(format!("a column of {length} values says {nulls} of them are absent"));
        }
    }
    Ok(())
}

/// Arrow takes a buffer of offsets or values for a slice of its element type, and asserts that nothing is left over.
fn check_widths(batch: &arrow_ipc::RecordBatch<'_>, schema: &StreamSchema) -> Result<(), DecodeError> {
    let mut buffers = batch.buffers().into_iter().flatten();
    schema.arrow().fields().iter().try_for_each(|field| check_width(field.data_type(), &mut buffers))
}

fn check_width<'a>(
    data_type: &DataType,
    buffers: &mut impl Iterator<Item = &'a arrow_ipc::Buffer>,
) -> Result<(), DecodeError> {
    const OFFSET_BYTES: usize = size_of::<i32>();
    let mut next = |width: usize| match buffers.next() {
        Some(buffer) if usize::try_from(buffer.length()).is_ok_and(|length| length.is_multiple_of(width)) => {
            Ok(())
        }
        Some(buffer) => Err(DecodeError::Malformed(format!(
            "a buffer of {} bytes does not hold whole values of {width}",
            buffer.length()
        ))),
        None => Err(DecodeError::Malformed("it has fewer buffers than its schema needs".to_owned())),
    };
    next(1)?;
    match data_type {
        DataType::Utf8 | DataType::Binary => next(OFFSET_BYTES).and_then(|()| next(1)),
        DataType::List(item) => {
            next(OFFSET_BYTES)?;
            check_width(item.data_type(), buffers)
        }
        DataType::Struct(fields) => {
            fields.iter().try_for_each(|field| check_width(field.data_type(), buffers))
        }
        other => next(other.primitive_width().unwrap_or(1)),
    }
}
