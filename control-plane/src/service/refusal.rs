//! Why something is refused.

use towpath_access::Denied;
use towpath_catalog::{ApplyError, CatalogError, DeleteError, TargetError, UnknownResource};
use towpath_resource::{Fault, Invalid};

use super::plane::PlaneError;

/// Why something is refused. The text names the cause and the remedy.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// Nobody is known by what was presented, or nothing was.
    #[error("{0}")]
    Unknown(String),
    /// The one who asks may not do it.
    #[error(transparent)]
    Denied(#[from] Denied),
    /// It is not there.
    #[error("{0}")]
    NotFound(String),
    /// It cannot be done as things stand.
    #[error("{0}")]
    Conflict(String),
    /// It was changed meanwhile.
    #[error("{0}")]
    Stale(String),
    /// It is not valid.
    #[error("{detail}")]
    Invalid {
        /// What is not, in a sentence.
        detail: String,
        /// What is wrong, by field, where fields are at fault.
        faults: Vec<Fault>,
    },
    /// Too much is asked at once.
    #[error("{0}")]
    TooMany(String),
    /// It cannot be done now.
    #[error("{0}")]
    Unavailable(String),
    /// The control plane is stopping.
    #[error("the control plane is stopping; try again")]
    Stopping,
}

impl Refusal {
    /// Nothing was presented by which anybody is known, or what was presented is not valid any more.
    pub fn unauthenticated() -> Self {
        Self::Unknown(
            "a valid token is needed: send `Authorization: Bearer TOKEN`, or use `towpath login`".to_owned(),
        )
    }

    /// What was asked cannot be understood, without a field at fault.
    pub fn invalid(detail: impl Into<String>) -> Self {
        Self::Invalid { detail: detail.into(), faults: Vec::new() }
    }
}

impl From<Invalid> for Refusal {
    fn from(invalid: Invalid) -> Self {
        Self::Invalid { detail: invalid.to_string(), faults: invalid.faults }
    }
}

impl From<UnknownResource> for Refusal {
    fn from(unknown: UnknownResource) -> Self {
        Self::NotFound(unknown.to_string())
    }
}

impl From<CatalogError> for Refusal {
    fn from(error: CatalogError) -> Self {
        tracing::error!(error = &error as &dyn std::error::Error, "the catalog failed");
        Self::Unavailable(error.to_string())
    }
}

impl From<ApplyError> for Refusal {
    fn from(error: ApplyError) -> Self {
        match error {
            ApplyError::Invalid(invalid) => invalid.into(),
            ApplyError::Catalog(error) => error.into(),
        }
    }
}

impl From<DeleteError> for Refusal {
    fn from(error: DeleteError) -> Self {
        match error {
            DeleteError::Unknown(unknown) => unknown.into(),
            needed @ DeleteError::Needed { .. } => Self::Conflict(needed.to_string()),
            DeleteError::Catalog(error) => error.into(),
        }
    }
}

impl From<TargetError> for Refusal {
    fn from(error: TargetError) -> Self {
        match error {
            TargetError::Unknown(unknown) => unknown.into(),
            TargetError::Catalog(error) => error.into(),
        }
    }
}

impl From<PlaneError> for Refusal {
    fn from(error: PlaneError) -> Self {
        match error {
            PlaneError::NotFound(detail) => Self::NotFound(detail),
            PlaneError::Conflict(detail) => Self::Conflict(detail),
            PlaneError::Unavailable(detail) => Self::Unavailable(detail),
        }
    }
}
