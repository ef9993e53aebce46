//! The canonical form of schemas: what is taken comes back the same.
#![no_main]

use libfuzzer_sys::fuzz_target;
use towpath_record::StreamSchema;

fuzz_target!(|data: &[u8]| {
    if let Ok(schema) = StreamSchema::from_canonical(data) {
        let again =
            StreamSchema::from_canonical(schema.canonical()).expect("its own canonical form is accepted");
        assert_eq!(again.hash(), schema.hash());
        assert_eq!(again.canonical(), schema.canonical());
        assert_eq!(again.arrow(), schema.arrow());
    }
});
