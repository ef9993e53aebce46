//! How messages stand on the control stream: length (4 bytes, little-endian), then the message.

use std::marker::PhantomData;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use prost::Message;

/// Largest message on a control stream, in bytes.
pub const MAX_MESSAGE_BYTES: usize = 4 << 20;

const LENGTH_BYTES: usize = 4;

/// Why bytes on a control stream are not a message, or a message does not fit.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ControlError {
    /// The message is longer than a control stream may carry.
    #[error("a control message has {found} bytes; at most {MAX_MESSAGE_BYTES} are allowed")]
    TooLarge {
        /// Its length.
        found: usize,
    },
    /// The bytes are not that message.
    #[error("a control message cannot be read: {0}")]
    Malformed(String),
}

/// Appends a message to what is to be written.
///
/// # Errors
/// The message is too large; nothing is appended.
pub fn encode(message: &impl Message, into: &mut BytesMut) -> Result<(), ControlError> {
    let length = message.encoded_len();
    let prefix = u32::try_from(length).ok().filter(|_| length <= MAX_MESSAGE_BYTES);
    into.put_u32_le(prefix.ok_or(ControlError::TooLarge { found: length })?);
    into.reserve(length);
    message.encode(into).expect("a BytesMut grows as far as it must");
    Ok(())
}

/// Collects bytes of a control stream until they are whole messages.
#[derive(Debug)]
pub struct Decoder<M> {
    pending: BytesMut,
    messages: PhantomData<fn() -> M>,
}

impl<M> Default for Decoder<M> {
    fn default() -> Self {
        Self { pending: BytesMut::new(), messages: PhantomData }
    }
}

impl<M: Message + Default> Decoder<M> {
    /// Takes what was read. Call [`Decoder::next_message`] until it returns `None` before feeding more: then no
    /// more than one message and what was read at once is ever held.
    pub fn feed(&mut self, read: &Bytes) {
        self.pending.extend_from_slice(read);
    }

    /// The next whole message, if it is there.
    ///
    /// # Errors
    /// It is too large or is no such message. The stream cannot be read further.
    pub fn next_message(&mut self) -> Result<Option<M>, ControlError> {
        let Some(mut prefix) = self.pending.get(..LENGTH_BYTES) else { return Ok(None) };
        let length = prefix.get_u32_le() as usize;
        if length > MAX_MESSAGE_BYTES {
            return Err(ControlError::TooLarge { found: length });
        }
        if self.pending.len() < LENGTH_BYTES + length {
            return Ok(None);
        }
        self.pending.advance(LENGTH_BYTES);
        let message = self.pending.split_to(length).freeze();
        M::decode(message).map(Some).map_err(|error| ControlError::Malformed(error.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::link::{AgentMessage, Goodbye, Heartbeat, Observed};

    #[test]
    fn messages_come_out_as_they_went_in_however_the_bytes_are_cut() {
        let messages: Vec<AgentMessage> =
            vec![Heartbeat { n: 9 }.into(), AgentMessage::default(), Goodbye::default().into()];
        let mut wire = BytesMut::new();
        messages.iter().for_each(|message| encode(message, &mut wire).unwrap());
        for piece in 1..wire.len() {
            let mut decoder = Decoder::<AgentMessage>::default();
            let mut out = Vec::new();
            for part in wire.chunks(piece) {
                decoder.feed(&Bytes::copy_from_slice(part));
                while let Some(message) = decoder.next_message().unwrap() {
                    out.push(message);
                }
            }
            assert_eq!(out, messages);
        }
    }

    #[test]
    fn a_length_beyond_the_limit_is_refused_before_its_bytes_arrive() {
        let mut decoder = Decoder::<AgentMessage>::default();
        decoder.feed(&Bytes::copy_from_slice(&u32::MAX.to_le_bytes()));
        assert_eq!(decoder.next_message(), Err(ControlError::TooLarge { found: u32::MAX as usize }));
    }

    #[test]
    fn a_message_beyond_the_limit_is_not_sent() {
        let big = Observed { generation: 1, status: vec![0; MAX_MESSAGE_BYTES].into() };
        let mut wire = BytesMut::new();
        assert!(matches!(encode(&AgentMessage::from(big), &mut wire), Err(ControlError::TooLarge { .. })));
        assert!(wire.is_empty());
    }

    #[test]
    fn bytes_that_are_no_message_are_refused() {
        let mut decoder = Decoder::<AgentMessage>::default();
        decoder.feed(&Bytes::from_static(&[2, 0, 0, 0, 0xff, 0xff]));
        assert!(matches!(decoder.next_message(), Err(ControlError::Malformed(_))));
    }
}
