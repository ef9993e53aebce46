//! A TCP stream that leaves a busy sender in peace.
//!
//! A server that is woken, or wakes somebody, for each small piece that it sends spends its time on waking. While small
//! pieces follow one another, the stream rests a moment after each read and is not watched meanwhile, so that the next
//! read finds what has gathered.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep, sleep};

/// A read that brought less may be followed by more at once.
const SMALL_READ_BYTES: usize = 64 << 10;
/// How long the stream rests.
const LULL: Duration = Duration::from_millis(1);
/// Pieces follow one another when a read comes so soon after the one before, rest and all.
const FLOWS_WITHIN: Duration = Duration::from_millis(6);

/// The stream.
pub(super) struct Unhurried {
    state: State,
    /// Who waits for the rest to be over.
    reader: Option<Waker>,
    last_read: Instant,
    /// Bytes since the last rest.
    read: usize,
    flows_within: Duration,
}

enum State {
    Watched(TcpStream),
    /// The runtime does not know of it.
    Resting(std::net::TcpStream, Pin<Box<Sleep>>),
    /// It could not be taken from the runtime or given back.
    Lost,
}

impl Unhurried {
    pub(super) fn new(stream: TcpStream) -> Self {
        let (state, last_read) = (State::Watched(stream), Instant::now());
        Self { state, reader: None, last_read, read: 0, flows_within: FLOWS_WITHIN }
    }

    /// The stream, whose rest is over. A reader that waits for that is woken, since its pause is gone.
    fn watched(&mut self) -> io::Result<Pin<&mut TcpStream>> {
        if let State::Resting(..) = self.state
            && let State::Resting(stream, _) = std::mem::replace(&mut self.state, State::Lost)
        {
            self.state = State::Watched(TcpStream::from_std(stream)?);
            self.reader.take().inspect(Waker::wake_by_ref);
        }
        match &mut self.state {
            State::Watched(stream) => Ok(Pin::new(stream)),
            State::Resting(..) | State::Lost => Err(io::ErrorKind::NotConnected.into()),
        }
    }

    fn rest(&mut self) -> io::Result<()> {
        if let State::Watched(_) = self.state
            && let State::Watched(stream) = std::mem::replace(&mut self.state, State::Lost)
        {
            self.state = State::Resting(stream.into_std()?, Box::pin(sleep(LULL)));
        }
        Ok(())
    }

    /// Notes what a read brought, and rests if more small pieces are to be expected.
    fn has_read(&mut self, bytes: usize, all_there_was: bool) -> io::Result<()> {
        let flows = self.last_read.elapsed() < self.flows_within;
        self.last_read = Instant::now();
        self.read += bytes;
        if !all_there_was || bytes == 0 {
            return Ok(());
        }
        let few = std::mem::take(&mut self.read) < SMALL_READ_BYTES;
        if flows && few { self.rest() } else { Ok(()) }
    }
}

impl AsyncRead for Unhurried {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if let State::Resting(_, rest) = &mut this.state {
            this.reader = Some(context.waker().clone());
            ready!(rest.as_mut().poll(context));
            this.reader = None;
        }
        let before = into.filled().len();
        ready!(self.watched()?.poll_read(context, into))?;
        let all_there_was = into.remaining() > 0;
        Poll::Ready(self.has_read(into.filled().len() - before, all_there_was))
    }
}

impl AsyncWrite for Unhurried {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.watched()?.poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.watched()?.poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.watched()?.poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;

    async fn pair() -> (Unhurried, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (stream, accepted) =
            tokio::join!(TcpStream::connect(listener.local_addr().unwrap()), listener.accept());
        let flows_within = Duration::MAX;
        (Unhurried { flows_within, ..Unhurried::new(stream.unwrap()) }, accepted.unwrap().0)
    }

    #[tokio::test]
    async fn small_pieces_that_follow_one_another_bring_rest_and_lose_nothing() {
        let (mut stream, mut server) = pair().await;
        let mut room = [0; 100];
        for piece in [&b"one"[..], b"two", b"three"] {
            server.write_all(piece).await.unwrap();
            let read = stream.read(&mut room).await.unwrap();
            assert_eq!(&room[..read], piece);
            assert!(matches!(stream.state, State::Resting(..)));
        }
    }

    #[tokio::test]
    async fn what_is_written_does_not_wait_for_the_rest() {
        let (mut stream, mut server) = pair().await;
        let mut room = [0; 100];
        server.write_all(b"question").await.unwrap();
        assert_eq!(stream.read(&mut room).await.unwrap(), 8);
        stream.write_all(b"answer").await.unwrap();
        assert_eq!(server.read(&mut room).await.unwrap(), 6);
        drop(server);
        assert_eq!(stream.read(&mut room).await.unwrap(), 0, "the end comes too");
    }

    #[tokio::test]
    async fn a_reader_goes_on_when_a_writer_ends_the_rest() {
        let (stream, mut server) = pair().await;
        let (mut input, mut output) = tokio::io::split(stream);
        let mut room = [0; 100];
        server.write_all(b"one").await.unwrap();
        assert_eq!(input.read(&mut room).await.unwrap(), 3);
        let reader = tokio::spawn(async move { input.read(&mut room).await });
        // The reader waits for the rest to be over.
        tokio::task::yield_now().await;
        output.write_all(b"seen").await.unwrap();
        server.write_all(b"two").await.unwrap();
        let read = tokio::time::timeout(Duration::from_secs(20), reader).await;
        assert_eq!(read.expect("it is woken").unwrap().unwrap(), 3);
    }

    #[tokio::test]
    async fn one_that_is_still_being_emptied_does_not_rest() {
        let (mut stream, mut server) = pair().await;
        server.write_all(&[7; 100]).await.unwrap();
        let mut room = [0; 60];
        assert_eq!(stream.read(&mut room).await.unwrap(), 60);
        assert!(matches!(stream.state, State::Watched(_)));
        assert_eq!(stream.read(&mut room).await.unwrap(), 40);
        assert!(matches!(stream.state, State::Resting(..)));
    }
}
