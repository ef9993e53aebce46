//! A role given to someone without a role binding: to a key.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use towpath_record::ResourceName;

use crate::fault::Faults;
use crate::hint::NameOf;
use crate::kind::Kind;
use crate::role::{BuiltInRole, RoleSpec};
use crate::scope::Scope;
use crate::spec::{Lookup, check_reference};

/// Most roles that are given to a key.
pub(crate) const MOST_GRANTS: usize = 20;

/// A role, and where it holds.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RoleGrant {
    /// The role: a built-in one (`viewer`, `operator`, `author`, `security`, `admin`) or a Role.
    #[schemars(with = "NameOf<RoleSpec>")]
    pub role: ResourceName,
    /// Where it holds. Default: everywhere.
    #[serde(default, skip_serializing_if = "Scope::is_everywhere")]
    pub scope: Scope,
}

impl RoleGrant {
    /// Notes what is wrong with grants, in themselves or beside the resources there are.
    pub fn check_all(grants: &[Self], lookup: &impl Lookup, faults: &mut Faults) {
        let many = grants.len();
        faults.require((1..=MOST_GRANTS).contains(&many), "grants", || {
            format!("has {many} entries; it may have 1 to {MOST_GRANTS}")
        });
        for (n, grant) in grants.iter().enumerate() {
            if BuiltInRole::named(grant.role.as_str()).is_none() {
                check_reference(&format!("grants[{n}].role"), Kind::Role, &grant.role, lookup, faults);
            }
            grant.scope.check(&format!("grants[{n}].scope"), faults);
            for site in &grant.scope.sites {
                check_reference(&format!("grants[{n}].scope.sites"), Kind::Site, site, lookup, faults);
            }
        }
    }

    /// Whether it names this resource: its role, or a site of its scope.
    pub fn refers_to(&self, kind: Kind, name: &ResourceName) -> bool {
        match kind {
            Kind::Role => self.role == *name,
            Kind::Site => self.scope.sites.contains(name),
            _ => false,
        }
    }
}
