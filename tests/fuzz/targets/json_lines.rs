//! Files of the format `json_lines`: whatever stands in them, the source comes to an end, and how many rows it takes at once makes
//! no difference to what comes out.
#![no_main]

use libfuzzer_sys::fuzz_target;
use serde_json::json;
use towpath_fuzz::feed::read;

fuzz_target!(|data: &[u8]| {
    let columns = json!([
        { "name": "a", "type": "int64" },
        { "name": "b", "type": "string" },
        { "name": "c", "type": "timestamp" },
    ]);
    for format in [json!({ "json_lines": {} }), json!({ "json_lines": { "columns": columns } })] {
        let (one, many) = (read(data, &format, 1), read(data, &format, 1_000));
        assert_eq!(one, many, "{format}");
    }
});
