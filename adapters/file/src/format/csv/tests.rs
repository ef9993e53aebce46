use super::*;
use proptest::prelude::*;

fn splitter(format: &CsvFormat) -> CsvSplitter {
    CsvSplitter::new(format, 0, 1_000)
}

fn rows(text: &str, table: &Table, width: usize) -> Vec<Vec<String>> {
    let field = |row, column| table.field(text, row, column).unwrap().text.to_owned();
    (0..table.rows().len()).map(|row| (0..width).map(|column| field(row, column)).collect()).collect()
}

fn split(format: &CsvFormat, text: &str) -> (Vec<Vec<String>>, Vec<(u64, String)>) {
    let mut splitter = splitter(format);
    let mut table = Table::default();
    table.reset(0);
    assert_eq!(splitter.split(text, true, usize::MAX, &mut table).consumed, text.len());
    let refused = table.refused().iter().map(|r| (r.row.line, r.reason.clone())).collect();
    (rows(text, &table, splitter.width()), refused)
}

fn plain(text: &str) -> Vec<Vec<String>> {
    let (rows, refused) = split(&CsvFormat::default(), text);
    assert_eq!(refused, []);
    rows
}

#[test]
fn quotes_line_ends_and_empty_lines_follow_the_usual_dialect() {
    assert_eq!(plain("a,b\r\n1,2\n\n\r\n3,\n,4"), [["a", "b"], ["1", "2"], ["3", ""], ["", "4"]]);
    assert_eq!(plain("\"a,\"\"x\"\"\n\",b\r\n"), [["a,\"x\"\n", "b"]]);
    assert_eq!(plain("a\"b,\"\"\n"), [["a\"b", ""]]);
    assert_eq!(plain("\"ab\"c\"d\",x\n"), [["abc\"d\"", "x"]]);
    assert_eq!(plain("\"\"\n"), [[""]]);
}

#[test]
fn escapes_comments_and_trimming_are_options() {
    let format = CsvFormat { escape: Some('\\'), comment: Some('#'), trim: true, ..CsvFormat::default() };
    let (found, refused) = split(&format, "#c,\"\n a , \"b\\\"\n\"\"c\" \n# end");
    assert_eq!(found, [["a", "b\"\n\"c"]]);
    assert_eq!(refused, []);
    let raw = CsvFormat { quote: None, delimiter: ';', ..CsvFormat::default() };
    assert_eq!(split(&raw, "\"a;b\"\n").0, [["\"a", "b\""]]);
}

#[test]
fn a_record_with_a_wrong_number_of_fields_is_refused_by_its_line() {
    let (rows, refused) = split(&CsvFormat::default(), "a,b\n\"x\ny\",2\n1\n1,2,3\n5,6\n");
    assert_eq!(rows.len(), 3);
    assert_eq!(refused[0], (4, "it has 1 fields where 2 are expected".into()));
    assert_eq!(refused[1], (5, "it has 3 fields where 2 are expected".into()));
}

#[test]
fn a_quote_that_is_never_closed_makes_one_bad_row() {
    let (rows, refused) = split(&CsvFormat::default(), "a,b\n1,\"2\n3,4\n");
    assert_eq!(rows.len(), 1);
    assert_eq!(refused[0].0, 2);
    assert!(refused[0].1.contains("line 2 is never closed, so lines 2 to 4"), "{refused:?}");
}

#[test]
fn a_record_that_is_too_long_is_passed_over_to_its_own_end() {
    let record = format!("1,\"{}\n\"\"x\",2\n", "y".repeat(2_000));
    let text = format!("{record}3,4,5\n");
    for cut in 1..record.len() {
        let mut splitter = splitter(&CsvFormat::default());
        let first = splitter.skip(&text.as_bytes()[..cut], true);
        if first.done {
            assert_eq!(first.consumed, record.len());
            continue;
        }
        assert_eq!(first.consumed, cut);
        let second = splitter.skip(&text.as_bytes()[cut..], false);
        assert!(second.done);
        assert_eq!(first.consumed + second.consumed, record.len(), "cut at {cut}");
        assert_eq!(splitter.line(), 3);
    }
}

