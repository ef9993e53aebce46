//! Routes' streams: frames to the agent, each after its offset.

use bytes::Bytes;
use quinn::{Connection, SendStream, WriteError};
use tokio::sync::mpsc;
use tokio_util::task::AbortOnDropHandle;
use towpath_proto::stream::Preamble;
use towpath_record::{LogOffset, SealedFrame};

use super::connection::Input;

/// Writes the deliveries of one binding, beside the session's task.
pub(super) struct Writer {
    // Bounded by the machine, which has few frames at the transport at a time.
    queue: mpsc::UnboundedSender<(LogOffset, SealedFrame)>,
    _task: AbortOnDropHandle<()>,
}

impl Writer {
    /// Queues a delivery.
    pub(super) fn write(&self, offset: LogOffset, frame: SealedFrame) {
        // A writer that has ended means a lost connection, of which the control stream tells.
        drop(self.queue.send((offset, frame)));
    }
}

/// Begins the stream of a binding.
pub(super) fn start(binding: u32, connection: Connection, inputs: mpsc::Sender<Input>) -> Writer {
    let (queue, mut deliveries) = mpsc::unbounded_channel::<(LogOffset, SealedFrame)>();
    let task = tokio::spawn(async move {
        let Ok(mut stream) = connection.open_uni().await else { return };
        let preamble = Preamble::Route { binding }.to_bytes();
        if stream.write_all(&preamble).await.is_err() {
            return;
        }
        while let Some((offset, frame)) = deliveries.recv().await {
            if write(&mut stream, offset, &frame).await.is_err()
                || inputs.send(Input::Written { binding }).await.is_err()
            {
                return;
            }
        }
    });
    Writer { queue, _task: AbortOnDropHandle::new(task) }
}

async fn write(stream: &mut SendStream, offset: LogOffset, frame: &SealedFrame) -> Result<(), WriteError> {
    let mut chunks = [Bytes::copy_from_slice(&offset.0.to_le_bytes()), frame.bytes().clone()];
    stream.write_all_chunks(&mut chunks).await
}
