//! Why nothing of a stream may be written.

use std::fmt;

use towpath_policy::ShapeFault;
use towpath_record::{RegionName, ResourceName, StreamName};

use crate::key::KeyError;

/// Nothing of the stream may be written until an admin, or whoever runs the source, has mended each of the reasons. No
/// value of any row stands in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    /// The stream.
    pub stream: StreamName,
    /// The region whose log the rows were meant for.
    pub region: RegionName,
    /// Why, at least one.
    pub reasons: Vec<HeldReason>,
}

/// One reason why nothing of a stream may be written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HeldReason {
    /// A field may not stand there, or cannot be treated as it would have to be.
    #[error(transparent)]
    Shape(ShapeFault),
    /// A key cannot be had.
    #[error(transparent)]
    Key(KeyError),
    /// A filter does not say of a row whether it passes.
    #[error(
        "the filter of policy {policy}, which reads {fields}, does not say whether a row passes: {fault}"
    )]
    Filter {
        /// The policy.
        policy: ResourceName,
        /// The fields that the filter reads.
        fields: String,
        /// What went wrong, and what would help.
        fault: String,
    },
    /// The rows are not of the schema that came with them, which is a mistake of the source.
    #[error("the source gave rows that are not of their schema: {0}; report this as a mistake of the source")]
    Rows(String),
}

impl std::error::Error for Held {}

impl fmt::Display for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "nothing of stream {} may be written in region {}: ", self.stream, self.region)?;
        for (n, reason) in self.reasons.iter().enumerate() {
            let between = if n == 0 { "" } else { "; " };
            write!(f, "{between}{reason}")?;
        }
        Ok(())
    }
}
