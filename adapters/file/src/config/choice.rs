//! Choices that may be written as one word where their settings all have defaults.

use serde::Deserialize;
use serde::de::{DeserializeOwned, Deserializer, Error};
use serde_json::{Map, Value};

use super::After;

/// `csv` is read as `{csv: {}}`.
pub(super) fn word_or_table<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: DeserializeOwned,
{
    let settings = |word: &str| (word.to_owned(), Value::Object(Map::new()));
    let value = match Value::deserialize(deserializer)? {
        Value::String(word) => Value::Object(Map::from_iter([settings(&word)])),
        other => other,
    };
    serde_json::from_value(value).map_err(D::Error::custom)
}

/// `archive` is read as the default archive.
pub(super) fn after<'de, D: Deserializer<'de>>(deserializer: D) -> Result<After, D::Error> {
    match Value::deserialize(deserializer)? {
        Value::String(word) if word == "archive" => Ok(After::default()),
        other => serde_json::from_value(other).map_err(D::Error::custom),
    }
}
