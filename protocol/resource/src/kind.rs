//! The kinds of resources.

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::nearest::nearest;
use crate::spec::Spec;
use crate::{kind_of, with_kinds};

macro_rules! kinds {
    ([] $($(#[$doc:meta])* $kind:ident $spec:ident $table:ident $one:literal $many:literal;)*) => {
        /// A kind of resource. Their order is one in which they can be created: none refers to a later one.
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize, JsonSchema)]
        pub enum Kind {
            $($(#[$doc])* $kind,)*
        }

        impl Kind {
            /// Every kind, in order.
            pub const ALL: [Self; [$($one),*].len()] = [$(Self::$kind),*];

            /// The kind as manifests name it.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$kind => stringify!($kind),)* }
            }

            /// The kind within a sentence.
            pub const fn noun(self) -> &'static str {
                match self { $(Self::$kind => $one,)* }
            }

            /// The kind in addresses, for all its resources.
            pub const fn plural(self) -> &'static str {
                match self { $(Self::$kind => $many,)* }
            }
        }
    };
}

with_kinds!({kinds} []);

impl Kind {
    /// What a table of such resources shows: see [`Spec::COLUMNS`].
    pub fn columns(self) -> &'static [(&'static str, &'static str)] {
        kind_of!(self, S => S::COLUMNS)
    }

    /// One such resource as an admin writes it, in YAML.
    pub fn example(self) -> &'static str {
        kind_of!(self, S => S::EXAMPLE)
    }
}

/// A word that is no kind.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is no kind of resource; the kinds are {}{hint}", listed())]
pub struct UnknownKind {
    text: String,
    hint: String,
}

fn listed() -> String {
    let (last, others) = Kind::ALL.split_last().expect("there are kinds");
    let others = others.iter().map(|kind| kind.as_str()).collect::<Vec<_>>();
    format!("{} and {}", others.join(", "), last.as_str())
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.noun())
    }
}

impl FromStr for Kind {
    type Err = UnknownKind;

    /// Takes the singular or plural, in any case, with or without hyphens.
    fn from_str(text: &str) -> Result<Self, UnknownKind> {
        let plain = |word: &str| word.to_ascii_lowercase().replace(['-', '_'], "");
        let word = plain(text);
        let found =
            Self::ALL.into_iter().find(|kind| word == plain(kind.noun()) || word == plain(kind.plural()));
        found.ok_or_else(|| {
            let near = nearest(&text.to_ascii_lowercase(), Self::ALL.map(Self::noun));
            let hint = near.map(|near| format!("; did you mean `{near}`?")).unwrap_or_default();
            UnknownKind { text: text.to_owned(), hint }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_is_taken_in_any_number_and_case() {
        for kind in Kind::ALL {
            for text in [kind.as_str(), kind.noun(), kind.plural()] {
                assert_eq!(text.parse(), Ok(kind));
            }
        }
    }

    #[test]
    fn what_is_no_kind_is_refused_with_the_nearest() {
        let said = "Sorce".parse::<Kind>().unwrap_err().to_string();
        assert!(said.ends_with("did you mean `source`?"), "{said}");
    }
}
