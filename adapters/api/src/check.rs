//! What a system lacks before it can be read, and the words that mend it.

use std::pin::Pin;

use crate::error::AdapterError;

/// A check under way. It changes nothing at the system.
pub type Checking = Pin<Box<dyn Future<Output = Result<Vec<Finding>, AdapterError>> + Send>>;

/// One thing that was looked at.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Finding {
    /// What was looked at, in a few words: `wal_level`, `replica identity of public.orders`.
    pub subject: String,
    /// How it is.
    pub verdict: Verdict,
    /// What was found, and what follows from it.
    pub found: String,
    /// What an admin runs at the system to mend it, such as SQL; none where all is well or no words mend it.
    pub remedy: Option<String>,
}

/// How a thing that was looked at is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Verdict {
    /// As it must be.
    Good,
    /// It works, at a price that is named.
    Warning,
    /// The source cannot work.
    Failed,
}

impl Finding {
    /// A thing that is as it must be.
    pub fn good(subject: impl Into<String>, found: impl Into<String>) -> Self {
        Self { subject: subject.into(), verdict: Verdict::Good, found: found.into(), remedy: None }
    }

    /// A thing that works at a price.
    pub fn warning(subject: impl Into<String>, found: impl Into<String>) -> Self {
        Self { verdict: Verdict::Warning, ..Self::good(subject, found) }
    }

    /// A thing that keeps the source from working.
    pub fn failed(subject: impl Into<String>, found: impl Into<String>) -> Self {
        Self { verdict: Verdict::Failed, ..Self::good(subject, found) }
    }

    /// The same with what mends it.
    #[must_use]
    pub fn mended_by(mut self, remedy: impl Into<String>) -> Self {
        self.remedy = Some(remedy.into());
        self
    }
}
