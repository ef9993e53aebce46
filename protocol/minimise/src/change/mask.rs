//! Masks: a part of a value stays, the rest becomes `*`.

use arrow_array::{Array, StringArray};
use towpath_resource::Mask;

/// What stands for a value of which nothing is told, not even how long it is.
const ALL: &str = "***";

/// Every value that is present becomes the same text.
pub(super) fn all(values: &dyn Array) -> StringArray {
    (0..values.len()).map(|row| values.is_valid(row).then_some(ALL)).collect()
}

/// Appends the value with a part of it masked.
pub(super) fn part(mask: Mask, value: &str, out: &mut String) {
    match mask {
        Mask::KeepLast(kept) => {
            let hidden = hidden(value, kept);
            stars(hidden, out);
            out.extend(value.chars().skip(hidden));
        }
        Mask::KeepFirst(kept) => {
            let hidden = hidden(value, kept);
            let shown = value.chars().count() - hidden;
            out.extend(value.chars().take(shown));
            stars(hidden, out);
        }
        Mask::Domain => {
            out.push_str(ALL);
            if let Some((_, domain)) = value.rsplit_once('@')
                && is_domain(domain)
            {
                out.push('@');
                out.push_str(domain);
            }
        }
        Mask::All => out.push_str(ALL),
    }
}

/// How many characters are hidden. A value that is no longer than what would stay is hidden whole.
fn hidden(value: &str, kept: u8) -> usize {
    let length = value.chars().count();
    let kept = usize::from(kept);
    if length > kept { length - kept } else { length }
}

fn stars(count: usize, out: &mut String) {
    out.extend(std::iter::repeat_n('*', count));
}

/// Whether the text is the name of a host and not something else that happens to stand behind an `@`.
fn is_domain(text: &str) -> bool {
    let is_label = |label: &str| {
        !label.is_empty() && label.chars().all(|one| one.is_alphanumeric() || one == '-') && label.len() <= 63
    };
    text.contains('.') && text.split('.').all(is_label)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn masked(mask: Mask, value: &str) -> String {
        let mut out = String::new();
        part(mask, value, &mut out);
        out
    }

    #[test]
    fn so_many_characters_stay_and_never_the_whole_value() {
        assert_eq!(masked(Mask::KeepLast(4), "DE89370400"), "******0400");
        assert_eq!(masked(Mask::KeepFirst(2), "Größe"), "Gr***");
        assert_eq!(masked(Mask::KeepLast(2), "Größe"), "***ße");
        for (mask, value) in [(Mask::KeepLast(4), "1234"), (Mask::KeepFirst(9), "1234")] {
            assert_eq!(masked(mask, value), "****");
        }
        assert_eq!(masked(Mask::KeepLast(0), "ab"), "**");
        assert_eq!(masked(Mask::KeepLast(4), ""), "");
    }

    #[test]
    fn only_what_is_a_domain_stays_of_an_address() {
        assert_eq!(masked(Mask::Domain, "ann@example.com"), "***@example.com");
        assert_eq!(masked(Mask::Domain, "\"a@b\"@müller.example"), "***@müller.example");
        for value in ["ann", "ann@", "ann@secret", "call ann@ home. now", "a@b..c", ""] {
            assert_eq!(masked(Mask::Domain, value), "***", "{value}");
        }
    }
}
