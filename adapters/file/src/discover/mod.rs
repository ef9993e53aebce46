//! Finds files that are complete and not yet done with.

mod rules;
mod manifest;
mod scan;
mod watch;

use std::path::PathBuf;

use crate::identity::Stat;

pub(crate) use manifest::parse_manifest;
pub(crate) use rules::Rules;
pub(crate) use scan::Scanner;
pub(crate) use watch::watch;

/// A file that a rule matches.
#[derive(Clone, Debug)]
pub(crate) struct Candidate {
    /// Its path below the source's folder.
    pub(crate) path: PathBuf,
    /// The rule that matches it, by its place in the configuration.
    pub(crate) rule: usize,
    pub(crate) stat: Stat,
    /// The SHA-256 that a manifest says it has.
    pub(crate) sha256: Option<[u8; 32]>,
}
