//! What the server is told: how far the log was read, and from where on it must be kept.

use std::sync::atomic::{AtomicU64, Ordering};

use bytes::{BufMut, BytesMut};
use tokio::io::{AsyncWrite, AsyncWriteExt};
use tokio::sync::Mutex;

use crate::error::PostgresError;

/// The way back to the server. Only what was released is confirmed, so the slot keeps the rest.
pub(crate) struct Feedback {
    output: Mutex<Box<dyn AsyncWrite + Send + Unpin>>,
    read: AtomicU64,
    released: AtomicU64,
}

impl Feedback {
    pub(crate) fn new(output: Box<dyn AsyncWrite + Send + Unpin>) -> Self {
        Self { output: Mutex::new(output), read: AtomicU64::new(0), released: AtomicU64::new(0) }
    }

    /// Notes how far the log was read.
    pub(crate) fn has_read(&self, lsn: u64) {
        self.read.fetch_max(lsn, Ordering::Relaxed);
    }

    /// Notes that nothing before `lsn` is needed any more.
    pub(crate) fn has_released(&self, lsn: u64) {
        self.released.fetch_max(lsn, Ordering::Relaxed);
    }

    /// Tells the server; it says at once how far it is if `asks`.
    ///
    /// # Errors
    /// The connection broke.
    pub(crate) async fn send(&self, asks: bool) -> Result<(), PostgresError> {
        let released = self.released.load(Ordering::Relaxed);
        let read = self.read.load(Ordering::Relaxed).max(released);
        let mut message = BytesMut::with_capacity(39);
        message.put_u8(b'd');
        message.put_u32(38);
        message.put_u8(b'r');
        for lsn in [read, released, released] {
            message.put_u64(lsn);
        }
        // The server looks at our clock only to show it.
        message.put_i64(0);
        message.put_u8(u8::from(asks));
        let mut output = self.output.lock().await;
        let sent = async {
            output.write_all(&message).await?;
            output.flush().await
        };
        sent.await.map_err(PostgresError::wire("send feedback"))
    }
}
