//! Reading a table batch by batch, and telling its rows by key and digest.

use arrow_array::RecordBatch;
use tokio_util::task::AbortOnDropHandle;
use towpath_adapter_api::{AdapterError, BatchOutput, ErrorKind, Reading, TableReader};
use towpath_proto::link::{RowDigest, RowDigests, answer};
use towpath_record::digest;

use super::key::Keys;
use super::pace::Pace;
use crate::link::Reply;

/// Batches that wait between a reader and who sums them up.
const BATCHES: usize = 2;
/// Bytes of keys in one part of an answer.
const PART_BYTES: usize = 256 << 10;
/// What a row takes in an answer beside its key.
const ROW_BYTES: usize = 16;

/// Reads rows and hands over each batch. Batches are what the reading wants, or the reading fails.
pub(super) async fn each_batch(
    mut reader: Box<dyn TableReader>,
    reading: Reading,
    mut pace: Pace,
    mut take: impl FnMut(&RecordBatch) -> Result<(), AdapterError>,
) -> Result<(), AdapterError> {
    let (output, mut batches) = BatchOutput::channel(BATCHES);
    let wanted = reading.arrow();
    let stream = reading.stream.clone();
    let task = AbortOnDropHandle::new(tokio::spawn(async move { reader.read(&reading, output).await }));
    while let Some(batch) = batches.recv().await {
        let types = |schema: &arrow_schema::Schema| {
            schema.fields().iter().map(|f| (f.name().clone(), f.data_type().clone())).collect::<Vec<_>>()
        };
        if types(batch.schema_ref()) != types(&wanted) {
            let message =
                "its columns are not those of the stream's newest schema; once that has arrived, try again";
            return Err(AdapterError::new(ErrorKind::Unavailable, stream.as_str(), message));
        }
        take(&batch)?;
        pace.keep(batch.num_rows()).await;
    }
    task.await
        .map_err(|_| AdapterError::new(ErrorKind::Unavailable, stream.as_str(), "its reader stopped"))?
}

/// The key and the digest of each row of a batch.
pub(super) fn digests(keys: &Keys, batch: &RecordBatch) -> Result<Vec<(String, u64)>, AdapterError> {
    let texts = keys.texts(batch).map_err(|error| {
        AdapterError::new(ErrorKind::Config, "key", format!("rows cannot be told apart: {error}"))
    })?;
    Ok(texts.into_iter().zip(digest::rows(batch.columns())).collect())
}

/// Lists the rows of a reading that lie in these buckets (all if none are named) to who asked.
pub(crate) async fn list(
    reader: Box<dyn TableReader>,
    reading: Reading,
    pace: Pace,
    keys: &Keys,
    buckets: Option<&[u32]>,
    reply: &Reply,
) -> Result<(), AdapterError> {
    let mut part = RowDigests::default();
    let mut bytes = 0;
    each_batch(reader, reading, pace, |batch| {
        for (key, digest) in digests(keys, batch)? {
            let bucket = u32::try_from(digest::bucket(digest::of_bytes(key.as_bytes()))).unwrap_or(u32::MAX);
            if buckets.is_some_and(|wanted| wanted.binary_search(&bucket).is_err()) {
                continue;
            }
            bytes += key.len() + ROW_BYTES;
            part.row.push(RowDigest { key, digest });
            if bytes > PART_BYTES {
                bytes = 0;
                reply.part(answer::Kind::RowDigests(std::mem::take(&mut part)));
            }
        }
        Ok(())
    })
    .await?;
    reply.last(answer::Kind::RowDigests(part));
    Ok(())
}

/// The rows of a reading that is known to be small.
pub(crate) async fn collect(
    reader: Box<dyn TableReader>,
    reading: Reading,
) -> Result<Vec<RecordBatch>, AdapterError> {
    let mut found = Vec::new();
    each_batch(reader, reading, Pace::new(0), |batch| {
        found.push(batch.clone());
        Ok(())
    })
    .await?;
    Ok(found)
}
