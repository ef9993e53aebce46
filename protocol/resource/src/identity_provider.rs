//! Identity providers: whose word on identities is taken.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::fault::Faults;
use crate::id::IdentityProviderId;
use crate::kind::Kind;
use crate::secret::check_reference;
use crate::site::check_description;
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
    pub issuer: String,
    /// The client that the control plane and its command line are at the provider.
    pub client_id: String,
    /// The client's secret, as `${env:NAME}` or `${file:/path}` on the control plane's machine. Default: none, as it is
    /// for a public client.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_secret: Option<String>,
    /// Whom tokens must be made for, one of these. Default: the client.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub audiences: Vec<String>,
    /// What a login asks for. Default: `[openid, profile, email]`.
    #[serde(default = "scopes")]
    pub scopes: Vec<String>,
    /// Where tokens say who someone is.
    #[serde(default)]
    pub claims: Claims,
    /// What people should know of it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
}

/// Where tokens say who someone is.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Claims {
    /// The claim by which role bindings name the identity. Default: `sub`, the only one that a provider never gives to
    /// another person.
    pub subject: String,
    /// The claim that the audit trail shows for people to read. Default: `email`.
    pub name: String,
    /// The claim that lists groups. Default: `groups`.
    pub groups: String,
}

impl Default for Claims {
    fn default() -> Self {
        Self { subject: "sub".to_owned(), name: "email".to_owned(), groups: "groups".to_owned() }
    }
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
        faults.require(plain(&self.issuer) && self.issuer.len() <= LONGEST_WORD, "spec.issuer", || {
            "is not an address such as https://login.example.com, without user, query and fragment".to_owned()
        });
        for (path, text) in [
            ("spec.client_id", &self.client_id),
            ("spec.claims.subject", &self.claims.subject),
            ("spec.claims.name", &self.claims.name),
            ("spec.claims.groups", &self.claims.groups),
        ] {
            faults.require((1..=LONGEST_WORD).contains(&text.len()), path, || {
                format!("has {} bytes; it may have 1 to {LONGEST_WORD}", text.len())
            });
        }
        for (path, entries) in [("spec.audiences", &self.audiences), ("spec.scopes", &self.scopes)] {
            let fits = entries.len() <= MOST_ENTRIES && entries.iter().all(|one| one.len() <= LONGEST_WORD);
            faults.require(fits, path, || {
                format!("may have {MOST_ENTRIES} entries of {LONGEST_WORD} bytes at most")
            });
        }
        if let Some(secret) = &self.client_secret {
            check_reference(secret, "spec.client_secret", faults);
        }
        check_description(&self.description, faults);
    }

    fn check_change(&self, before: &Self, faults: &mut Faults) {
        faults.require(self.issuer == before.issuer, "spec.issuer", || {
            format!("is `{}` and cannot be changed, since role bindings name its identities; create another identity-provider", before.issuer)
        });
    }
}
