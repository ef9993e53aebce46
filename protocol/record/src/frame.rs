//! The frame codec.
//!
//! ```text
//! offset  size        what
//!      0  4           magic "TWPF"
//!      4  1           layout version, 1
//!      5  1           payload codec: 0 none, 1 LZ4 block
//!      6  2           header length H, little-endian
//!      8  4           payload length P as stored, little-endian
//!     12  H           header, protobuf (see `wire.rs`)
//!   12+H  P           payload: one Arrow IPC record batch message, absent when the frame has no rows
//! 12+H+P  4           CRC32C of all bytes before it, little-endian
//! ```
//!
//! The raw payload is the length of the batch's flatbuffer metadata (4 bytes, little-endian, metadata padded so
//! that the body starts at a multiple of 8), the metadata, and the body. The schema is not in the frame: the
//! header names it by its hash. A reader checks lengths against [`crate::limits`], then the checksum, then the
//! header, before it looks at anything inside.

mod payload;
mod wire;

use bytes::{Buf, BufMut, Bytes, BytesMut};

use arrow_array::RecordBatch;

use crate::id::{LaneId, StreamName};
use crate::limits::{MAX_FRAME_BYTES, MAX_FRAME_ROWS, MAX_HEADER_BYTES, MAX_PAYLOAD_RAW_BYTES};
use crate::position::{Link, Mark, Position};
use crate::schema::{SchemaHash, StreamSchema};

pub use payload::DecodeError;

const MAGIC: [u8; 4] = *b"TWPF";
const LAYOUT_VERSION: u8 = 1;
const PRELUDE_BYTES: usize = 12;
const CRC_BYTES: usize = 4;

/// What a frame's rows are.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FrameKind {
    /// Records of the stream.
    Records,
    /// Input that could not become records, in the schema of [`crate::dead_letter`].
    DeadLetters,
    /// No rows: only a new position and marks.
    Progress,
    /// Records of the stream that one route's sink refused once, sent again to that route alone: the one whose
    /// identity stands where the lane names its source.
    Replay,
}

/// What a frame says of itself.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FrameHeader {
    /// The chain this frame belongs to.
    pub lane: LaneId,
    /// The reign under which it was sealed.
    pub epoch: u64,
    /// Its number in the chain, from 1.
    pub seq: u64,
    /// CRC32C of the frame before it in the chain; 0 for the first.
    pub prev_crc: u32,
    /// The stream its rows belong to.
    pub stream: StreamName,
    /// What its rows are.
    pub kind: FrameKind,
    /// The schema of its rows.
    pub schema: SchemaHash,
    /// How many rows it holds.
    pub rows: u32,
    /// Where the source may resume once this frame is durable.
    pub position: Position,
    /// Facts about the source that hold once this frame is durable.
    pub marks: Vec<Mark>,
    /// When it was sealed, in microseconds since 1970-01-01 UTC, by the agent's clock.
    pub captured_at_us: i64,
    /// Whether its last transaction goes on in the next frame.
    pub transaction_continues: bool,
    /// Length of the payload before compression, in bytes.
    pub payload_raw_bytes: u32,
}

/// Everything about a frame that its sealer decides.
#[derive(Clone, Debug)]
pub struct FrameDraft {
    /// The chain this frame belongs to.
    pub lane: LaneId,
    /// The reign under which it is sealed.
    pub epoch: u64,
    /// Its number in the chain, from 1.
    pub seq: u64,
    /// CRC32C of the frame before it in the chain; 0 for the first.
    pub prev_crc: u32,
    /// The stream its rows belong to.
    pub stream: StreamName,
    /// What its rows are.
    pub kind: FrameKind,
    /// Where the source may resume once this frame is durable.
    pub position: Position,
    /// Facts about the source that hold once this frame is durable.
    pub marks: Vec<Mark>,
    /// The time of sealing, in microseconds since 1970-01-01 UTC.
    pub captured_at_us: i64,
    /// Whether its last transaction goes on in the next frame.
    pub transaction_continues: bool,
}

/// A frame whose bytes are whole and whose header is valid. Cheap to clone.
#[derive(Clone, PartialEq, Eq)]
pub struct SealedFrame {
    header: std::sync::Arc<FrameHeader>,
    codec: Codec,
    bytes: Bytes,
}

/// How a payload is compressed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
enum Codec {
    None = 0,
    Lz4 = 1,
}

