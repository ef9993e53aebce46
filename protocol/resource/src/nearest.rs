//! The word that was meant, where one is misspelled.

/// The candidate that resembles the word most, if any does.
pub fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let scored = candidates.into_iter().map(|candidate| (strsim::osa_distance(word, candidate), candidate));
    let (distance, best) = scored.min_by_key(|(distance, _)| *distance)?;
    (distance <= word.chars().count().max(best.chars().count()).div_ceil(3)).then_some(best)
}

/// The word that was meant, where serde's message lists what it expected: "unknown field `recursve`, expected one of
/// `path`, `recursive`".
pub(crate) fn nearest_in_message(message: &str) -> Option<&str> {
    let unknown = message.find("unknown field").or_else(|| message.find("unknown variant"))?;
    let mut quoted = message[unknown..].split('`').skip(1).step_by(2);
    let wrong = quoted.next()?;
    nearest(wrong, quoted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_of_the_finger_is_understood_and_a_strange_word_is_not() {
        let words = ["max_rows", "max_bytes", "linger"];
        assert_eq!(nearest("max_row", words), Some("max_rows"));
        assert_eq!(nearest("maxbytes", words), Some("max_bytes"));
        assert_eq!(nearest("lingre", words), Some("linger"));
        assert_eq!(nearest("zebra", words), None);
        assert_eq!(
            nearest_in_message("unknown field `lnger`, expected `linger` or `max_rows`"),
            Some("linger")
        );
        assert_eq!(nearest_in_message("invalid type: string \"x\", expected u64"), None);
    }
}
