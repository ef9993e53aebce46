//! The control stream: messages in both directions.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use quinn::{Connection, RecvStream, SendStream};
use tokio::sync::{mpsc, oneshot};
use tokio_util::task::AbortOnDropHandle;
use towpath_proto::control::{self, Decoder};
use towpath_proto::link::CellMessage;

use super::connection::Input;

/// Bytes that are read at once.
const READ_BYTES: usize = 64 << 10;
/// Messages that may wait for a slow peer. A peer that does not read so many is given up.
const QUEUE: usize = 1_024;
/// How long a goodbye may take to leave.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(1);

enum Outgoing {
    Message(Bytes),
    Flush(oneshot::Sender<bool>),
}

/// Writes messages in order, beside the session's task.
pub(super) struct Writer {
    queue: mpsc::Sender<Outgoing>,
    _tasks: AbortOnDropHandle<()>,
}

impl Writer {
    /// Queues a message.
    pub(super) fn write(&mut self, message: &CellMessage) -> Result<(), String> {
        let mut bytes = BytesMut::new();
        control::encode(message, &mut bytes).map_err(|error| error.to_string())?;
        self.queue
            .try_send(Outgoing::Message(bytes.freeze()))
            .map_err(|_| "the agent does not read what it is told".to_owned())
    }

    /// Waits until the peer has received what was queued, or it takes too long. Says whether it has.
    pub(super) async fn flush(&mut self) -> bool {
        let (done, flushed) = oneshot::channel();
        if self.queue.try_send(Outgoing::Flush(done)).is_err() {
            return false;
        }
        // A peer that is gone or reads nothing has no use for the goodbye.
        matches!(tokio::time::timeout(FLUSH_TIMEOUT, flushed).await, Ok(Ok(true)))
    }
}

/// Waits for the agent's control stream, then reads and writes it.
pub(super) fn start(connection: Connection, inputs: mpsc::Sender<Input>) -> Writer {
    let (queue, outgoing) = mpsc::channel(QUEUE);
    let tasks = tokio::spawn(async move {
        match connection.accept_bi().await {
            Ok((send, receive)) => {
                tokio::join!(write_all(send, outgoing), read_all(receive, &inputs));
            }
            Err(error) => drop(inputs.send(Input::Lost(error)).await),
        }
    });
    Writer { queue, _tasks: AbortOnDropHandle::new(tasks) }
}

async fn write_all(mut stream: SendStream, mut outgoing: mpsc::Receiver<Outgoing>) {
    while let Some(next) = outgoing.recv().await {
        match next {
            Outgoing::Message(bytes) => {
                if stream.write_chunk(bytes).await.is_err() {
                    // The reading side learns of the loss and tells the session.
                    return;
                }
            }
            Outgoing::Flush(done) => {
                // Finished and acknowledged: the peer has all of it.
                let received = stream.finish().is_ok() && matches!(stream.stopped().await, Ok(None));
                let _ = done.send(received);
                return;
            }
        }
    }
}

async fn read_all(mut stream: RecvStream, inputs: &mpsc::Sender<Input>) {
    let mut decoder = Decoder::default();
    loop {
        let input = match stream.read_chunk(READ_BYTES, true).await {
            Ok(Some(chunk)) => {
                decoder.feed(&chunk.bytes);
                loop {
                    match decoder.next_message() {
                        Ok(Some(message)) => {
                            if inputs.send(Input::Message(message)).await.is_err() {
                                return;
                            }
                        }
                        Ok(None) => break,
                        Err(error) => return drop(inputs.send(Input::Unreadable(error.to_string())).await),
                    }
                }
                continue;
            }
            Ok(None) => Input::Unreadable("the control stream ended".to_owned()),
            Err(quinn::ReadError::ConnectionLost(error)) => Input::Lost(error),
            Err(error) => Input::Unreadable(error.to_string()),
        };
        return drop(inputs.send(input).await);
    }
}
