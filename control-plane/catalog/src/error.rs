//! What a command can fail with.

use std::path::PathBuf;

use towpath_record::{AgentId, ResourceName};
use towpath_resource::{Invalid, Kind};
use towpath_segment::{AppendError, ReadError, StorageFault};

use crate::chain::ChainFault;
use crate::snapshot::SnapshotFault;
use crate::terms::Stale;

/// The catalog could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The log of events could not be opened.
    #[error("the catalog's log of events cannot be opened")]
    Log(#[from] towpath_segment::OpenError),
    /// The events could not be read.
    #[error("the catalog's events cannot be read")]
    Read(#[from] ReadError),
    /// The events are not the ones that were written.
    #[error(transparent)]
    Chain(#[from] ChainFault),
    /// The snapshot from which the state begins cannot be used.
    #[error(transparent)]
    Snapshot(#[from] SnapshotFault),
    /// A piece of the snapshot is not one of the state.
    #[error(
        "the catalog's snapshot holds what this release does not know ({0}): install the newer release again"
    )]
    Piece(String),
    /// What an earlier run left undone could not be done.
    #[error("the catalog cannot settle its log of events: check the control plane's disk")]
    Settle(#[source] AppendError),
    /// The projection could neither be used nor set aside.
    #[error("the catalog's projection `{}` can neither be used nor set aside; move it away by hand: it is rebuilt", path.display())]
    Projection {
        /// Its directory.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
}

/// The catalog could not record an event. Nothing happened.
#[derive(Debug, Clone, thiserror::Error)]
pub enum CatalogError {
    /// The disk is full.
    #[error("the catalog's disk is full: free space and try again")]
    NoSpace(#[source] StorageFault),
    /// The disk refused.
    #[error("the catalog cannot write: check the control plane's disk and try again")]
    Append(#[source] AppendError),
    /// The events could not be read.
    #[error("the catalog cannot read its events: check the control plane's disk")]
    Read(#[source] ReadError),
    /// The events are not the ones that were written.
    #[error(transparent)]
    Chain(#[from] ChainFault),
    /// A fault of ours kept the state behind its events.
    #[error("the catalog met a fault of its own and cannot go on: restart the control plane")]
    Stuck,
}

/// Old events were not removed.
#[derive(Debug, thiserror::Error)]
pub enum RetentionError {
    /// The snapshot from which the state begins cannot be used.
    #[error(transparent)]
    Snapshot(#[from] SnapshotFault),
    /// A piece of the snapshot is not one of the state.
    #[error(
        "the catalog's snapshot holds what this release does not know ({0}): install the newer release again"
    )]
    Piece(String),
    /// The new snapshot could not be written.
    #[error(transparent)]
    Storage(#[from] StorageFault),
    /// The catalog could not read or write.
    #[error(transparent)]
    Catalog(#[from] CatalogError),
}

impl From<ChainFault> for RetentionError {
    fn from(fault: ChainFault) -> Self {
        Self::Catalog(fault.into())
    }
}

impl From<AppendError> for RetentionError {
    fn from(error: AppendError) -> Self {
        Self::Catalog(error.into())
    }
}

/// There is no such resource.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("there is no {kind} `{name}`{hint}")]
pub struct UnknownResource {
    /// The kind asked for.
    pub kind: Kind,
    /// The name asked for.
    pub name: String,
    /// What may have been meant, beginning with `; `, or nothing.
    pub hint: String,
}

/// A command on one resource was refused.
#[derive(Debug, thiserror::Error)]
pub enum TargetError {
    /// The resource is not there.
    #[error(transparent)]
    Unknown(#[from] UnknownResource),
    /// The catalog could not record it.
    #[error(transparent)]
    Catalog(#[from] CatalogError),
}

/// A manifest was not taken.
#[derive(Debug, thiserror::Error)]
pub enum ApplyError {
    /// The resource is not in the state that the change was meant for.
    #[error(transparent)]
    Stale(#[from] Stale),
    /// It is not valid, in itself or beside what is there.
    #[error(transparent)]
    Invalid(#[from] Invalid),
    /// The catalog could not record it.
    #[error(transparent)]
    Catalog(#[from] CatalogError),
}

/// A resource was not deleted.
#[derive(Debug, thiserror::Error)]
pub enum DeleteError {
    /// The resource is not in the state that the change was meant for.
    #[error(transparent)]
    Stale(#[from] Stale),
    /// It is not there.
    #[error(transparent)]
    Unknown(#[from] UnknownResource),
    /// Others refer to it.
    #[error("{kind} {name} is needed by {}; delete or change those first", needed_by.join(", "))]
    Needed {
        /// The kind.
        kind: Kind,
        /// The name.
        name: ResourceName,
        /// What refers to it, as in `source erp-files`.
        needed_by: Vec<String>,
    },
    /// The catalog could not record it.
    #[error(transparent)]
    Catalog(#[from] CatalogError),
}

/// An enrolment, or a step of it, was refused.
#[derive(Debug, thiserror::Error)]
pub enum EnrolError {
    /// No such token was made here.
    #[error("the token is not known here; make one with `towpath token create --site SITE`")]
    UnknownToken,
    /// The token was used.
    #[error("the token was used already; make another with `towpath token create --site {site}`")]
    UsedToken {
        /// Its site.
        site: ResourceName,
    },
    /// The token's time is over.
    #[error("the token has expired; make another with `towpath token create --site {site}`")]
    ExpiredToken {
        /// Its site.
        site: ResourceName,
    },
    /// There is such an agent.
    #[error("there is an agent `{name}` already; enrol under another name, or delete that agent first")]
    NameTaken {
        /// The name.
        name: ResourceName,
    },
    /// The agent is revoked or deleted.
    #[error("agent {agent} is revoked or deleted; enrol it again with a new token")]
    Revoked {
        /// The agent.
        agent: AgentId,
    },
    /// The catalog could not record it.
    #[error(transparent)]
    Catalog(#[from] CatalogError),
}
