//! The audit trail and the history of resources.

use reqwest::Method;
use serde::Serialize;
use serde_json::Value;
use serde_json::value::RawValue;
use towpath_audit::Verification;
use towpath_resource::Kind;
use towpath_resource::api::{AuditFilter, AuditPage, Listed, ResourceVersion, RollbackOrder};

use super::{Answer, Client, Lines};

/// A page of the trail, the newest first.
#[derive(Serialize)]
struct PageArgs<'a> {
    #[serde(flatten)]
    filter: &'a AuditFilter,
    #[serde(skip_serializing_if = "Option::is_none")]
    before: Option<u64>,
    limit: usize,
}

#[derive(serde::Deserialize)]
struct Key {
    pem: String,
}

impl Client {
    /// The newest events that the filter wants, before a number if there is one.
    ///
    /// # Errors
    /// The request failed or was refused.
    pub async fn audit(&self, filter: &AuditFilter, before: Option<u64>, limit: usize) -> Answer<AuditPage> {
        self.json(self.request(Method::GET, &["audit"]).query(&PageArgs { filter, before, limit })).await
    }

    /// Has the control plane check its trail.
    ///
    /// # Errors
    /// The request failed or was refused.
    pub async fn verify_audit(&self) -> Answer<Verification> {
        self.get(&["audit", "verify"]).await
    }

    /// The checkpoints after a number, oldest first.
    ///
    /// # Errors
    /// The request failed or was refused.
    pub async fn checkpoints(&self, after: u64) -> Answer<Vec<Value>> {
        let request = self.request(Method::GET, &["audit", "checkpoints"]).query(&[("after", after)]);
        Ok(self.json::<Listed<Value>>(request).await?.items)
    }

    /// The public key with which checkpoints are verified, in PEM.
    ///
    /// # Errors
    /// The request failed or was refused.
    pub async fn audit_key(&self) -> Answer<String> {
        Ok(self.get::<Key>(&["audit", "key"]).await?.pem)
    }

    /// The whole trail, each line byte for byte as the control plane wrote it.
    ///
    /// # Errors
    /// The request failed or was refused.
    pub async fn export_audit(&self) -> Answer<Lines<Box<RawValue>>> {
        self.lines(self.request(Method::GET, &["audit", "export"])).await
    }

    /// Every version of a resource, oldest first.
    ///
    /// # Errors
    /// The request failed or was refused.
    pub async fn history(&self, kind: Kind, name: &str) -> Answer<Vec<ResourceVersion>> {
        Ok(self.get::<Listed<ResourceVersion>>(&[kind.plural(), name, "history"]).await?.items)
    }

    /// Makes a resource as it was at a generation.
    ///
    /// # Errors
    /// The request failed or was refused.
    pub async fn rollback(&self, kind: Kind, name: &str, to: u64) -> Answer<Value> {
        let request = self.request(Method::POST, &[kind.plural(), name, "rollback"]);
        self.json(request.json(&RollbackOrder { to })).await
    }
}
