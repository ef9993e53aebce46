//! Identity providers: whose word on identities is taken.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::fault::Faults;
use crate::id::IdentityProviderId;
use crate::kind::Kind;
use crate::secret::{SecretReference, check_reference};
use crate::site::{LONGEST_DESCRIPTION, check_description};
use crate::spec::Spec;

const MOST_ENTRIES: usize = 20;
const LONGEST_WORD: usize = 256;

/// An OpenID provider (OpenID Connect Discovery 1.0) whose tokens are taken: people log in there, by code with PKCE or
/// by device code, and machines by client credentials. What they may do, role bindings say.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "IdentityProvider")]
pub struct IdentityProviderSpec {
    /// Its address, exactly as it stands in the `iss` of its tokens, such as `https://login.example.com`.
    #[schemars(regex(pattern = "^https://[^?#@ ]*$"), length(max = LONGEST_WORD))]
    pub issuer: String,
    /// The client that the control plane and its command line are at the provider.
    #[schemars(length(min = 1, max = LONGEST_WORD))]
    pub client_id: String,
    /// The client's secret, as `${env:NAME}` or `${file:/path}` on the control plane's machine. Default: none, as it is
    /// for a public client.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<SecretReference>")]
    pub client_secret: Option<String>,
    /// Whom tokens must be made for, one of these. Default: the client.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = MOST_ENTRIES), inner(length(max = LONGEST_WORD)))]
    pub audiences: Vec<String>,
    /// What a login asks for. Default: `[openid, profile, email]`.
    #[serde(default = "scopes")]
    #[schemars(length(max = MOST_ENTRIES), inner(length(max = LONGEST_WORD)))]
    pub scopes: Vec<String>,
    /// Where tokens say who someone is.
    #[serde(default)]
    pub claims: Claims,
    /// What people should know of it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = LONGEST_DESCRIPTION))]
    pub description: String,
}

/// Where tokens say who someone is.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Claims {
    /// The claim by which role bindings name the identity. Default: `sub`, the only one that a provider never gives to
    /// another person.
    #[schemars(length(min = 1, max = LONGEST_WORD))]
    pub subject: String,
    /// The claim that the audit trail shows for people to read. Default: `email`.
    #[schemars(length(min = 1, max = LONGEST_WORD))]
    pub name: String,
    /// The claim that lists groups. Default: `groups`.
    #[schemars(length(min = 1, max = LONGEST_WORD))]
    pub groups: String,
}

impl Default for Claims {
    fn default() -> Self {
        Self { subject: "sub".to_owned(), name: "email".to_owned(), groups: "groups".to_owned() }
    }
}

/// The length of a text as JSON Schema counts it.
fn characters(text: &str) -> usize {
    text.chars().count()
}

fn scopes() -> Vec<String> {
    ["openid", "profile", "email"].map(str::to_owned).to_vec()
}

impl Spec for IdentityProviderSpec {
    type Id = IdentityProviderId;
    const KIND: Kind = Kind::IdentityProvider;
    const COLUMNS: &'static [(&'static str, &'static str)] =
        &[("issuer", "/spec/issuer"), ("client", "/spec/client_id"), ("description", "/spec/description")];
    const EXAMPLE: &'static str = r#"apiVersion: towpath/v1
kind: IdentityProvider
metadata: {name: corp}
spec: {issuer: "https://login.example.com", client_id: towpath}
"#;

    fn check(&self, faults: &mut Faults) {
        let plain = |text: &str| text.starts_with("https://") && !text.contains(['?', '#', '@', ' ']);
        faults.require(
            plain(&self.issuer) && characters(&self.issuer) <= LONGEST_WORD,
            "spec.issuer",
            || {
                "is not an address such as https://login.example.com, without user, query and fragment"
                    .to_owned()
            },
        );
        for (path, text) in [
            ("spec.client_id", &self.client_id),
            ("spec.claims.subject", &self.claims.subject),
            ("spec.claims.name", &self.claims.name),
            ("spec.claims.groups", &self.claims.groups),
        ] {
            faults.require((1..=LONGEST_WORD).contains(&characters(text)), path, || {
                format!("has {} characters; it may have 1 to {LONGEST_WORD}", characters(text))
            });
        }
        for (path, entries) in [("spec.audiences", &self.audiences), ("spec.scopes", &self.scopes)] {
            let fits =
                entries.len() <= MOST_ENTRIES && entries.iter().all(|one| characters(one) <= LONGEST_WORD);
            faults.require(fits, path, || {
                format!("may have {MOST_ENTRIES} entries of {LONGEST_WORD} characters at most")
            });
        }
        if let Some(secret) = &self.client_secret {
            check_reference(secret, "spec.client_secret", "control plane", faults);
        }
        check_description(&self.description, faults);
    }

    fn check_change(&self, before: &Self, faults: &mut Faults) {
        faults.require(self.issuer == before.issuer, "spec.issuer", || {
            format!("is `{}` and cannot be changed, since role bindings name its identities; create another identity-provider", before.issuer)
        });
    }
}
