//! The name of an adapter.

use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

const LONGEST: usize = 40;

/// The word by which an adapter is named: `file`, `postgres`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct AdapterName(String);

/// A text that cannot be the name of an adapter.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "adapter name is not valid: use 1 to {LONGEST} lower-case letters, digits, `-` and `_`, as in `file`"
)]
pub struct AdapterNameError;

impl AdapterName {
    /// Checks the text and takes it as a name.
    ///
    /// # Errors
    /// It is empty, too long, or has other characters than lower-case letters, digits, `-` and `_`.
    pub fn new(text: impl Into<String>) -> Result<Self, AdapterNameError> {
        let text = text.into();
        let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'-' | b'_');
        if text.is_empty() || text.len() > LONGEST || !text.bytes().all(allowed) {
            return Err(AdapterNameError);
        }
        Ok(Self(text))
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for AdapterName {
    type Error = AdapterNameError;

    fn try_from(text: String) -> Result<Self, AdapterNameError> {
        Self::new(text)
    }
}

impl From<AdapterName> for String {
    fn from(name: AdapterName) -> Self {
        name.0
    }
}

impl fmt::Display for AdapterName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for AdapterName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.0)
    }
}

impl JsonSchema for AdapterName {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "AdapterName".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "pattern": "^[a-z0-9_-]{1,40}$", "examples": ["file"] })
    }
}
