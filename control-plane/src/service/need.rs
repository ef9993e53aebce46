//! What an interface asks of whoever calls, before it looks at what is called for.

use towpath_resource::Permission;

/// What is asked of whoever calls, before it is looked at what is called for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Need {
    /// This permission, on something at least. Whether on the very thing, the operation decides.
    Permission(Permission),
    /// Nothing: it is there for those who are not known yet.
    Nothing,
    /// Only to be known: it is about nobody but whoever calls.
    ToBeKnown,
    /// Only to be known. What is asked says which permissions are needed, and each part is decided by itself.
    DecidedByContent,
}

impl From<Permission> for Need {
    fn from(permission: Permission) -> Self {
        Self::Permission(permission)
    }
}
