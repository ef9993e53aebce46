//! The kinds of resources.

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::nearest::nearest;

/// A kind of resource. Their order is one in which they can be created: none refers to a later one.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize, JsonSchema)]
pub enum Kind {
    /// A place that data comes from or goes to.
    Site,
    /// One installed agent.
    Agent,
    /// A system that an agent reads.
    Source,
    /// A system that an agent writes.
    Sink,
    /// A way from streams to a sink.
    Route,
}

/// A word that is no kind.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is no kind of resource; the kinds are Site, Agent, Source, Sink and Route{hint}")]
pub struct UnknownKind {
    text: String,
    hint: String,
}

impl Kind {
    /// Every kind, in order.
    pub const ALL: [Self; 5] = [Self::Site, Self::Agent, Self::Source, Self::Sink, Self::Route];

    /// The kind as manifests name it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Site => "Site",
            Self::Agent => "Agent",
            Self::Source => "Source",
            Self::Sink => "Sink",
            Self::Route => "Route",
        }
    }

    /// The kind within a sentence.
    pub const fn noun(self) -> &'static str {
        match self {
            Self::Site => "site",
            Self::Agent => "agent",
            Self::Source => "source",
            Self::Sink => "sink",
            Self::Route => "route",
        }
    }

    /// The kind in addresses, for all its resources.
    pub const fn plural(self) -> &'static str {
        match self {
            Self::Site => "sites",
            Self::Agent => "agents",
            Self::Source => "sources",
            Self::Sink => "sinks",
            Self::Route => "routes",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.noun())
    }
}

impl FromStr for Kind {
    type Err = UnknownKind;

    /// Takes the singular or plural, in any case.
    fn from_str(text: &str) -> Result<Self, UnknownKind> {
        let word = text.to_ascii_lowercase();
        let found = Self::ALL.into_iter().find(|kind| word == kind.noun() || word == kind.plural());
        found.ok_or_else(|| {
            let near = nearest(&word, Self::ALL.map(Self::noun));
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
