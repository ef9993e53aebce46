//! Messages as the protocol frames them: a tag, a length, and as many bytes.

use std::io;

use bytes::{Buf, Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt};

use crate::error::PostgresError;

/// What is kept of a message that is too long.
pub(crate) const KEPT_BYTES: usize = 64 << 10;
/// How much room a read has.
const READ_BYTES: usize = 512 << 10;
/// Tag and length.
const HEAD_BYTES: usize = 5;

/// A message.
pub(crate) struct Frame {
    pub(crate) tag: u8,
    pub(crate) body: Bytes,
    /// False if it was too long, and only its first part is here.
    pub(crate) whole: bool,
}

/// The messages that come from a server. One that is too long costs only itself, and no memory.
pub(crate) struct Frames<I> {
    input: I,
    buffer: BytesMut,
    /// The longest message that is kept whole.
    most: usize,
    /// What is still to come of a message whose first part was kept.
    passing_over: usize,
}

impl<I: AsyncRead + Unpin> Frames<I> {
    pub(crate) fn new(input: I, most: usize) -> Self {
        Self { input, buffer: BytesMut::new(), most, passing_over: 0 }
    }

    /// The way to the server, where it leads both ways.
    pub(crate) fn inner(&mut self) -> &mut I {
        &mut self.input
    }

    /// Sets the longest message that is kept whole.
    pub(crate) fn keep_up_to(&mut self, most: usize) {
        self.most = most;
    }

    /// The same messages from what the way is turned into.
    pub(crate) fn map<O: AsyncRead + Unpin>(self, turn: impl FnOnce(I) -> O) -> Frames<O> {
        let Self { input, buffer, most, passing_over } = self;
        Frames { input: turn(input), buffer, most, passing_over }
    }

    /// Whether a message is here already.
    pub(crate) fn has_next(&self) -> bool {
        self.length().is_some_and(|length| self.buffer.len() > length.min(self.most))
    }

    /// The next message. May be dropped while it waits; nothing is lost then.
    ///
    /// # Errors
    /// The connection broke, or what comes is not of this protocol.
    pub(crate) async fn next(&mut self) -> io::Result<Frame> {
        loop {
            self.pass_over();
            match self.length() {
                Some(length) if length < 4 => return Err(strange()),
                Some(length) if length > self.most && self.buffer.len() > KEPT_BYTES => {
                    self.passing_over = 1 + length - KEPT_BYTES;
                    return Ok(frame(self.buffer.split_to(KEPT_BYTES), false));
                }
                Some(length) if length <= self.most && self.buffer.len() > length => {
                    return Ok(frame(self.buffer.split_to(1 + length), true));
                }
                _ => self.read().await?,
            }
        }
    }

    /// The length of the message that the buffer begins with, its tag left out.
    fn length(&self) -> Option<usize> {
        let length = self.buffer.get(1..HEAD_BYTES).filter(|_| self.passing_over == 0)?;
        Some(u32::from_be_bytes([length[0], length[1], length[2], length[3]]) as usize)
    }

    fn pass_over(&mut self) {
        let passed = self.passing_over.min(self.buffer.len());
        self.buffer.advance(passed);
        self.passing_over -= passed;
    }

    async fn read(&mut self) -> io::Result<()> {
        // A long message gets its room at once: a buffer that grows by doubling takes half as much again.
        let kept = self.length().filter(|length| *length <= self.most).map_or(0, |length| 1 + length);
        self.buffer.reserve(READ_BYTES.max(kept.saturating_sub(self.buffer.len())));
        let read = self.input.read_buf(&mut self.buffer).await?;
        if read == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(())
    }
}

fn frame(message: BytesMut, whole: bool) -> Frame {
    let mut body = message.freeze();
    let tag = body.get_u8();
    body.advance(HEAD_BYTES - 1);
    Frame { tag, body, whole }
}

/// What comes is not of this protocol.
pub(crate) fn strange() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "what comes is not of PostgreSQL's protocol")
}

/// The same as a failure of an operation.
pub(crate) fn is_strange(doing: &str) -> PostgresError {
    PostgresError::wire(doing)(strange())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(tag: u8, body: &[u8]) -> Vec<u8> {
        let length = u32::try_from(body.len() + 4).unwrap();
        [&[tag][..], &length.to_be_bytes(), body].concat()
    }

    #[tokio::test]
    async fn a_message_that_is_too_long_costs_only_itself() {
        const MOST: usize = 4 << 20;
        let long = vec![b'x'; 3 * MOST];
        let bytes = [message(b'a', b"first"), message(b'b', &long), message(b'c', b"last")].concat();
        let mut frames = Frames::new(io::Cursor::new(bytes), MOST);
        let mut seen = Vec::new();
        for _ in 0..3 {
            let frame = frames.next().await.unwrap();
            seen.push((frame.tag, frame.body.len(), frame.whole));
            assert!(frames.buffer.capacity() <= MOST);
        }
        assert_eq!(seen, [(b'a', 5, true), (b'b', KEPT_BYTES - HEAD_BYTES, false), (b'c', 4, true)]);
        assert!(frames.next().await.is_err());
    }

    #[tokio::test]
    async fn a_length_that_none_has_is_no_panic() {
        let mut frames = Frames::new(io::Cursor::new(b"d\0\0\0\x03xxx".to_vec()), 100);
        assert_eq!(frames.next().await.err().unwrap().kind(), io::ErrorKind::InvalidData);
    }
}
