//! A connection that must get on: cut when nothing goes either way for long, or when the peer does not take what is sent.

use std::future::Future;
use std::io::{self, ErrorKind, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep};

/// How long a connection may do nothing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Patience {
    /// Silence after which it is cut.
    pub(super) silence: Duration,
    /// A peer that takes nothing of what is sent for so long is cut: it would hold memory for ever.
    pub(super) taken_within: Duration,
}

/// A connection that must get on.
pub(super) struct Paced<T> {
    io: T,
    patience: Patience,
    silent_until: Pin<Box<Sleep>>,
    /// While something waits to be taken.
    taken_until: Option<Pin<Box<Sleep>>>,
}

impl<T> Paced<T> {
    pub(super) fn new(io: T, patience: Patience) -> Self {
        Self { io, patience, silent_until: Box::pin(sleep(patience.silence)), taken_until: None }
    }

    fn alive(&mut self) {
        self.silent_until.as_mut().reset(Instant::now() + self.patience.silence);
    }

    /// What became of an attempt to send.
    fn sent<R>(&mut self, context: &mut Context<'_>, outcome: Poll<io::Result<R>>) -> Poll<io::Result<R>> {
        if outcome.is_ready() {
            self.taken_until = None;
            self.alive();
            return outcome;
        }
        let patience = self.patience.taken_within;
        let taken_until = self.taken_until.get_or_insert_with(|| Box::pin(sleep(patience)));
        ready!(taken_until.as_mut().poll(context));
        Poll::Ready(Err(io::Error::new(ErrorKind::TimedOut, "the peer does not take what is sent")))
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Paced<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let outcome = Pin::new(&mut self.io).poll_read(context, buffer);
        if outcome.is_ready() {
            self.alive();
            return outcome;
        }
        ready!(self.silent_until.as_mut().poll(context));
        Poll::Ready(Err(io::Error::new(ErrorKind::TimedOut, "nothing came for too long")))
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Paced<T> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let outcome = Pin::new(&mut self.io).poll_write(context, bytes);
        self.sent(context, outcome)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let outcome = Pin::new(&mut self.io).poll_write_vectored(context, parts);
        self.sent(context, outcome)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let outcome = Pin::new(&mut self.io).poll_flush(context);
        // There being nothing to flush is no sign of life.
        if outcome.is_ready() && self.taken_until.is_none() {
            return outcome;
        }
        self.sent(context, outcome)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let outcome = Pin::new(&mut self.io).poll_shutdown(context);
        self.sent(context, outcome)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

    use super::*;

    const SHORT: Patience =
        Patience { silence: Duration::from_millis(600), taken_within: Duration::from_millis(300) };

    #[tokio::test]
    async fn a_silent_peer_is_cut_and_one_that_speaks_now_and_then_is_not() {
        let (near, mut far) = duplex(64);
        let mut near = Paced::new(near, SHORT);
        for _ in 0..4 {
            sleep(SHORT.silence / 3).await;
            far.write_all(b"x").await.unwrap();
            assert_eq!(near.read_u8().await.unwrap(), b'x');
        }
        let begun = Instant::now();
        assert_eq!(near.read_u8().await.unwrap_err().kind(), ErrorKind::TimedOut);
        assert!(begun.elapsed() >= SHORT.silence / 2);
    }

    #[tokio::test]
    async fn a_peer_that_takes_nothing_is_cut() {
        let (near, _far) = duplex(64);
        let mut near = Paced::new(near, SHORT);
        near.write_all(&[0; 64]).await.unwrap();
        let begun = Instant::now();
        assert_eq!(near.write_all(&[0; 64]).await.unwrap_err().kind(), ErrorKind::TimedOut);
        assert!(begun.elapsed() >= SHORT.taken_within);
    }
}
