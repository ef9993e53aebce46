use super::*;
use crate::config::{FileSourceConfig, parse};
use serde_json::{Value, json};
use std::io::Write;

fn plan(rule: Value) -> ReadPlan {
    let mut files = json!({"include": ["*"], "stream": "s"});
    files.as_object_mut().unwrap().extend(rule.as_object().unwrap().clone());
    let config: FileSourceConfig = parse("source", &json!({"path": "/in", "files": [files]})).unwrap();
    ReadPlan {
        rule: Arc::new(config.files[0].clone()),
        facts: FileFacts { path: "a".into(), modified_us: 0 },
        resource: "/in/a".into(),
        provenance: false,
        batch_rows: config.batch.rows,
        batch_bytes: usize::try_from(config.batch.bytes.0).unwrap(),
        stop: CancellationToken::new(),
    }
}

fn reader(rule: Value, file: File) -> RecordReader {
    let length = file.metadata().unwrap().len();
    RecordReader::open(plan(rule), file, Extent { length, growing: false }, None, None).unwrap()
}

fn file(content: &[u8]) -> File {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(content).unwrap();
    file
}

/// Reads to the end; returns good rows, dead letters and the largest window buffer.
fn read(reader: &mut RecordReader) -> (usize, Vec<DeadLetter>, usize) {
    let (mut rows, mut letters, mut largest) = (0, Vec::new(), 0);
    loop {
        let parsed = reader.next().unwrap();
        rows += parsed.batch.map_or(0, |batch| batch.num_rows());
        letters.extend(parsed.letters);
        largest = largest.max(reader.text.buffer_bytes());
        if parsed.verdict != Verdict::More {
            return (rows, letters, largest);
        }
    }
}

#[test]
fn memory_does_not_grow_with_the_length_of_a_record() {
    const LIMIT: usize = 64 << 10;
    let mut sparse = file(b"{\"first\":1}\n");
    sparse.set_len(400 << 20).unwrap();
    std::io::Seek::seek(&mut sparse, std::io::SeekFrom::End(0)).unwrap();
    sparse.write_all(b"\n{\"first\":2}\n").unwrap();
    for format in [json!("lines"), json!({"csv": {"header": false}}), json!("json_lines")] {
        let rule = json!({"format": format, "max_record_bytes": "64KiB"});
        let (rows, letters, largest) = read(&mut reader(rule, sparse.try_clone().unwrap()));
        assert_eq!((rows, letters.len()), (2, 1), "{format}");
        assert_eq!((letters[0].line, letters[0].raw.len()), (2, 64 << 10), "{format}");
        assert!(largest <= (1 << 20) + LIMIT + 2 * BLOCK_BYTES, "{format}: {largest} bytes");
    }
}

#[test]
fn a_record_between_blocks_is_as_long_as_it_may_be() {
    // Ends of blocks and of the sample fall anywhere in the records.
    for length in [100, 5_000, 200_000, 300_000, 700_000, 1_000_000] {
        let line = "x".repeat(length);
        let count = 4_000_000 / length + 2;
        for format in [json!("lines"), json!({"csv": {"header": false}})] {
            let mut whole =
                reader(json!({"format": format}), file(format!("{line}\n").repeat(count).as_bytes()));
            let (rows, letters, _) = read(&mut whole);
            assert_eq!((rows, letters.len()), (count, 0), "{format}: {count} records of {length} bytes");
        }
    }
}

#[test]
fn bad_rows_in_great_number_are_handed_over_in_bounded_batches() {
    let mut reader = reader(json!({"format": {"json_lines": {}}}), file("x\n".repeat(100_000).as_bytes()));
    let mut seen = 0;
    loop {
        let parsed = reader.next().unwrap();
        assert!(parsed.letters.len() <= 16_384);
        seen += parsed.letters.len();
        if parsed.verdict == Verdict::End {
            break;
        }
    }
    assert_eq!(seen, 100_000);
}

#[test]
fn a_resumed_reader_goes_on_exactly_where_it_was() {
    let text: String = (0..500).map(|row| format!("{row},\"a\nb\"\n")).collect();
    let source = file(format!("\u{feff}id,text\n{text}").as_bytes());
    let mut plan = plan(json!({"format": "csv"}));
    plan.batch_rows = 50;
    let extent = Extent { length: source.metadata().unwrap().len(), growing: false };
    let open =
        |resume| RecordReader::open(plan.clone(), source.try_clone().unwrap(), extent, None, resume).unwrap();
    let mut first = open(None);
    let mut place = first.counts();
    for batch in 0.. {
        let parsed = open(Some(place)).next().unwrap();
        assert_eq!(parsed.end.good, (batch + 1) * 50);
        assert_eq!(parsed.end.line, 2 + (batch + 1) * 100);
        assert_eq!(parsed.end, first.next().unwrap().end);
        place = parsed.end;
        if place.good == 500 {
            break;
        }
    }
}
