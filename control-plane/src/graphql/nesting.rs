//! How deep the brackets of a GraphQL text are nested, found out without reading what they mean. Pure.
//!
//! Whatever reads the text goes down into itself at each bracket. So it is looked at this first, in one pass and with
//! constant memory, lest a text of nothing but brackets use up the stack of the process.

/// The depth of the brackets outside of strings and comments.
///
/// What is left open, such as a string without an end, counts as if it were not a string: the depth is never less than
/// what a reader meets.
pub(super) fn depth(text: &str) -> usize {
    let bytes = text.as_bytes();
    let (mut depth, mut deepest, mut at) = (0_usize, 0, 0);
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'{' | b'[' | b'(' => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b'}' | b']' | b')' => depth = depth.saturating_sub(1),
            b'#' => at += rest_of_line(&bytes[at..]),
            b'"' => at += string(&bytes[at..]).unwrap_or(0),
            _ => {}
        }
        at += 1;
    }
    deepest
}

/// The length of a comment, without its end.
fn rest_of_line(bytes: &[u8]) -> usize {
    bytes.iter().position(|byte| is_line_end(*byte)).unwrap_or(bytes.len()).saturating_sub(1)
}

fn is_line_end(byte: u8) -> bool {
    matches!(byte, b'\n' | b'\r')
}

/// Where the last quote of a string stands, counted from its first; nothing if there is none.
fn string(bytes: &[u8]) -> Option<usize> {
    if bytes.starts_with(b"\"\"\"")
        && let Some(end) = block_end(&bytes[3..])
    {
        return Some(3 + end + 2);
    }
    let mut at = 1;
    loop {
        match bytes.get(at)? {
            b'"' => return Some(at),
            b'\\' => at += 2,
            byte if is_line_end(*byte) => return None,
            _ => at += 1,
        }
    }
}

/// Where the quotes that end a block string begin.
fn block_end(bytes: &[u8]) -> Option<usize> {
    let mut at = 0;
    loop {
        let rest = bytes.get(at..).filter(|rest| !rest.is_empty())?;
        if rest.starts_with(b"\\\"\"\"") {
            at += 4;
        } else if rest.starts_with(b"\"\"\"") {
            return Some(at);
        } else {
            at += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn brackets_count_where_they_are_brackets() {
        for (text, expected) in [
            ("{ a }", 1),
            ("{ a(b: [1, {c: 2}]) { d } }", 4),
            ("{ a } { b } { c }", 1),
            ("# {{{{\n{ a } # {{{", 1),
            (r#"{ a(b: "{{{\"[[[", c: "[") }"#, 2),
            (r#"{ a(b: """ {{{ "[ \""" [[[ """) { c } }"#, 2),
            ("", 0),
            ("}}}{", 1),
            ("{ a(b: \"\") { c } }", 2),
        ] {
            assert_eq!(depth(text), expected, "{text}");
        }
    }

    #[test]
    fn what_is_left_open_hides_no_bracket() {
        let deep = "[".repeat(90);
        for hidden in
            ["\"", "\"\"\"", "[\"\"\"a\" ", "\"a\n\"", "\"\\", "# \"\"\"\n", "# \r", "\"\"\"\\\"\"\""]
        {
            assert!(depth(&format!("{{ a(b: {hidden}{deep}")) >= 90, "{hidden}");
        }
        let before = format!("{{ a(b: {deep} # \"\"\"\n) }} # \"\"\"");
        assert!(depth(&before) >= 90);
    }
}