fn written(rows: &[Vec<String>], quote_all: bool, crlf: bool, last_newline: bool) -> String {
    let field = |text: &String| {
        if quote_all || text.is_empty() || text.contains([',', '"', '\n', '\r']) {
            format!("\"{}\"", text.replace('"', "\"\""))
        } else {
            text.clone()
        }
    };
    let lines: Vec<String> =
        rows.iter().map(|row| row.iter().map(field).collect::<Vec<_>>().join(",")).collect();
    let end = if crlf { "\r\n" } else { "\n" };
    let mut text = lines.join(end);
    if last_newline && !text.is_empty() {
        text.push_str(end);
    }
    text
}

fn table_of_texts() -> impl Strategy<Value = Vec<Vec<String>>> {
    (1usize..5).prop_flat_map(|width| {
        proptest::collection::vec(proptest::collection::vec("[a-c,\"\r\nü ]{0,6}", width), 0..12)
    })
}

proptest! {
    #[test]
    fn what_was_written_is_read_back(
        table in table_of_texts(), quote_all: bool, crlf: bool, last_newline: bool,
    ) {
        let text = written(&table, quote_all, crlf, last_newline);
        prop_assert_eq!(plain(&text), table);
    }

    #[test]
    fn where_the_text_is_cut_does_not_matter(
        text in "[a,\"\n\r\\\\#]{0,60}", cut in 0usize..60, escape: bool, comment: bool, most in 1usize..4,
    ) {
        let format = CsvFormat {
            escape: escape.then_some('\\'), comment: comment.then_some('#'), ..CsvFormat::default()
        };
        let whole = split(&format, &text);
        let mut pieces = splitter(&format);
        let mut found = (Vec::new(), Vec::new());
        let mut begin = 0;
        let mut end = cut.min(text.len());
        while begin < text.len() {
            let mut table = Table::default();
            table.reset(pieces.width());
            let split = pieces.split(&text[begin..end], end == text.len(), most, &mut table);
            found.0.extend(rows(&text[begin..end], &table, pieces.width()));
            found.1.extend(table.refused().iter().map(|r| (r.row.line, r.reason.clone())));
            begin += split.consumed;
            if split.consumed == 0 { end = (end + 1).min(text.len()); }
        }
        prop_assert_eq!(found, whole);
    }

    #[test]
    fn the_independent_core_reads_the_same(text in "[a,\"\n]{0,40}") {
        let mut core = csv_core::Reader::new();
        let mut expected: Vec<Vec<String>> = Vec::new();
        let ended = format!("{}\n", text.trim_end_matches('\n'));
        let (mut input, mut fields, mut ends) = (ended.as_bytes(), vec![0; 100], vec![0; 100]);
        loop {
            let (result, read, _, count) = core.read_record(input, &mut fields, &mut ends);
            input = &input[read..];
            match result {
                csv_core::ReadRecordResult::Record => {
                    let mut begin = 0;
                    expected.push(ends[..count].iter().map(|end| {
                        let field = std::str::from_utf8(&fields[std::mem::replace(&mut begin, *end)..*end]);
                        field.unwrap().to_owned()
                    }).collect());
                }
                csv_core::ReadRecordResult::End => break,
                // A quote that is never closed is a bad row here, and a field there.
                csv_core::ReadRecordResult::InputEmpty if !input.is_empty() || count > 0 => return Ok(()),
                csv_core::ReadRecordResult::InputEmpty => {}
                other => panic!("{other:?}"),
            }
        }
        let width = expected.first().map_or(0, Vec::len);
        expected.retain(|row| row.len() == width);
        let (rows, refused) = split(&CsvFormat::default(), &text);
        prop_assume!(!refused.iter().any(|(_, reason)| reason.contains("never closed")));
        prop_assert_eq!(rows, expected);
    }
}
