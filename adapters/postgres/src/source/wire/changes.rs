//! The stream of changes as it comes from the server.

use std::io;

use bytes::{Buf, Bytes};
use tokio::io::AsyncRead;
use towpath_record::limits::MAX_ROW_BYTES;

use super::frames::{Frames, is_strange};
use crate::error::{PostgresError, Refusal};

const DOING: &str = "read changes";
/// The longest message that is kept whole: an old and a new row, each in hexadecimal, and their names. Only larger rows
/// than a record may hold are longer.
pub(super) const MAX_MESSAGE_BYTES: usize = 4 * MAX_ROW_BYTES + (1 << 20);

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
pub(crate) struct Changes(Frames<Box<dyn AsyncRead + Send + Unpin>>);

impl Changes {
    pub(crate) fn new(frames: Frames<Box<dyn AsyncRead + Send + Unpin>>) -> Self {
        let mut frames = frames;
        frames.keep_up_to(MAX_MESSAGE_BYTES);
        Self(frames)
    }

    /// Whether an event is here already.
    pub(crate) fn has_next(&self) -> bool {
        self.0.has_next()
    }

    /// The next event. May be dropped while it waits; nothing is lost then.
    ///
    /// # Errors
    /// The connection broke or the server ended the stream.
    pub(crate) async fn next(&mut self) -> Result<Event, PostgresError> {
        loop {
            let frame = self.0.next().await.map_err(PostgresError::wire(DOING))?;
            match frame.tag {
                b'd' => return event(frame.body, frame.whole),
                b'E' => return Err(PostgresError::Refused(Refusal::read(DOING, &frame.body))),
                b'c' | b'C' => {
                    return Err(PostgresError::wire(DOING)(io::Error::other("the server ended the stream")));
                }
                _ => {}
            }
        }
    }
}

/// Reads a message of replication.
fn event(mut message: Bytes, whole: bool) -> Result<Event, PostgresError> {
    match message.first() {
        // Begin and end in the log, and the server's clock, stand before the message.
        Some(b'w') if message.len() >= 25 => {
            message.advance(25);
            Ok(Event::Message { body: message, whole })
        }
        Some(b'k') if message.len() >= 18 => {
            message.advance(1);
            let lsn = message.get_u64();
            message.advance(8);
            Ok(Event::Alive { lsn, wants_answer: message.get_u8() == 1 })
        }
        _ => Err(is_strange(DOING)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn changes(body: &[u8]) -> Changes {
        let length = u32::try_from(body.len() + 4).unwrap();
        let bytes = [b"d", &length.to_be_bytes()[..], body].concat();
        Changes::new(Frames::new(Box::new(io::Cursor::new(bytes)), 0))
    }

    #[tokio::test]
    async fn a_message_stands_behind_its_place_in_the_log() {
        let mut changes = changes(&[&[b'w'; 1][..], &[0; 24], b"body"].concat());
        let Event::Message { body, whole } = changes.next().await.unwrap() else { panic!("no message") };
        assert_eq!((&*body, whole), (&b"body"[..], true));
        assert!(changes.next().await.is_err());
    }

    #[tokio::test]
    async fn a_server_may_ask_for_an_answer() {
        let mut changes = changes(&[&b"k"[..], &7_u64.to_be_bytes(), &[0; 8], &[1]].concat());
        assert!(matches!(changes.next().await.unwrap(), Event::Alive { lsn: 7, wants_answer: true }));
    }
}
