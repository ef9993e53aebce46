//! What is wrong with a manifest: one fault for each field.

use std::collections::BTreeMap;
use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Where something stands in a text, from 1.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Place {
    /// The line.
    pub line: u64,
    /// The column, in characters.
    pub column: u64,
}

/// What is wrong with one field.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Fault {
    /// The field, such as `spec.capture.max_rows`; empty for the whole.
    pub path: String,
    /// What is wrong, and what would be right.
    pub message: String,
    /// Where the field stands in the text that was read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub place: Option<Place>,
}

/// The faults found so far, at most one for each field.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Faults(BTreeMap<String, String>);

/// A manifest that cannot be taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{subject} is not valid: {}", Listed(faults))]
pub struct Invalid {
    /// The resource, as in `source erp-files`.
    pub subject: String,
    /// What is wrong, by field; never empty.
    pub faults: Vec<Fault>,
}

impl Faults {
    /// Notes what is wrong with a field. What was noted first about a field stays.
    pub fn add(&mut self, path: impl Into<String>, message: impl Into<String>) {
        self.0.entry(path.into()).or_insert_with(|| message.into());
    }

    /// Notes it if the condition does not hold.
    pub fn require(&mut self, holds: bool, path: &str, message: impl FnOnce() -> String) {
        if !holds {
            self.add(path, message());
        }
    }

    /// Whether nothing is wrong.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether something is wrong with this field.
    pub fn has(&self, path: &str) -> bool {
        self.0.contains_key(path)
    }

    /// The faults, placed by what knows where a field stands.
    pub fn into_vec(self, place_of: impl Fn(&str) -> Option<Place>) -> Vec<Fault> {
        let placed = |(path, message): (String, String)| Fault { place: place_of(&path), path, message };
        self.0.into_iter().map(placed).collect()
    }

    /// `Ok` if nothing is wrong.
    ///
    /// # Errors
    /// The faults, as those of `subject`.
    pub fn into_result(self, subject: impl Into<String>) -> Result<(), Invalid> {
        if self.is_empty() {
            return Ok(());
        }
        Err(Invalid { subject: subject.into(), faults: self.into_vec(|_| None) })
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.path.is_empty() {
            return f.write_str(&self.message);
        }
        write!(f, "{}: {}", self.path, self.message)
    }
}

struct Listed<'a>(&'a [Fault]);

impl fmt::Display for Listed<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, fault) in self.0.iter().enumerate() {
            write!(f, "{}{fault}", if n == 0 { "" } else { "; " })?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_fault_is_kept_for_each_field_and_all_are_named() {
        let mut faults = Faults::default();
        faults.add("spec.b", "is wrong");
        faults.require(false, "spec.a", || "is missing".into());
        faults.require(true, "spec.c", || unreachable!());
        faults.add("spec.b", "is wrong in another way");
        let invalid = faults.into_result("site plant").unwrap_err();
        assert_eq!(invalid.to_string(), "site plant is not valid: spec.a: is missing; spec.b: is wrong");
    }
}
