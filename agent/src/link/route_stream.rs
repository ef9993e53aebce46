//! Routes' streams: frames from the cell, each after its offset in the region's log.

use quinn::{Connection, RecvStream};
use tokio::sync::mpsc;
use tokio_util::task::AbortOnDropHandle;
use towpath_proto::stream::{DeliveryDecoder, Preamble};

use super::connection::Input;

/// Bytes that are read at once.
const READ_BYTES: usize = 256 << 10;

/// Accepts the cell's streams and tells which binding each is for.
pub(super) fn accept(connection: Connection, inputs: mpsc::Sender<Input>) -> AbortOnDropHandle<()> {
    AbortOnDropHandle::new(tokio::spawn(async move {
        // The control stream reports the loss of the connection.
        while let Ok(stream) = connection.accept_uni().await {
            let input = begin(stream).await;
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
        Ok(Preamble::Route { binding }) => Input::RouteBegan { binding, stream },
        Ok(Preamble::Lane { .. }) => Input::Unreadable("a cell sends no frames of lanes".to_owned()),
        Err(error) => Input::Unreadable(error.to_string()),
    }
}

/// Reads the frames of a binding until its stream ends.
pub(super) fn read(
    binding: u32,
    mut stream: RecvStream,
    inputs: mpsc::Sender<Input>,
) -> AbortOnDropHandle<()> {
    AbortOnDropHandle::new(tokio::spawn(async move {
        let mut decoder = DeliveryDecoder::default();
        // An end in the middle of a frame is how a binding is abandoned: its frames come again in the next.
        while let Ok(Some(chunk)) = stream.read_chunk(READ_BYTES, true).await {
            let mut bytes = chunk.bytes;
            while !bytes.is_empty() {
                let input = match decoder.next_delivery(&mut bytes) {
                    Ok(Some((offset, frame))) => Input::Delivery { binding, offset, frame },
                    Ok(None) => break,
                    Err(error) => Input::Unreadable(error.to_string()),
                };
                let ends = matches!(input, Input::Unreadable(_));
                if inputs.send(input).await.is_err() || ends {
                    return;
                }
            }
        }
    }))
}
