//! Frames: bytes of strangers, and good frames with a few bytes changed whose checksum is made right again, so that what
//! lies behind the checksum is reached.
#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use towpath_fuzz::{changed, frames};
use towpath_record::SealedFrame;

fuzz_target!(|data: &[u8]| {
    take(Bytes::copy_from_slice(data));
    for (schema, frame) in frames() {
        let changed = changed(frame.bytes(), data);
        if let Some(parsed) = take(changed) {
            // A frame that names another schema is refused; one that names this is decoded or refused, never trusted.
            if let Ok(batch) = parsed.decode(schema) {
                assert_eq!(batch.num_rows(), parsed.header().rows as usize);
                assert_eq!(batch.schema_ref().fields(), schema.arrow().fields());
            }
        }
    }
});

fn take(bytes: Bytes) -> Option<SealedFrame> {
    let length = SealedFrame::peek_len(&bytes);
    let parsed = SealedFrame::parse(bytes.clone()).ok()?;
    assert_eq!(length, Ok(Some(bytes.len())), "a frame knows its length from its first bytes");
    assert_eq!(parsed.bytes(), &bytes);
    Some(parsed)
}
