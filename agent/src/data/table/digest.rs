//! A table in sum.

use towpath_adapter_api::{AdapterError, Reading, TableReader};
use towpath_proto::link::TableDigest;
use towpath_record::digest::{self, BUCKETS};

use super::key::Keys;
use super::pace::Pace;
use super::rows::{digests, each_batch};

/// Sums a table up: rows fall into buckets by their keys, or without a key by all their values.
pub(crate) async fn digest(
    reader: Box<dyn TableReader>,
    reading: Reading,
    pace: Pace,
    keys: Option<&Keys>,
) -> Result<TableDigest, AdapterError> {
    let mut sum = TableDigest { rows: vec![0; BUCKETS], sums: vec![0; BUCKETS] };
    let mut add = |bucket: usize, digest: u64| {
        sum.rows[bucket] += 1;
        sum.sums[bucket] = sum.sums[bucket].wrapping_add(digest);
    };
    each_batch(reader, reading, pace, |batch| {
        match keys {
            Some(keys) => {
                let rows = digests(keys, batch)?.into_iter();
                rows.for_each(|(key, row)| add(digest::bucket(digest::of_bytes(key.as_bytes())), row));
            }
            None => {
                digest::rows(batch.columns()).into_iter().for_each(|row| add(digest::bucket(row), row));
            }
        }
        Ok(())
    })
    .await?;
    Ok(sum)
}
