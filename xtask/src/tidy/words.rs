//! Words that have no place in what is handed over: unfinished work, and paths that exist on one machine only.

use super::tree::Tree;

/// Each word, and what is said of it. They are put together here so that this file does not contain them.
const FORBIDDEN: &[(&str, &str)] = &[
    (concat!("TO", "DO"), "unfinished work; finish it, or open an issue"),
    (concat!("FIX", "ME"), "unfinished work; finish it, or open an issue"),
    (concat!("XX", "X"), "unfinished work; finish it, or open an issue"),
    (concat!("db", "g!("), "a print for debugging; remove it"),
    (concat!("to", "do!("), "unfinished work; finish it"),
    (concat!("unimpl", "emented!("), "unfinished work; finish it"),
    (concat!("/ho", "me/"), "a path of one machine; make it relative or an argument"),
    (concat!("/ro", "ot/"), "a path of one machine; make it relative or an argument"),
    (concat!("/wo", "rk/"), "a path of one machine; make it relative or an argument"),
];

/// Names each place where a forbidden word stands.
pub(super) fn check(tree: &Tree) -> Vec<String> {
    let mut breaches = Vec::new();
    for file in tree.files().iter().filter(|file| file.path != "Cargo.lock") {
        for (number, line) in file.text.lines().enumerate() {
            let found = FORBIDDEN.iter().filter(|(word, _)| has_word(line, word));
            breaches.extend(
                found.map(|(word, what)| format!("{}:{}: `{word}` is {what}", file.path, number + 1)),
            );
        }
    }
    breaches
}

/// Whether the word stands in the line by itself and not as a part of a longer one.
fn has_word(line: &str, word: &str) -> bool {
    let is_part = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || c == '_');
    line.match_indices(word).any(|(at, _)| {
        let (before, after) = (line[..at].chars().next_back(), line[at + word.len()..].chars().next());
        let ends_open = word.ends_with(|c: char| c.is_alphanumeric());
        !(is_part(before) || (ends_open && is_part(after)))
    })
}
