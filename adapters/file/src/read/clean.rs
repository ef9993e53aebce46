//! Finds bytes that no row may contain, so that everything after may take the text for valid UTF-8.

use std::borrow::Cow;

use memchr::memmem;

/// Text in which flaws were replaced, byte by byte, so that places in it are places in what was read.
pub(crate) struct Clean<'a> {
    pub(crate) text: Cow<'a, str>,
    /// The flaws, in the order of their places.
    pub(crate) flaws: Vec<Flaw>,
}

/// A byte that no row may contain.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Flaw {
    pub(crate) at: usize,
    pub(crate) kind: FlawKind,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum FlawKind {
    NotUtf8,
    NotDecodable,
    Nul,
}

/// What takes the place of a byte that is not UTF-8: the ASCII character "substitute".
const SUBSTITUTE: u8 = 0x1a;
/// What a decoder writes for a sequence that its encoding does not have.
const REPLACEMENT: &str = "\u{fffd}";

impl FlawKind {
    pub(crate) fn reason(self) -> &'static str {
        match self {
            Self::NotUtf8 => "it is not valid UTF-8; set `encoding` if the file is in another one",
            Self::NotDecodable => "it has a character that its encoding does not have; check `encoding`",
            Self::Nul => "it contains a NUL byte; set `encoding` if the file is in UTF-16",
        }
    }
}

/// Finds the flaws of what was read. `transcoded` says that a decoder wrote it.
pub(crate) fn clean(bytes: &[u8], transcoded: bool) -> Clean<'_> {
    let mut flaws = Vec::new();
    let text = match std::str::from_utf8(bytes) {
        Ok(text) => Cow::Borrowed(text),
        Err(_) => Cow::Owned(substituted(bytes, &mut flaws)),
    };
    flaws.extend(memchr::memchr_iter(0, bytes).map(|at| Flaw { at, kind: FlawKind::Nul }));
    if transcoded {
        let found = memmem::find_iter(bytes, REPLACEMENT.as_bytes());
        flaws.extend(found.map(|at| Flaw { at, kind: FlawKind::NotDecodable }));
    }
    flaws.sort_by_key(|flaw| flaw.at);
    Clean { text, flaws }
}

fn substituted(bytes: &[u8], flaws: &mut Vec<Flaw>) -> String {
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        text.push_str(chunk.valid());
        for _ in chunk.invalid() {
            flaws.push(Flaw { at: text.len(), kind: FlawKind::NotUtf8 });
            text.push(char::from(SUBSTITUTE));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flaws_are_found_at_their_places_and_sound_text_is_not_copied() {
        assert!(
            matches!(clean("grün".as_bytes(), false), Clean { text: Cow::Borrowed(_), flaws } if flaws.is_empty())
        );
        let found = clean(b"a\xffb\0c\xe2\x82", false);
        assert_eq!(found.text, "a\u{1a}b\0c\u{1a}\u{1a}");
        let places: Vec<_> = found.flaws.iter().map(|flaw| (flaw.at, flaw.kind)).collect();
        assert_eq!(
            places,
            [(1, FlawKind::NotUtf8), (3, FlawKind::Nul), (5, FlawKind::NotUtf8), (6, FlawKind::NotUtf8)]
        );
        assert_eq!(clean("a\u{fffd}".as_bytes(), true).flaws[0].kind, FlawKind::NotDecodable);
        assert!(clean("a\u{fffd}".as_bytes(), false).flaws.is_empty());
    }
}
