//! What was looked at and how it is: what a system lacks before it can be read, what keeps a program from working.

use std::fmt;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use towpath_record::ResourceName;

const CLOCK_WARNING_SECONDS: i64 = 5;
const CLOCK_FAULT_SECONDS: i64 = 60;

/// What a check of the system behind a source found.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct SourceCheck {
    /// The source.
    pub source: ResourceName,
    /// What was looked at, one by one.
    pub findings: Vec<Finding>,
}

/// One thing that was looked at.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Finding {
    /// What was looked at.
    pub subject: String,
    /// How it is.
    pub verdict: Verdict,
    /// What was found, and what follows from it.
    pub found: String,
    /// What to do or run to mend it, such as SQL.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remedy: Option<String>,
}

/// How a thing that was looked at is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// As it must be.
    Good,
    /// It works, at a price that is named.
    Warning,
    /// What needs it cannot work.
    Failed,
}

impl Verdict {
    /// The word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Warning => "warning",
            Self::Failed => "FAILED",
        }
    }
}

impl Finding {
    /// Something that is as it must be.
    pub fn good(subject: impl Into<String>, found: impl Into<String>) -> Self {
        Self { subject: subject.into(), verdict: Verdict::Good, found: found.into(), remedy: None }
    }

    /// Something that works, at a price.
    pub fn warning(subject: impl Into<String>, found: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { verdict: Verdict::Warning, remedy: Some(remedy.into()), ..Self::good(subject, found) }
    }

    /// Something without which other things cannot work.
    pub fn failed(subject: impl Into<String>, found: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { verdict: Verdict::Failed, ..Self::warning(subject, found, remedy) }
    }

    /// How this machine's clock is beside that of the control plane, whose tokens and certificates allow for a little.
    pub fn clock(theirs: Timestamp, ours: Timestamp) -> Self {
        let seconds = ours.duration_since(theirs).as_secs();
        let found = match seconds {
            0 => "the same as the control plane's, to the second".to_owned(),
            ahead if ahead > 0 => format!("{ahead} s ahead of the control plane's"),
            behind => format!("{} s behind the control plane's", -behind),
        };
        let remedy = "let both machines keep time by NTP";
        match seconds.abs() {
            off if off >= CLOCK_FAULT_SECONDS => Self::failed("clock", found, remedy),
            off if off >= CLOCK_WARNING_SECONDS => Self::warning("clock", found, remedy),
            _ => Self::good("clock", found),
        }
    }
}

impl fmt::Display for Finding {
    /// A line with verdict, subject and what was found; the remedy below it, further in.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:8} {}: {}", self.verdict.as_str(), self.subject, self.found)?;
        let remedy = self.remedy.iter().flat_map(|remedy| remedy.lines());
        remedy.into_iter().try_for_each(|line| write!(f, "\n         {line}"))
    }
}

impl SourceCheck {
    /// Whether nothing keeps the source from working.
    pub fn is_ready(&self) -> bool {
        self.findings.iter().all(|finding| finding.verdict != Verdict::Failed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_finding_is_a_line_with_its_remedy_further_in() {
        let found = Finding::failed("disk", "it is full", "free some\nor add some");
        assert_eq!(found.to_string(), "FAILED   disk: it is full\n         free some\n         or add some");
        assert_eq!(Finding::good("disk", "fine").to_string(), "good     disk: fine");
    }

    #[test]
    fn a_clock_that_is_off_is_told_by_how_much_and_in_which_direction() {
        let at = |second: i64| Timestamp::from_second(1_800_000_000 + second).unwrap();
        assert_eq!(Finding::clock(at(0), at(1)).verdict, Verdict::Good);
        let ahead = Finding::clock(at(0), at(30));
        assert_eq!((ahead.verdict, ahead.found.contains("30 s ahead")), (Verdict::Warning, true));
        let behind = Finding::clock(at(90), at(0));
        assert_eq!((behind.verdict, behind.found.contains("90 s behind")), (Verdict::Failed, true));
    }
}
