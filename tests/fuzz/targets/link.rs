//! The control stream and the data streams of a link, fed in pieces of any size.
#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use towpath_fuzz::pieces;
use towpath_proto::control::Decoder;
use towpath_proto::link::{AgentMessage, CellMessage};
use towpath_proto::stream::{DeliveryDecoder, FrameDecoder};

fuzz_target!(|data: &[u8]| {
    let mut agents = Decoder::<AgentMessage>::default();
    let mut cells = Decoder::<CellMessage>::default();
    let (mut frames, mut deliveries) = (FrameDecoder::default(), DeliveryDecoder::default());
    let (mut agents_on, mut cells_on, mut frames_on, mut deliveries_on) = (true, true, true, true);
    for piece in pieces(data) {
        let piece = Bytes::copy_from_slice(piece);
        if agents_on {
            agents.feed(&piece);
            agents_on = drain(|| agents.next_message());
        }
        if cells_on {
            cells.feed(&piece);
            cells_on = drain(|| cells.next_message());
        }
        let (mut of_frames, mut of_deliveries) = (piece.clone(), piece);
        frames_on = frames_on && drain(|| frames.next_frame(&mut of_frames));
        deliveries_on = deliveries_on && drain(|| deliveries.next_delivery(&mut of_deliveries));
    }
});

/// Takes what is whole. False: the stream is broken, and its connection would be closed.
fn drain<T, E>(mut next: impl FnMut() -> Result<Option<T>, E>) -> bool {
    loop {
        match next() {
            Ok(Some(_)) => {}
            Ok(None) => return true,
            Err(_) => return false,
        }
    }
}