/// Why bytes are not a frame.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// The bytes end before the frame does.
    #[error("the frame is cut short: {have} of {need} bytes are there")]
    Truncated {
        /// Bytes at hand.
        have: usize,
        /// Bytes the frame says it has.
        need: usize,
    },
    /// There are more bytes than the frame says it has.
    #[error("{0} bytes follow the end of the frame")]
    Trailing(usize),
    /// The bytes do not begin as a frame does.
    #[error("the bytes do not begin with the frame magic")]
    NotAFrame,
    /// A later layout.
    #[error("frame layout version {0} is not known here; upgrade this process")]
    UnknownVersion(u8),
    /// A later codec.
    #[error("payload codec {0} is not known here; upgrade this process")]
    UnknownCodec(u8),
    /// A limit is exceeded.
    #[error("the frame's {what} is {found}; at most {limit} is allowed")]
    TooLarge {
        /// What is counted.
        what: &'static str,
        /// How much there is.
        found: usize,
        /// How much there may be.
        limit: usize,
    },
    /// The bytes were changed after sealing.
    #[error("the frame's checksum is {found:08x} but its bytes give {computed:08x}")]
    Checksum {
        /// The checksum in the frame.
        found: u32,
        /// The checksum of its bytes.
        computed: u32,
    },
    /// The header is whole but says something impossible.
    #[error("the frame header is not valid: {0}")]
    Header(String),
}

/// Why a draft cannot become a frame.
#[derive(Debug, thiserror::Error)]
pub enum SealError {
    /// A limit is exceeded.
    #[error("the frame's {what} would be {found}; at most {limit} is allowed")]
    TooLarge {
        /// What is counted.
        what: &'static str,
        /// How much there is.
        found: usize,
        /// How much there may be.
        limit: usize,
    },
    /// The batch has other columns than the schema.
    #[error("the batch of stream {stream} does not have the columns of its schema")]
    SchemaMismatch {
        /// The stream.
        stream: StreamName,
    },
    /// Arrow could not encode the batch.
    #[error("the batch cannot be encoded")]
    Encode(#[source] arrow_schema::ArrowError),
}

impl FrameDraft {
    /// Seals rows of `schema` into a frame. A batch of no rows becomes a frame without payload.
    ///
    /// # Errors
    /// The batch does not fit the schema or a limit.
    pub fn seal(self, schema: &StreamSchema, batch: &RecordBatch) -> Result<SealedFrame, SealError> {
        if batch.schema_ref().fields() != schema.arrow().fields() {
            return Err(SealError::SchemaMismatch { stream: self.stream });
        }
        seal_within("row count", batch.num_rows(), MAX_FRAME_ROWS)?;
        let raw = if batch.num_rows() == 0 { Vec::new() } else { payload::encode(batch)? };
        seal_within("raw payload in bytes", raw.len(), MAX_PAYLOAD_RAW_BYTES)?;
        let header = self.into_header(schema.hash(), batch.num_rows(), raw.len());
        assemble(header, &raw)
    }

    fn into_header(self, schema: SchemaHash, rows: usize, raw_bytes: usize) -> FrameHeader {
        FrameHeader {
            lane: self.lane,
            epoch: self.epoch,
            seq: self.seq,
            prev_crc: self.prev_crc,
            stream: self.stream,
            kind: self.kind,
            schema,
            rows: rows.try_into().expect("bounded by MAX_FRAME_ROWS"),
            position: self.position,
            marks: self.marks,
            captured_at_us: self.captured_at_us,
            transaction_continues: self.transaction_continues,
            payload_raw_bytes: raw_bytes.try_into().expect("bounded by MAX_PAYLOAD_RAW_BYTES"),
        }
    }
}

impl SealedFrame {
    /// Takes bytes as a frame: checks lengths, checksum and header, in that order.
    ///
    /// # Errors
    /// [`FrameError`] says what is wrong. Nothing is allocated in proportion to what the bytes claim.
    pub fn parse(bytes: Bytes) -> Result<Self, FrameError> {
        let prelude = Prelude::read(&bytes)?;
        let need = prelude.frame_bytes();
        if bytes.len() < need {
            return Err(FrameError::Truncated { have: bytes.len(), need });
        }
        if bytes.len() > need {
            return Err(FrameError::Trailing(bytes.len() - need));
        }
        let (body, mut tail) = bytes.split_at(need - CRC_BYTES);
        let (found, computed) = (tail.get_u32_le(), crc32c::crc32c(body));
        if found != computed {
            return Err(FrameError::Checksum { found, computed });
        }
        let header = wire::decode(&bytes[PRELUDE_BYTES..PRELUDE_BYTES + prelude.header_bytes])?;
        Ok(Self { header: std::sync::Arc::new(header), codec: prelude.codec, bytes })
    }

    /// How many bytes the frame that begins here has in all, or `None` while fewer than 12 bytes are at hand.
    ///
    /// # Errors
    /// The bytes do not begin a frame that this version could read.
    pub fn peek_len(bytes: &[u8]) -> Result<Option<usize>, FrameError> {
        match Prelude::read(bytes) {
            Ok(prelude) => Ok(Some(prelude.frame_bytes())),
            Err(FrameError::Truncated { .. }) => Ok(None),
            Err(other) => Err(other),
        }
    }

