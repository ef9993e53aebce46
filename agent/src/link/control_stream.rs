//! The control stream: messages in both directions.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use quinn::{Connection, RecvStream, SendStream};
use tokio::sync::{mpsc, oneshot};
use tokio_util::task::AbortOnDropHandle;
use towpath_proto::control::{self, Decoder};
use towpath_proto::link::AgentMessage;

use super::connection::Input;

/// Bytes that are read at once.
const READ_BYTES: usize = 64 << 10;
/// Messages that may wait for a slow control plane. One that does not read so many is given up.
const QUEUE: usize = 1_024;
/// How long a goodbye may take to leave.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(1);
/// The control stream goes before the data streams, whose default is 0: an acknowledgement or a heartbeat must
/// not wait behind megabytes of frames.
const PRIORITY: i32 = 1;

enum Outgoing {
    Message(Bytes),
    Flush(oneshot::Sender<()>),
}

/// Writes messages in order, beside the session's task.
pub(super) struct Writer {
    queue: mpsc::Sender<Outgoing>,
    _task: AbortOnDropHandle<()>,
}

impl Writer {
    /// Queues a message.
    pub(super) fn write(&self, message: &AgentMessage) -> Result<(), String> {
        let mut bytes = BytesMut::new();
        control::encode(message, &mut bytes).map_err(|error| error.to_string())?;
        self.queue
            .try_send(Outgoing::Message(bytes.freeze()))
            .map_err(|_| "the control plane does not read what it is told".to_owned())
    }

    /// Waits until what was queued has been read by the other side, or it takes too long.
    pub(super) async fn flush(&self) {
        let (done, flushed) = oneshot::channel();
        if self.queue.try_send(Outgoing::Flush(done)).is_ok() {
            // A peer that is gone or reads nothing has no use for the goodbye.
            let _ = tokio::time::timeout(FLUSH_TIMEOUT, flushed).await;
        }
    }
}

/// Opens the control stream, then writes and reads it.
pub(super) fn start(connection: Connection, inputs: mpsc::Sender<Input>) -> Writer {
    let (queue, outgoing) = mpsc::channel(QUEUE);
    let task = tokio::spawn(async move {
        match connection.open_bi().await {
            Ok((send, receive)) => {
                // Fails only for a stream that is closed, of which the writing tells.
                let _ = send.set_priority(PRIORITY);
                tokio::join!(write_all(send, outgoing), read_all(&connection, receive, &inputs));
            }
            Err(error) => drop(inputs.send(Input::Lost(error)).await),
        }
    });
    Writer { queue, _task: AbortOnDropHandle::new(task) }
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
                if stream.finish().is_ok() {
                    // Resolves when the peer has acknowledged all of it, or is gone.
                    let _ = stream.stopped().await;
                }
                let _ = done.send(());
                return;
            }
        }
    }
}

async fn read_all(connection: &Connection, mut stream: RecvStream, inputs: &mpsc::Sender<Input>) {
    let mut decoder = Decoder::default();
    while let Ok(Some(chunk)) = stream.read_chunk(READ_BYTES, true).await {
        decoder.feed(&chunk.bytes);
        loop {
            let input = match decoder.next_message() {
                Ok(Some(message)) => Input::Message(message),
                Ok(None) => break,
                Err(error) => Input::Unreadable(error.to_string()),
            };
            let ends = matches!(input, Input::Unreadable(_));
            if inputs.send(input).await.is_err() || ends {
                return;
            }
        }
    }
    // The stream ends only with the connection: wait for its reason.
    let reason = connection.closed().await;
    let _ = inputs.send(Input::Lost(reason)).await;
}
