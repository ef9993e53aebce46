//! A thread that takes requests from many senders and works them off in batches, in the order they were sent.

use std::io;
use std::sync::mpsc::{Receiver, RecvError, SendError, SyncSender, TrySendError, sync_channel};
use std::thread::{self, JoinHandle};

/// How much waits, and how much is done at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Most requests that wait for the thread. A sender that finds the queue full waits, too.
    pub queue: usize,
    /// A batch takes no more requests once it has this many bytes.
    pub batch_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { queue: 1024, batch_bytes: 8 << 20 }
    }
}

/// The sending side. Dropping it lets the thread finish what was sent and waits for that.
#[derive(Debug)]
pub struct Batcher<T> {
    sender: Option<SyncSender<T>>,
    worker: Option<JoinHandle<()>>,
}

impl<T: Send + 'static> Batcher<T> {
    /// Starts the thread. `size` tells a request's bytes, `commit` works a batch off.
    ///
    /// # Errors
    /// The system gives no more threads.
    pub fn start(
        name: &str,
        limits: Limits,
        size: impl Fn(&T) -> usize + Send + 'static,
        mut commit: impl FnMut(Vec<T>) + Send + 'static,
    ) -> io::Result<Self> {
        let (sender, receiver) = sync_channel(limits.queue);
        let work = move || {
            while let Ok(batch) = next_batch(&receiver, limits.batch_bytes, &size) {
                commit(batch);
            }
        };
        let worker = thread::Builder::new().name(name.to_owned()).spawn(work)?;
        Ok(Self { sender: Some(sender), worker: Some(worker) })
    }

    /// Sends a request, waiting while the queue is full. Gives it back if the thread is gone.
    ///
    /// # Errors
    /// The request, if the thread ended.
    pub fn send(&self, request: T) -> Result<(), T> {
        match &self.sender {
            Some(sender) => sender.send(request).map_err(|SendError(request)| request),
            None => Err(request),
        }
    }

    /// Sends a request if there is room for it now.
    ///
    /// # Errors
    /// The request, if the queue is full or the thread ended.
    pub fn try_send(&self, request: T) -> Result<(), T> {
        match &self.sender {
            Some(sender) => sender.try_send(request).map_err(|error| match error {
                TrySendError::Full(request) | TrySendError::Disconnected(request) => request,
            }),
            None => Err(request),
        }
    }
}

fn next_batch<T>(
    receiver: &Receiver<T>,
    most_bytes: usize,
    size: &impl Fn(&T) -> usize,
) -> Result<Vec<T>, RecvError> {
    let first = receiver.recv()?;
    let mut bytes = size(&first);
    let mut batch = vec![first];
    while bytes < most_bytes
        && let Ok(request) = receiver.try_recv()
    {
        bytes += size(&request);
        batch.push(request);
    }
    Ok(batch)
}

impl<T> Drop for Batcher<T> {
    fn drop(&mut self) {
        self.sender = None;
        if let Some(worker) = self.worker.take()
            && worker.join().is_err()
        {
            tracing::error!("a commit thread panicked; what was not acknowledged is not durable");
        }
    }
}
