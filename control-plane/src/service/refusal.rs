//! Why something is refused.

use towpath_access::Denied;
use towpath_catalog::{
    ApplyError, CatalogError, DeleteError, KeyError, TargetError, UnknownResource, UserError,
};
use towpath_resource::{Document, Fault, Invalid};

use super::limits::Limited;
use super::list::CursorError;
use super::plane::PlaneError;
use crate::control::bearer::NoRandomBytes;

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
    /// What it was to go on from is no longer kept.
    #[error("{0}")]
    Gone(String),
    /// It is not valid.
    #[error("{detail}")]
    Invalid {
        /// What is not, in a sentence.
        detail: String,
        /// What is wrong, by field, where fields are at fault.
        faults: Vec<Fault>,
    },
    /// More was asked than is allowed in the time.
    #[error(transparent)]
    Limited(#[from] Limited),
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

    /// An argument of a request is not valid.
    pub fn invalid_argument(name: &str, message: impl Into<String>) -> Self {
        let fault = Fault { path: name.to_owned(), message: message.into(), place: None };
        Self::Invalid { detail: format!("{name} {}", fault.message), faults: vec![fault] }
    }

    /// With the place of each field in the document that was sent.
    pub(super) fn placed_in(self, document: &Document) -> Self {
        let Self::Invalid { detail, faults } = self else { return self };
        let placed = |fault: Fault| Fault {
            place: fault.place.or_else(|| Some(document.locate(&fault.path))),
            ..fault
        };
        Self::Invalid { detail, faults: faults.into_iter().map(placed).collect() }
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
            ApplyError::Stale(stale) => Self::Stale(stale.to_string()),
            ApplyError::Invalid(invalid) => invalid.into(),
            ApplyError::Catalog(error) => error.into(),
        }
    }
}

impl From<DeleteError> for Refusal {
    fn from(error: DeleteError) -> Self {
        match error {
            DeleteError::Stale(stale) => Self::Stale(stale.to_string()),
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

impl From<CursorError> for Refusal {
    fn from(error: CursorError) -> Self {
        Self::invalid_argument("cursor", error.to_string())
    }
}

impl From<KeyError> for Refusal {
    fn from(error: KeyError) -> Self {
        match error {
            unknown @ KeyError::Unknown(_) => Self::NotFound(unknown.to_string()),
            expired @ KeyError::Expired { .. } => Self::Conflict(expired.to_string()),
            KeyError::Invalid(invalid) => invalid.into(),
            KeyError::Catalog(error) => error.into(),
        }
    }
}

impl From<UserError> for Refusal {
    fn from(error: UserError) -> Self {
        match error {
            unknown @ UserError::Unknown(_) => Self::NotFound(unknown.to_string()),
            UserError::Invalid(invalid) => invalid.into(),
            UserError::Catalog(error) => error.into(),
        }
    }
}

impl From<NoRandomBytes> for Refusal {
    fn from(error: NoRandomBytes) -> Self {
        Self::Unavailable(error.to_string())
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
