//! Lanes' streams: frames to the cell, their bytes as they lie in the spool.

use quinn::Connection;
use tokio::sync::mpsc;
use tokio_util::task::AbortOnDropHandle;
use towpath_proto::stream::Preamble;
use towpath_record::SealedFrame;

use super::connection::Input;

/// Writes the frames of one opening, beside the session's task.
pub(super) struct Writer {
    // Bounded by the machine, which gives the transport few frames at a time.
    queue: mpsc::UnboundedSender<SealedFrame>,
    _task: AbortOnDropHandle<()>,
}

impl Writer {
    /// Queues a frame.
    pub(super) fn write(&self, frame: SealedFrame) {
        // A writer that has ended means a lost connection, of which the control stream tells.
        let _ = self.queue.send(frame);
    }
}

/// Begins the stream of an opening. Dropping the writer abandons it, perhaps in the middle of a frame.
pub(super) fn start(opening: u32, connection: Connection, inputs: mpsc::Sender<Input>) -> Writer {
    let (queue, mut frames) = mpsc::unbounded_channel::<SealedFrame>();
    let task = tokio::spawn(async move {
        let Ok(mut stream) = connection.open_uni().await else { return };
        if stream.write_all(&Preamble::Lane { opening }.to_bytes()).await.is_err() {
            return;
        }
        while let Some(frame) = frames.recv().await {
            if stream.write_chunk(frame.bytes().clone()).await.is_err()
                || inputs.send(Input::Written { opening }).await.is_err()
            {
                return;
            }
        }
    });
    Writer { queue, _task: AbortOnDropHandle::new(task) }
}
