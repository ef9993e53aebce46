//! In which order a list is.

use std::fmt;
use std::str::FromStr;

use towpath_resource::{Metadata, Resource, Spec, nearest};

/// In which order a list is. Equal values are in the order of names.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Sort {
    /// By what.
    pub(super) by: By,
    /// Whether from the last to the first.
    pub(super) descending: bool,
}

#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) enum By {
    #[default]
    Name,
    Generation,
    CreatedAt,
    UpdatedAt,
    Label(String),
}

/// The value of a resource by which a list is sorted. A resource without the label comes before those with it.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, serde::Serialize, serde::Deserialize)]
#[serde(untagged)]
pub(super) enum Value {
    None,
    Number(i64),
    Text(String),
}

/// A text that names no order.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{text}` is no order; it may be name, generation, created_at, updated_at or label:KEY, with `-` before it from the last to the first{hint}"
)]
pub struct SortError {
    text: String,
    hint: String,
}

const WORDS: [&str; 4] = ["name", "generation", "created_at", "updated_at"];
const LABEL: &str = "label:";

impl Sort {
    /// Whether it is the order in which the catalog keeps names.
    pub(super) fn is_by_name(&self) -> bool {
        self.by == By::Name
    }

    pub(super) fn value<S: Spec>(&self, resource: &Resource<S>) -> Value {
        let label = |metadata: &Metadata, key: &str| match metadata.labels.get(key) {
            Some(value) => Value::Text(value.clone()),
            None => Value::None,
        };
        match &self.by {
            By::Name => Value::None,
            By::Generation => Value::Number(resource.generation.cast_signed()),
            By::CreatedAt => Value::Number(resource.created_at.as_microsecond()),
            By::UpdatedAt => Value::Number(resource.updated_at.as_microsecond()),
            By::Label(key) => label(&resource.metadata, key),
        }
    }
}

impl FromStr for Sort {
    type Err = SortError;

    fn from_str(text: &str) -> Result<Self, SortError> {
        let (word, descending) = text.strip_prefix('-').map_or((text, false), |word| (word, true));
        let by = match word {
            "name" => By::Name,
            "generation" => By::Generation,
            "created_at" => By::CreatedAt,
            "updated_at" => By::UpdatedAt,
            other => match other.strip_prefix(LABEL).filter(|key| !key.is_empty()) {
                Some(key) => By::Label(key.to_owned()),
                None => {
                    let near = nearest(other, WORDS).map(|near| format!("; did you mean `{near}`?"));
                    return Err(SortError { text: text.to_owned(), hint: near.unwrap_or_default() });
                }
            },
        };
        Ok(Self { by, descending })
    }
}

impl fmt::Display for Sort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.descending {
            f.write_str("-")?;
        }
        match &self.by {
            By::Name => f.write_str("name"),
            By::Generation => f.write_str("generation"),
            By::CreatedAt => f.write_str("created_at"),
            By::UpdatedAt => f.write_str("updated_at"),
            By::Label(key) => write!(f, "{LABEL}{key}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_is_read_as_it_is_written() {
        for text in ["name", "-name", "-updated_at", "created_at", "generation", "label:env", "-label:a/b.c"]
        {
            assert_eq!(text.parse::<Sort>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn what_is_no_order_is_refused_with_the_nearest() {
        assert!("updatedat".parse::<Sort>().unwrap_err().to_string().ends_with("did you mean `updated_at`?"));
        for text in ["", "-", "label:", "--name"] {
            assert!(text.parse::<Sort>().is_err(), "{text}");
        }
    }
}
