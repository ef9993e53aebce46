//! Roles: sets of permissions.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use towpath_record::ResourceName;

use crate::fault::Faults;
use crate::id::RoleId;
use crate::kind::Kind;
use crate::permission::{Action, Object, Permission, Permissions};
use crate::site::{LONGEST_DESCRIPTION, check_description};
use crate::spec::Spec;

const MOST_PERMISSIONS: usize = 200;

/// A set of permissions under a name, beside the built-in roles `viewer`, `operator`, `author`, `security` and `admin`.
/// It gives nobody anything until a role binding names it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Role")]
pub struct RoleSpec {
    /// What it allows, each as OBJECT:ACTION such as `route:read`, `source:*` or `*:read`. What is not listed is denied.
    #[schemars(length(min = 1, max = MOST_PERMISSIONS))]
    pub permissions: Vec<Permissions>,
    /// What people should know of it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = LONGEST_DESCRIPTION))]
    pub description: String,
}

impl Spec for RoleSpec {
    type Id = RoleId;
    const KIND: Kind = Kind::Role;
    const COLUMNS: &'static [(&'static str, &'static str)] =
        &[("permissions", "/spec/permissions"), ("description", "/spec/description")];
    const EXAMPLE: &'static str = r#"apiVersion: towpath/v1
kind: Role
metadata: {name: replayer}
spec: {permissions: ["*:read", "route:operate", "dead-letter:operate"]}
"#;

    fn check(&self, faults: &mut Faults) {
        let many = self.permissions.len();
        faults.require((1..=MOST_PERMISSIONS).contains(&many), "spec.permissions", || {
            format!("has {many} entries; it may have 1 to {MOST_PERMISSIONS}")
        });
        check_description(&self.description, faults);
    }

    fn check_name(name: &ResourceName, faults: &mut Faults) {
        faults.require(BuiltInRole::named(name.as_str()).is_none(), "metadata.name", || {
            format!("`{name}` is the name of a built-in role; choose another")
        });
    }
}

/// A role that is always there.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum BuiltInRole {
    /// Sees how everything is set up and goes, but no business data and nothing of who may do what.
    Viewer,
    /// A viewer who also keeps things going: replays, checks, compares, reads records.
    Operator,
    /// An operator who also sets up sites, sources, sinks and routes, and enrols agents.
    Author,
    /// Sees who may do what and who did what, gives and takes rights and keys, and cuts agents off.
    Security,
    /// Everything.
    Admin,
}

impl BuiltInRole {
    /// Every built-in role.
    pub const ALL: [Self; 5] = [Self::Viewer, Self::Operator, Self::Author, Self::Security, Self::Admin];

    /// Its name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Operator => "operator",
            Self::Author => "author",
            Self::Security => "security",
            Self::Admin => "admin",
        }
    }

    /// The built-in role of this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.as_str() == name)
    }

    /// What it allows.
    pub fn permissions(self) -> Vec<Permissions> {
        let all = |rule: fn(Permission) -> bool| {
            Permission::all()
                .filter(|one| rule(*one))
                .map(|one| Permissions::one(one.action, one.object))
                .collect()
        };
        match self {
            Self::Viewer => all(views),
            Self::Operator => all(|one| views(one) || operates(one)),
            Self::Author => all(|one| views(one) || operates(one) || authors(one)),
            Self::Security => all(secures),
            Self::Admin => vec![Permissions::ALL],
        }
    }
}

/// Resources that say what flows where.
const fn is_of_the_flow(object: Object) -> bool {
    matches!(object, Object::Resource(Kind::Site | Kind::Agent | Kind::Source | Kind::Sink | Kind::Route))
}

const fn views(one: Permission) -> bool {
    let seen = matches!(one.object, Object::Status | Object::Stream | Object::Schema | Object::DeadLetter);
    matches!(one.action, Action::Read) && (seen || is_of_the_flow(one.object))
}

const fn operates(one: Permission) -> bool {
    match one.object {
        Object::Record | Object::AgentLog => matches!(one.action, Action::Read),
        Object::Schema | Object::DeadLetter => matches!(one.action, Action::Operate),
        Object::Resource(Kind::Source | Kind::Sink | Kind::Route) => matches!(one.action, Action::Operate),
        _ => false,
    }
}

const fn authors(one: Permission) -> bool {
    matches!(one.action, Action::Write) && is_of_the_flow(one.object)
        || matches!(one.object, Object::EnrolmentToken)
}

const fn secures(one: Permission) -> bool {
    match one.object {
        Object::Resource(Kind::Role | Kind::RoleBinding | Kind::IdentityProvider | Kind::AuditExport)
        | Object::ApiKey
        | Object::User
        | Object::Session
        | Object::Audit
        | Object::EnrolmentToken => true,
        Object::Resource(Kind::Agent) => matches!(one.action, Action::Operate | Action::Read),
        _ => views(one),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allows(role: BuiltInRole, object: Object, action: Action) -> bool {
        role.permissions().iter().any(|some| some.contain(Permission { action, object }))
    }

    #[test]
    fn each_role_from_viewer_to_author_allows_what_the_one_before_allows() {
        let order = [BuiltInRole::Viewer, BuiltInRole::Operator, BuiltInRole::Author, BuiltInRole::Admin];
        for pair in order.windows(2) {
            for Permission { action, object } in Permission::all() {
                assert!(!allows(pair[0], object, action) || allows(pair[1], object, action));
            }
        }
    }

    #[test]
    fn business_data_is_not_for_viewers_nor_for_those_who_give_rights() {
        for (role, sees) in
            [(BuiltInRole::Viewer, false), (BuiltInRole::Security, false), (BuiltInRole::Operator, true)]
        {
            assert_eq!(allows(role, Object::Record, Action::Read), sees, "{role:?}");
        }
    }

    #[test]
    fn only_security_and_admin_touch_rights_and_keys() {
        let rights = [Object::ApiKey, Object::User, Object::Session, Object::Audit]
            .into_iter()
            .chain([Kind::Role, Kind::RoleBinding, Kind::IdentityProvider].map(Object::Resource));
        for object in rights {
            for role in BuiltInRole::ALL {
                let may = matches!(role, BuiltInRole::Security | BuiltInRole::Admin);
                assert_eq!(allows(role, object, Action::Write), may, "{role:?} {object:?}");
            }
        }
    }
}
