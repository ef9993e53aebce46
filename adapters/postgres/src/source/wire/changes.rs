//! The stream of changes as it comes from the server.

use std::io;
use std::time::{Duration, Instant};

use bytes::{Buf, Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt};

use crate::error::{PostgresError, Refusal};

const DOING: &str = "read changes";
/// How much room a read has.
const READ_BYTES: usize = 512 << 10;
/// A read that brought less may be followed by more at once.
const SMALL_READ_BYTES: usize = 64 << 10;
/// How long more is waited for while changes flow. A server that is woken for each small piece that it may send
/// spends its time on waking; a pause lets it fill the socket.
const LULL: Duration = Duration::from_millis(1);
/// The longest message that is kept whole. A frame holds no more.
const MAX_MESSAGE_BYTES: usize = 48 << 20;
/// What is kept of a longer one.
const KEPT_BYTES: usize = 64 << 10;

/// Something that came.
pub(crate) enum Event {
    /// A message of the output plugin.
    Message {
        /// Its bytes.
        body: Bytes,
        /// False if it was too long, and only its first part is here.
        whole: bool,
    },
    /// The server is alive and has read the log this far; it may want an answer.
    Alive { lsn: u64, wants_answer: bool },
}

/// The stream of changes.
pub(crate) struct Changes {
    input: Box<dyn AsyncRead + Send + Unpin>,
    buffer: BytesMut,
    /// What is still to come of a message whose first part was kept.
    passing_over: usize,
    last_read: Instant,
    flows: bool,
}

impl Changes {
    pub(crate) fn new(input: Box<dyn AsyncRead + Send + Unpin>, buffer: BytesMut) -> Self {
        Self { input, buffer, passing_over: 0, last_read: Instant::now(), flows: false }
    }

    /// Whether an event is here already.
    pub(crate) fn has_next(&self) -> bool {
        self.length().is_some_and(|length| self.buffer.len() > length.min(MAX_MESSAGE_BYTES))
    }

    /// The next event. May be dropped while it waits; nothing is lost then.
    ///
    /// # Errors
    /// The connection broke or the server ended the stream.
    pub(crate) async fn next(&mut self) -> Result<Event, PostgresError> {
        loop {
            self.pass_over();
            match self.length() {
                Some(length) if length < 4 => return Err(strange()),
                Some(length) if length > MAX_MESSAGE_BYTES && self.buffer.len() > KEPT_BYTES => {
                    let head = self.buffer.split_to(KEPT_BYTES);
                    self.passing_over = 1 + length - KEPT_BYTES;
                    if let Some(event) = event(head.freeze(), false)? {
                        return Ok(event);
                    }
                }
                Some(length) if length <= MAX_MESSAGE_BYTES && self.buffer.len() > length => {
                    let message = self.buffer.split_to(1 + length).freeze();
                    if let Some(event) = event(message, true)? {
                        return Ok(event);
                    }
                }
                _ => self.read().await?,
            }
        }
    }

    /// The length of the message that the buffer begins with, its tag left out.
    fn length(&self) -> Option<usize> {
        let length = self.buffer.get(1..5).filter(|_| self.passing_over == 0)?;
        Some(u32::from_be_bytes([length[0], length[1], length[2], length[3]]) as usize)
    }

    fn pass_over(&mut self) {
        let passed = self.passing_over.min(self.buffer.len());
        self.buffer.advance(passed);
        self.passing_over -= passed;
    }

    async fn read(&mut self) -> Result<(), PostgresError> {
        if self.flows {
            self.flows = false;
            tokio::time::sleep(LULL).await;
        }
        self.buffer.reserve(READ_BYTES);
        let read = self.input.read_buf(&mut self.buffer).await.map_err(PostgresError::wire(DOING))?;
        if read == 0 {
            return Err(PostgresError::wire(DOING)(io::ErrorKind::UnexpectedEof.into()));
        }
        self.flows = read < SMALL_READ_BYTES && self.last_read.elapsed() < 2 * LULL;
        self.last_read = Instant::now();
        Ok(())
    }
}

/// Reads a message of the protocol: `CopyData` with a message of replication in it, or the end.
fn event(mut message: Bytes, whole: bool) -> Result<Option<Event>, PostgresError> {
    let tag = message.get_u8();
    message.advance(4);
    match tag {
        b'd' => {}
        b'E' => return Err(PostgresError::Refused(Refusal::read(DOING, &message))),
        b'c' | b'C' => {
            return Err(PostgresError::wire(DOING)(io::Error::other("the server ended the stream")));
        }
        _ => return Ok(None),
    }
    match message.first() {
        // Begin and end in the log, and the server's clock, stand before the message.
        Some(b'w') if message.len() >= 25 => {
            message.advance(25);
            Ok(Some(Event::Message { body: message, whole }))
        }
        Some(b'k') if message.len() >= 18 => {
            message.advance(1);
            let lsn = message.get_u64();
            message.advance(8);
            Ok(Some(Event::Alive { lsn, wants_answer: message.get_u8() == 1 }))
        }
        _ => Err(strange()),
    }
}

fn strange() -> PostgresError {
    PostgresError::wire(DOING)(io::Error::new(io::ErrorKind::InvalidData, "the stream is not PostgreSQL's"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn copy_data(body: &[u8]) -> Vec<u8> {
        let length = u32::try_from(body.len() + 4).unwrap();
        [b"d", &length.to_be_bytes()[..], body].concat()
    }

    fn message(body: &[u8]) -> Vec<u8> {
        copy_data(&[&[b'w'; 1][..], &[0; 24], body].concat())
    }

    #[tokio::test]
    async fn a_message_that_is_too_long_costs_only_itself() {
        let long = vec![b'x'; MAX_MESSAGE_BYTES];
        let bytes = [message(b"first"), message(&long), message(b"last")].concat();
        let mut changes = Changes::new(Box::new(io::Cursor::new(bytes)), BytesMut::new());
        let mut seen = Vec::new();
        for _ in 0..3 {
            match changes.next().await.unwrap() {
                Event::Message { body, whole } => seen.push((body.len(), whole)),
                Event::Alive { .. } => panic!("no keepalive was sent"),
            }
        }
        assert_eq!(seen, [(5, true), (KEPT_BYTES - 30, false), (4, true)]);
        assert!(changes.next().await.is_err());
    }

    #[tokio::test]
    async fn a_server_may_ask_for_an_answer() {
        let body = [&b"k"[..], &7_u64.to_be_bytes(), &[0; 8], &[1]].concat();
        let mut changes = Changes::new(Box::new(io::Cursor::new(copy_data(&body))), BytesMut::new());
        assert!(matches!(changes.next().await.unwrap(), Event::Alive { lsn: 7, wants_answer: true }));
    }
}
