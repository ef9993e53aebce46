//! On which terms a change is made: what must be there before it, and whether it is only tried.

use std::fmt;

/// On which terms a change is made. The default is whatever is there, and in earnest.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Terms {
    /// What must be there.
    pub expected: Expected,
    /// Whether the change is only tried: everything is checked, nothing is recorded.
    pub dry_run: bool,
}

/// What must be there before a change. It is looked at under the lock of the change, so that of two who saw the same
/// state one succeeds.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub enum Expected {
    /// Whatever there is.
    #[default]
    Anything,
    /// No such resource.
    Absent,
    /// Such a resource, in whatever state.
    Present,
    /// Such a resource, made as it is by one of these generations.
    OneOf(Vec<u64>),
}

/// A resource is not in the state that a change was meant for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{subject} {found}; get it again and repeat the change on what is there now")]
pub struct Stale {
    /// The resource, as in `source erp-files`.
    pub subject: String,
    /// What there is.
    pub found: Found,
}

/// What is there instead of what was expected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Found {
    /// There is no such resource.
    Nothing,
    /// There is one already, of this generation.
    Already(u64),
    /// There is one of this generation, which was not named.
    Generation(u64),
}

impl Terms {
    /// Tries the change, or makes it in earnest.
    pub fn tried(dry_run: bool) -> Self {
        Self { dry_run, ..Self::default() }
    }
}

impl Expected {
    /// Whether a resource of this generation, or none, is what was expected.
    pub(crate) fn check(&self, subject: impl FnOnce() -> String, there: Option<u64>) -> Result<(), Stale> {
        let found = match (self, there) {
            (Self::Anything, _) | (Self::Absent, None) | (Self::Present, Some(_)) => return Ok(()),
            (Self::OneOf(named), Some(generation)) if named.contains(&generation) => return Ok(()),
            (Self::Absent, Some(generation)) => Found::Already(generation),
            (Self::OneOf(_), Some(generation)) => Found::Generation(generation),
            (Self::Present | Self::OneOf(_), None) => Found::Nothing,
        };
        Err(Stale { subject: subject(), found })
    }
}

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nothing => f.write_str("is not there"),
            Self::Already(generation) => write!(f, "is there already, at generation {generation}"),
            Self::Generation(generation) => {
                write!(f, "is at generation {generation} now, which is not the one that was named")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(expected: &Expected, there: Option<u64>) -> Option<Found> {
        expected.check(|| "site plant".to_owned(), there).err().map(|stale| stale.found)
    }

    #[test]
    fn each_expectation_holds_only_for_what_it_names() {
        let one_of = Expected::OneOf(vec![3, 7]);
        assert_eq!([None, Some(1)].map(|there| check(&Expected::Anything, there)), [None, None]);
        assert_eq!(check(&Expected::Absent, None), None);
        assert_eq!(check(&Expected::Absent, Some(3)), Some(Found::Already(3)));
        assert_eq!(check(&Expected::Present, Some(3)), None);
        assert_eq!(check(&Expected::Present, None), Some(Found::Nothing));
        assert_eq!(check(&one_of, Some(7)), None);
        assert_eq!(check(&one_of, Some(8)), Some(Found::Generation(8)));
        assert_eq!(check(&one_of, None), Some(Found::Nothing));
    }
}
