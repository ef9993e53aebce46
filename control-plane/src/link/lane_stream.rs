//! Lanes' streams: frames from the agent.

use quinn::{Connection, RecvStream};
use tokio::sync::mpsc;
use tokio_util::task::AbortOnDropHandle;
use towpath_proto::stream::{FrameDecoder, Preamble};

use super::connection::Input;

/// Bytes that are read at once.
const READ_BYTES: usize = 256 << 10;

/// Accepts the agent's streams and tells which opening each is for.
pub(super) fn accept(connection: Connection, inputs: mpsc::Sender<Input>) -> AbortOnDropHandle<()> {
    AbortOnDropHandle::new(tokio::spawn(async move {
        loop {
            let input = match connection.accept_uni().await {
                Ok(stream) => begin(stream).await,
                // The control stream reports the loss.
                Err(_) => return,
            };
            if inputs.send(input).await.is_err() {
                return;
            }
        }
    }))
}

async fn begin(mut stream: RecvStream) -> Input {
    let mut preamble = [0; Preamble::BYTES];
    if let Err(error) = stream.read_exact(&mut preamble).await {
        return Input::Unreadable(format!("a data stream has no preamble: {error}"));
    }
    match Preamble::parse(&preamble) {
        Ok(Preamble::Lane { opening }) => Input::LaneBegan { opening, stream },
        Ok(Preamble::Route { .. }) => Input::Unreadable("an agent sends no frames of routes".to_owned()),
        Err(error) => Input::Unreadable(error.to_string()),
    }
}

/// Reads the frames of an opening until its stream ends.
pub(super) fn read(
    opening: u32,
    mut stream: RecvStream,
    inputs: mpsc::Sender<Input>,
) -> AbortOnDropHandle<()> {
    AbortOnDropHandle::new(tokio::spawn(async move {
        let mut decoder = FrameDecoder::default();
        // An end in the middle of a frame is how an opening is abandoned: its frames come again in the next.
        while let Ok(Some(chunk)) = stream.read_chunk(READ_BYTES, true).await {
            let mut bytes = chunk.bytes;
            while !bytes.is_empty() {
                let input = match decoder.next_frame(&mut bytes) {
                    Ok(Some(frame)) => Input::Frame { opening, frame },
                    Ok(None) => break,
                    Err(error) => Input::Unreadable(error.to_string()),
                };
                if inputs.send(input).await.is_err() {
                    return;
                }
            }
        }
    }))
}
