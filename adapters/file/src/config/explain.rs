//! Reads configuration, and names the nearest valid word where one is misspelled.

use serde::de::DeserializeOwned;
use serde_json::Value;
use towpath_adapter_api::{AdapterError, ErrorKind};

/// Reads the configuration of `resource`.
///
/// # Errors
/// It does not have the form of `T`.
pub(crate) fn parse<T: DeserializeOwned>(resource: &str, config: &Value) -> Result<T, AdapterError> {
    T::deserialize(config).map_err(|error| {
        let text = error.to_string();
        let message = match nearest(&text) {
            Some(word) => format!("{text}; did you mean `{word}`?"),
            None => text,
        };
        AdapterError::new(ErrorKind::Config, resource, message)
    })
}

/// The nearest of the words that serde lists after a word that it does not know. Its messages have the form
/// "unknown field `recursve`, expected one of `path`, `recursive`".
fn nearest(message: &str) -> Option<&str> {
    let unknown = message.find("unknown field").or_else(|| message.find("unknown variant"))?;
    let mut words = message[unknown..].split('`').skip(1).step_by(2);
    let wrong = words.next()?;
    let scored = words.map(|word| (distance(wrong, word), word));
    let (distance, word) = scored.min_by_key(|(distance, _)| *distance)?;
    (distance <= wrong.chars().count().max(3) / 2 + 1).then_some(word)
}

/// How many single characters must be inserted, removed or replaced to turn one word into the other
/// (Levenshtein's distance).
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, y) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(x != *y);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::FileSourceConfig;
    use serde_json::json;

    fn said(config: &Value) -> String {
        parse::<FileSourceConfig>("source", config).unwrap_err().message
    }

    #[test]
    fn an_unknown_key_is_refused_with_the_nearest_valid_one() {
        assert!(
            said(&json!({"path": "x", "files": [], "recursve": true})).contains("did you mean `recursive`?")
        );
        let nested = json!({"path": "x", "files": [
            {"include": ["*"], "stream": "s", "format": {"csv": {"delimeter": ";"}}}
        ]});
        assert!(said(&nested).contains("did you mean `delimiter`?"));
        let word = json!({"path": "x", "files": [{"include": ["*"], "stream": "s", "format": "cvs"}]});
        assert!(said(&word).contains("did you mean `csv`?"));
    }

    #[test]
    fn a_word_that_resembles_nothing_gets_no_suggestion() {
        assert!(!said(&json!({"path": "x", "files": [], "zzzzzz": 1})).contains("did you mean"));
    }
}
