//! Classes: what kind of data a field is to policy.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

const LONGEST: usize = 80;

/// The classes that are known by name. Others are an admin's own.
pub const KNOWN_CLASSES: [(&str, &str); 11] = [
    ("pii.name", "The name of a person."),
    ("pii.email", "An e-mail address."),
    ("pii.phone", "A telephone number."),
    ("pii.address", "A postal address or a part of it."),
    ("pii.birth_date", "A date of birth."),
    ("pii.national_id", "A number by which a state knows a person."),
    ("pii.location", "Where a person is or was."),
    ("financial.iban", "The number of a bank account."),
    ("financial.pan", "The number of a payment card."),
    ("health", "Anything of a person's health."),
    ("secret", "A password, key or token."),
];

/// What kind of data a field is: words joined by dots, from the general to the special, such as `pii.email`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Class(String);

/// Classes that a rule is for: one, such as `pii.email`; all below one, such as `pii.*`, which takes `pii` too; or `*`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ClassPattern(String);

/// A text that names no class.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{text}` is no {what}: write words of lower-case letters, digits and `_`, joined by dots, as in {example}"
)]
pub struct ClassError {
    text: String,
    what: &'static str,
    example: &'static str,
}

fn is_class(text: &str) -> bool {
    let word = |word: &str| {
        !word.is_empty() && word.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
    };
    text.len() <= LONGEST && text.split('.').all(word)
}

impl Class {
    /// Checks the text and takes it as a class.
    ///
    /// # Errors
    /// It is empty, too long, or has other characters than a class has.
    pub fn new(text: impl Into<String>) -> Result<Self, ClassError> {
        let text = text.into();
        if is_class(&text) {
            Ok(Self(text))
        } else {
            Err(ClassError { text, what: "class", example: "`pii.email`" })
        }
    }

    /// The class as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl ClassPattern {
    /// Checks the text and takes it as a pattern.
    ///
    /// # Errors
    /// It is neither a class, nor one with `.*` behind it, nor `*`.
    pub fn new(text: impl Into<String>) -> Result<Self, ClassError> {
        let text = text.into();
        if text == "*" || is_class(text.strip_suffix(".*").unwrap_or(&text)) {
            return Ok(Self(text));
        }
        Err(ClassError { text, what: "pattern of classes", example: "`pii.email`, `pii.*` or `*`" })
    }

    /// The pattern as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether the class is one of those the pattern stands for.
    pub fn matches(&self, class: &Class) -> bool {
        match self.0.strip_suffix(".*") {
            Some(above) => {
                class.0.strip_prefix(above).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
            }
            None => self.0 == "*" || self.0 == class.0,
        }
    }

    /// How special it is: the number of words that it fixes, and one more if it stands for one class only.
    pub fn specificity(&self) -> u32 {
        match self.0.strip_suffix(".*") {
            Some(above) => 2 * above.split('.').count() as u32,
            None if self.0 == "*" => 0,
            None => 2 * self.0.split('.').count() as u32 + 1,
        }
    }
}

macro_rules! text_form {
    ($name:ident, $example:literal, $pattern:literal) => {
        impl TryFrom<String> for $name {
            type Error = ClassError;

            fn try_from(text: String) -> Result<Self, ClassError> {
                Self::new(text)
            }
        }

        impl FromStr for $name {
            type Err = ClassError;

            fn from_str(text: &str) -> Result<Self, ClassError> {
                Self::new(text)
            }
        }

        impl From<$name> for String {
            fn from(text: $name) -> Self {
                text.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:?}", self.0)
            }
        }

        impl JsonSchema for $name {
            fn inline_schema() -> bool {
                true
            }

            fn schema_name() -> Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({
                    "type": "string",
                    "pattern": $pattern,
                    "maxLength": LONGEST,
                    "examples": [$example],
                })
            }
        }
    };
}

text_form!(Class, "pii.email", r"^[a-z0-9_]+(\.[a-z0-9_]+)*$");
text_form!(ClassPattern, "pii.*", r"^(\*|[a-z0-9_]+(\.[a-z0-9_]+)*(\.\*)?)$");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_known_classes_are_classes() {
        for (class, about) in KNOWN_CLASSES {
            assert!(Class::new(class).is_ok() && about.ends_with('.'), "{class}");
        }
    }

    #[test]
    fn a_pattern_takes_a_class_and_what_is_below_it() {
        let takes = |pattern: &str, class: &str| {
            ClassPattern::new(pattern).unwrap().matches(&Class::new(class).unwrap())
        };
        for (pattern, class) in
            [("pii.*", "pii.email"), ("pii.*", "pii"), ("*", "health"), ("health", "health")]
        {
            assert!(takes(pattern, class), "{pattern} {class}");
        }
        for (pattern, class) in [("pii.*", "piix"), ("pii", "pii.email"), ("pii.email", "pii.phone")] {
            assert!(!takes(pattern, class), "{pattern} {class}");
        }
    }

    #[test]
    fn a_pattern_for_fewer_classes_is_more_special() {
        let order =
            ["*", "pii.*", "pii", "pii.name.*", "pii.name"].map(|text| ClassPattern::new(text).unwrap());
        assert!(order.windows(2).all(|pair| pair[0].specificity() < pair[1].specificity()));
    }

    #[test]
    fn what_is_no_class_is_refused() {
        for text in ["", "PII", "pii..x", "pii.", "a b", "*", "pii.*"] {
            assert!(Class::new(text).is_err(), "{text}");
        }
        for text in ["", "*.pii", "pii*", "pii.*.x"] {
            assert!(ClassPattern::new(text).is_err(), "{text}");
        }
    }
}
