//! Role bindings: who has a role, and where.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use towpath_record::ResourceName;

use crate::fault::Faults;
use crate::hint::NameOf;
use crate::id::RoleBindingId;
use crate::identity_provider::IdentityProviderSpec;
use crate::kind::Kind;
use crate::role::{BuiltInRole, RoleSpec};
use crate::scope::Scope;
use crate::site::{LONGEST_DESCRIPTION, check_description};
use crate::spec::{Reference, Spec};

const MOST_SUBJECTS: usize = 1_000;
const LONGEST_SUBJECT: usize = 256;

/// Gives a role to people, groups and machines, everywhere or within a scope. Nobody can give more than they have.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "RoleBinding")]
pub struct RoleBindingSpec {
    /// The role: a built-in one (`viewer`, `operator`, `author`, `security`, `admin`) or a Role.
    #[schemars(with = "NameOf<RoleSpec>")]
    pub role: ResourceName,
    /// Who has it.
    #[schemars(length(min = 1, max = MOST_SUBJECTS))]
    pub subjects: Vec<Subject>,
    /// Where it holds. Default: everywhere.
    #[serde(default, skip_serializing_if = "Scope::is_everywhere")]
    pub scope: Scope,
    /// What people should know of it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = LONGEST_DESCRIPTION))]
    pub description: String,
}

/// Someone who can have a role: `{user: ada}`, `{identity: {provider: corp, subject: 4711}}` or
/// `{group: {provider: corp, name: operators}}`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Subject {
    /// A person whom the control plane knows by a password.
    User(ResourceName),
    /// A person or machine whom an identity provider knows.
    Identity {
        /// The identity provider.
        #[schemars(with = "NameOf<IdentityProviderSpec>")]
        provider: ResourceName,
        /// How the provider names it: the token's subject, as the provider is set up.
        #[schemars(length(min = 1, max = LONGEST_SUBJECT))]
        subject: String,
    },
    /// Everyone whom an identity provider counts to a group.
    Group {
        /// The identity provider.
        #[schemars(with = "NameOf<IdentityProviderSpec>")]
        provider: ResourceName,
        /// The group's name, as it stands in tokens.
        #[schemars(length(min = 1, max = LONGEST_SUBJECT))]
        name: String,
    },
}

impl Subject {
    fn provider(&self) -> Option<&ResourceName> {
        match self {
            Self::User(_) => None,
            Self::Identity { provider, .. } | Self::Group { provider, .. } => Some(provider),
        }
    }

    fn word(&self) -> &str {
        match self {
            Self::User(name) => name.as_str(),
            Self::Identity { subject, .. } => subject,
            Self::Group { name, .. } => name,
        }
    }
}

impl Spec for RoleBindingSpec {
    type Id = RoleBindingId;
    const KIND: Kind = Kind::RoleBinding;
    const COLUMNS: &'static [(&'static str, &'static str)] =
        &[("role", "/spec/role"), ("description", "/spec/description")];
    const EXAMPLE: &'static str = r"apiVersion: towpath/v1
kind: RoleBinding
metadata: {name: hamburg-operators}
spec:
  role: operator
  subjects: [{group: {provider: corp, name: plant-hamburg}}, {user: ada}]
  scope: {sites: [hamburg]}
";

    fn check(&self, faults: &mut Faults) {
        let many = self.subjects.len();
        faults.require((1..=MOST_SUBJECTS).contains(&many), "spec.subjects", || {
            format!("has {many} entries; it may have 1 to {MOST_SUBJECTS}")
        });
        for (n, subject) in self.subjects.iter().enumerate() {
            let length = subject.word().chars().count();
            faults.require((1..=LONGEST_SUBJECT).contains(&length), &format!("spec.subjects[{n}]"), || {
                format!("a subject's name has 1 to {LONGEST_SUBJECT} characters")
            });
        }
        self.scope.check("spec.scope", faults);
        check_description(&self.description, faults);
    }

    fn references(&self) -> Vec<Reference> {
        let role = BuiltInRole::named(self.role.as_str()).is_none().then(|| Reference {
            path: "spec.role",
            kind: Kind::Role,
            name: self.role.clone(),
        });
        let providers = self.subjects.iter().filter_map(Subject::provider).map(|name| Reference {
            path: "spec.subjects",
            kind: Kind::IdentityProvider,
            name: name.clone(),
        });
        role.into_iter().chain(providers).chain(self.scope.references("spec.scope.sites")).collect()
    }
}
