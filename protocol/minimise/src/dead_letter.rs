//! What may be told of input that was refused.

use towpath_record::StreamName;
use towpath_record::dead_letter::DeadLetter;

/// The letter without anything of the input: where it lies is enough to find it at the source.
pub(crate) fn without_values(stream: &StreamName, letter: DeadLetter) -> DeadLetter {
    let withheld = !letter.raw.is_empty() || letter.raw_truncated;
    DeadLetter {
        reason: format!(
            "the input was refused; why, and the input itself, are withheld, because a policy covers stream {stream}: look \
             it up at the source, at the place that this letter names"
        ),
        raw: Vec::new(),
        raw_truncated: withheld,
        ..letter
    }
}
