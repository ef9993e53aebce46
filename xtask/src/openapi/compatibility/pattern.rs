//! Whether a pattern takes all that another took.

use std::collections::BTreeSet;

/// A part of a pattern.
#[derive(PartialEq, Eq, Debug)]
enum Part<'a> {
    /// Anything but a list of words.
    Text(&'a str),
    /// A list of words in brackets, one of which is taken.
    Words(BTreeSet<&'a str>),
}

/// Whether a pattern surely takes all that another took: it is the same, but for words that were added to lists of words,
/// as for a kind of resource that is new.
pub(super) fn is_wider(old: &str, new: &str) -> bool {
    let (old, new) = (parts(old), parts(new));
    let wider = |(old, new): (&Part<'_>, &Part<'_>)| match (old, new) {
        (Part::Words(old), Part::Words(new)) => new.is_superset(old),
        (old, new) => old == new,
    };
    old.len() == new.len() && old.iter().zip(&new).all(wider)
}

fn parts(pattern: &str) -> Vec<Part<'_>> {
    let (mut found, mut rest) = (Vec::new(), pattern);
    while let Some((before, list)) = rest.split_once('(') {
        found.push(Part::Text(before));
        rest = list;
        let is_escaped = before.ends_with('\\');
        if let Some((words, after)) = list.split_once(')')
            && !is_escaped
            && words.split('|').all(is_word)
        {
            found.push(Part::Words(words.split('|').collect()));
            rest = after;
        }
    }
    found.push(Part::Text(rest));
    found
}

fn is_word(text: &str) -> bool {
    text == r"\*"
        || !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
}

#[cfg(test)]
mod tests {
    use super::is_wider;

    #[test]
    fn words_may_be_added_to_a_list_and_nothing_else_may_change() {
        let old = r"^(\*|site|route):(read|write)(/[a-z]{0,61}([a-z])?)?$";
        assert!(is_wider(old, old));
        assert!(is_wider(old, &old.replace("route", "policy|route")));
        assert!(!is_wider(old, &old.replace("|route", "")));
        assert!(!is_wider(old, &old.replace("{0,61}", "{0,20}")));
        assert!(!is_wider(old, &old.replace("$", "")));
        assert!(!is_wider(r"^\(a|b)$", r"^\(a|b|c)$"), "what is no list is not taken for one");
    }
}
