//! From the bytes of messages to typed identities, and back.

use bytes::Bytes;
use towpath_record::{LaneId, RegionName, SchemaHash, SourceId, StreamName};

use crate::link;

/// A field of a message does not hold what it must.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the field `{field}` is not valid: {reason}")]
pub struct FieldError {
    /// The field.
    pub field: &'static str,
    /// What is wrong with it.
    pub reason: String,
}

/// Reads a field of exactly 16 bytes as an identity.
///
/// # Errors
/// It has another length.
pub fn id<I>(
    field: &'static str,
    bytes: &[u8],
    from_bytes: impl FnOnce([u8; 16]) -> I,
) -> Result<I, FieldError> {
    sized(field, bytes).map(from_bytes)
}

/// Reads a field of exactly 32 bytes as a schema hash.
///
/// # Errors
/// It has another length.
pub fn schema_hash(bytes: &[u8]) -> Result<SchemaHash, FieldError> {
    sized("hash", bytes).map(SchemaHash)
}

/// Reads a lane from the two fields that name it.
///
/// # Errors
/// The source has not 16 bytes or the region is not a name.
pub fn lane(source: &[u8], region: &str) -> Result<LaneId, FieldError> {
    let source = id("source", source, SourceId::from_bytes)?;
    let region =
        RegionName::new(region).map_err(|error| FieldError { field: "region", reason: error.to_string() })?;
    Ok(LaneId { source, region })
}

/// Reads a field as the name of a stream.
///
/// # Errors
/// It is none.
pub fn stream(name: &str) -> Result<StreamName, FieldError> {
    StreamName::new(name).map_err(|error| FieldError { field: "stream", reason: error.to_string() })
}

/// An identity or a hash as a field.
pub fn to_bytes(id: &[u8]) -> Bytes {
    Bytes::copy_from_slice(id)
}

impl From<towpath_record::Link> for link::Link {
    fn from(link: towpath_record::Link) -> Self {
        Self { epoch: link.epoch, seq: link.seq, crc: link.crc }
    }
}

impl From<link::Link> for towpath_record::Link {
    fn from(link: link::Link) -> Self {
        Self { epoch: link.epoch, seq: link.seq, crc: link.crc }
    }
}

fn sized<const N: usize>(field: &'static str, bytes: &[u8]) -> Result<[u8; N], FieldError> {
    bytes
        .try_into()
        .map_err(|_| FieldError { field, reason: format!("it has {} bytes instead of {N}", bytes.len()) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lane_survives_the_way_through_a_message_and_a_short_identity_does_not() {
        let there = LaneId { source: SourceId::from_bytes([7; 16]), region: RegionName::main() };
        let source = to_bytes(there.source.as_bytes());
        assert_eq!(lane(&source, there.region.as_str()), Ok(there));
        assert_eq!(lane(&source[1..], "main").unwrap_err().field, "source");
        assert_eq!(lane(&source, "Not A Region").unwrap_err().field, "region");
        assert!(schema_hash(&source).is_err());
    }
}