    /// What the frame says of itself.
    pub fn header(&self) -> &FrameHeader {
        &self.header
    }

    /// The frame's bytes, the same on disk, on the wire and in the log.
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// The frame's place in its lane.
    pub fn link(&self) -> Link {
        Link { epoch: self.header.epoch, seq: self.header.seq, crc: self.crc() }
    }

    /// The frame's rows.
    ///
    /// # Errors
    /// `schema` is not the one the header names, or the payload is not a batch of it.
    pub fn decode(&self, schema: &StreamSchema) -> Result<RecordBatch, DecodeError> {
        if schema.hash() != self.header.schema {
            return Err(DecodeError::OtherSchema { needed: self.header.schema, given: schema.hash() });
        }
        if self.header.rows == 0 {
            return Ok(RecordBatch::new_empty(schema.arrow().clone()));
        }
        let raw = payload::decompress(self.codec, self.payload(), self.header.payload_raw_bytes as usize)?;
        payload::decode(raw, schema, self.header.rows as usize)
    }

    fn payload(&self) -> &[u8] {
        let header_bytes = usize::from(u16::from_le_bytes([self.bytes[6], self.bytes[7]]));
        &self.bytes[PRELUDE_BYTES + header_bytes..self.bytes.len() - CRC_BYTES]
    }

    fn crc(&self) -> u32 {
        (&self.bytes[self.bytes.len() - CRC_BYTES..]).get_u32_le()
    }
}

impl std::fmt::Debug for SealedFrame {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "SealedFrame({} {}, {} rows of {}, {} bytes)",
            self.header.lane,
            self.link(),
            self.header.rows,
            self.header.stream,
            self.bytes.len()
        )
    }
}

struct Prelude {
    codec: Codec,
    header_bytes: usize,
    payload_bytes: usize,
}

impl Prelude {
    fn read(bytes: &[u8]) -> Result<Self, FrameError> {
        if bytes.len() < PRELUDE_BYTES {
            return Err(FrameError::Truncated { have: bytes.len(), need: PRELUDE_BYTES });
        }
        let mut rest = bytes;
        let mut magic = [0; 4];
        rest.copy_to_slice(&mut magic);
        if magic != MAGIC {
            return Err(FrameError::NotAFrame);
        }
        let version = rest.get_u8();
        if version != LAYOUT_VERSION {
            return Err(FrameError::UnknownVersion(version));
        }
        let codec = match rest.get_u8() {
            0 => Codec::None,
            1 => Codec::Lz4,
            other => return Err(FrameError::UnknownCodec(other)),
        };
        let header_bytes = usize::from(rest.get_u16_le());
        let payload_bytes = rest.get_u32_le() as usize;
        let prelude = Self { codec, header_bytes, payload_bytes };
        match payload_bytes.checked_add(PRELUDE_BYTES + header_bytes + CRC_BYTES) {
            Some(total) if total <= MAX_FRAME_BYTES => Ok(prelude),
            _ => Err(FrameError::TooLarge {
                what: "length in bytes",
                found: payload_bytes,
                limit: MAX_FRAME_BYTES,
            }),
        }
    }

    fn frame_bytes(&self) -> usize {
        PRELUDE_BYTES + self.header_bytes + self.payload_bytes + CRC_BYTES
    }
}

fn assemble(header: FrameHeader, raw: &[u8]) -> Result<SealedFrame, SealError> {
    let head = wire::encode(&header)?;
    seal_within("header in bytes", head.len(), MAX_HEADER_BYTES)?;
    let (codec, payload) = payload::compress(raw);
    let total = PRELUDE_BYTES + head.len() + payload.len() + CRC_BYTES;
    seal_within("length in bytes", total, MAX_FRAME_BYTES)?;
    let mut bytes = BytesMut::with_capacity(total);
    bytes.put_slice(&MAGIC);
    bytes.put_u8(LAYOUT_VERSION);
    bytes.put_u8(codec as u8);
    bytes.put_u16_le(head.len().try_into().expect("bounded by MAX_HEADER_BYTES"));
    bytes.put_u32_le(payload.len().try_into().expect("bounded by MAX_FRAME_BYTES"));
    bytes.put_slice(&head);
    bytes.put_slice(&payload);
    let crc = crc32c::crc32c(&bytes);
    bytes.put_u32_le(crc);
    Ok(SealedFrame { header: std::sync::Arc::new(header), codec, bytes: bytes.freeze() })
}

fn seal_within(what: &'static str, found: usize, limit: usize) -> Result<(), SealError> {
    if found <= limit { Ok(()) } else { Err(SealError::TooLarge { what, found, limit }) }
}
