//! The data streams beside the control stream.
//!
//! ```text
//! offset  size  what
//!      0  4     magic "TWPS"
//!      4  1     layout version, 1
//!      5  1     1: frames of a lane, agent to cell; 2: frames of a route, cell to agent
//!      6  2     zero
//!      8  4     the lane's opening or the route's binding, little-endian
//!     12        frames, one after another; on a route each after its offset in the log (8 bytes, little-endian)
//! ```
//!
//! A frame says its own length, so nothing stands between frames.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use towpath_record::{FrameError, LogOffset, SealedFrame};

const MAGIC: [u8; 4] = *b"TWPS";
const LAYOUT_VERSION: u8 = 1;
const OFFSET_BYTES: usize = 8;
const FRAME_PRELUDE_BYTES: usize = 12;
/// What is reserved ahead of the bytes that have arrived: a peer must send before it makes us allocate.
const RESERVE_AHEAD_BYTES: usize = 256 << 10;

/// How a data stream begins.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Preamble {
    /// Frames of a lane follow.
    Lane {
        /// The opening of the lane that they belong to.
        opening: u32,
    },
    /// Frames of a route follow.
    Route {
        /// The binding of the route that they belong to.
        binding: u32,
    },
}

/// Why a data stream cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StreamError {
    /// It does not begin as a data stream does.
    #[error("a data stream does not begin with a preamble that is known here")]
    Preamble,
    /// What stands where a frame should is not one.
    #[error("a data stream does not hold a frame where one should be")]
    Frame(#[source] FrameError),
}

impl Preamble {
    /// Length of every preamble, in bytes.
    pub const BYTES: usize = 12;

    /// The preamble as it is written.
    pub fn to_bytes(self) -> [u8; Self::BYTES] {
        let (kind, number) = match self {
            Self::Lane { opening } => (1, opening),
            Self::Route { binding } => (2, binding),
        };
        let mut bytes = [0; Self::BYTES];
        let mut rest = &mut bytes[..];
        rest.put_slice(&MAGIC);
        rest.put_u8(LAYOUT_VERSION);
        rest.put_u8(kind);
        rest.put_u16_le(0);
        rest.put_u32_le(number);
        bytes
    }

    /// Reads a preamble.
    ///
    /// # Errors
    /// The bytes are none.
    pub fn parse(bytes: &[u8; Self::BYTES]) -> Result<Self, StreamError> {
        let (fixed, mut number) = bytes.split_at(8);
        let number = number.get_u32_le();
        match fixed.strip_prefix(&MAGIC) {
            Some([LAYOUT_VERSION, 1, 0, 0]) => Ok(Self::Lane { opening: number }),
            Some([LAYOUT_VERSION, 2, 0, 0]) => Ok(Self::Route { binding: number }),
            _ => Err(StreamError::Preamble),
        }
    }
}

/// Collects bytes of a lane's stream until they are a whole frame.
#[derive(Debug, Default)]
pub struct FrameDecoder {
    pending: BytesMut,
}

impl FrameDecoder {
    /// Takes bytes off the front of what was read, and returns the frame that they complete. What is left in
    /// `read` belongs to the next frame: call again until it is empty.
    ///
    /// # Errors
    /// The bytes are not a frame. The stream cannot be read further.
    pub fn next_frame(&mut self, read: &mut Bytes) -> Result<Option<SealedFrame>, StreamError> {
        if !self.take_until(FRAME_PRELUDE_BYTES, read) {
            return Ok(None);
        }
        let need = SealedFrame::peek_len(&self.pending).map_err(StreamError::Frame)?;
        let need = need.expect("a whole prelude tells the length");
        if !self.take_until(need, read) {
            return Ok(None);
        }
        // Each frame gets an allocation of its own: one that is kept keeps no neighbour's bytes alive.
        let frame = std::mem::take(&mut self.pending).freeze();
        SealedFrame::parse(frame).map(Some).map_err(StreamError::Frame)
    }

    /// Whether the stream may end here without cutting a frame.
    pub fn is_between_frames(&self) -> bool {
        self.pending.is_empty()
    }

    fn take_until(&mut self, need: usize, read: &mut Bytes) -> bool {
        let missing = need.saturating_sub(self.pending.len());
        let taken = missing.min(read.len());
        if self.pending.capacity() < need {
            let ahead = taken.max(RESERVE_AHEAD_BYTES).max(self.pending.len());
            self.pending.reserve(missing.min(ahead));
        }
        self.pending.extend_from_slice(&read[..taken]);
        read.advance(taken);
        taken == missing
    }
}

/// Collects bytes of a route's stream until they are an offset and a whole frame.
#[derive(Debug, Default)]
pub struct DeliveryDecoder {
    offset: BytesMut,
    frame: FrameDecoder,
}

impl DeliveryDecoder {
    /// As [`FrameDecoder::next_frame`], with the frame's place in the region's log.
    ///
    /// # Errors
    /// The bytes are not a frame. The stream cannot be read further.
    pub fn next_delivery(
        &mut self,
        read: &mut Bytes,
    ) -> Result<Option<(LogOffset, SealedFrame)>, StreamError> {
        let missing = (OFFSET_BYTES - self.offset.len()).min(read.len());
        self.offset.extend_from_slice(&read[..missing]);
        read.advance(missing);
        if self.offset.len() < OFFSET_BYTES {
            return Ok(None);
        }
        let Some(frame) = self.frame.next_frame(read)? else { return Ok(None) };
        Ok(Some((LogOffset(self.offset.split().get_u64_le()), frame)))
    }
}

/// What stands before a frame on a route's stream.
pub fn delivery_prefix(offset: LogOffset) -> [u8; OFFSET_BYTES] {
    offset.0.to_le_bytes()
}
