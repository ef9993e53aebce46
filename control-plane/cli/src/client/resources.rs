//! Resources: listed, shown, applied, replaced and deleted.

use reqwest::Method;
use reqwest::header::{ETAG, HeaderMap, IF_MATCH};
use serde_json::Value;
use towpath_resource::Kind;
use towpath_resource::api::{ApplyReport, Page};

use super::{Answer, Client};

/// How many resources are asked for at once, where there are more than come by themselves.
const PAGE: usize = 1_000;

/// Which resources are listed, and in which order, as the API's lists have it.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Those {
    /// The filter. Default: all.
    pub filter: Option<String>,
    /// The order. Default: of the names.
    pub sort: Option<String>,
}

/// A resource, and which state of it this is.
#[derive(Clone, PartialEq, Debug)]
pub struct Versioned {
    /// The resource with its status.
    pub resource: Value,
    /// The state as the control plane marks it, for [`Client::replace`].
    pub tag: String,
}

impl Client {
    /// Applies the documents of a text. Refused ones are in the report.
    ///
    /// # Errors
    /// The request failed or was refused as a whole.
    pub async fn apply(&self, documents: &str, dry_run: bool) -> Answer<ApplyReport> {
        let request = self.request(Method::POST, &["apply"]).query(&[("dry_run", dry_run)]);
        let response = self.send(request.body(documents.to_owned())).await?;
        let status = response.status();
        let text = self.body(response).await?;
        // The report of a partly refused request comes with the status of a refusal.
        match serde_json::from_str(&text) {
            Ok(report) => Ok(report),
            Err(_) => Err(self.refusal(status, &text)),
        }
    }

    /// The resources of a kind, with their status.
    ///
    /// # Errors
    /// The request failed or was refused.
    pub async fn list(&self, kind: Kind) -> Answer<Vec<Value>> {
        self.list_those(kind, &Those::default()).await
    }

    /// Those of the resources of a kind that are wanted, with their status.
    ///
    /// # Errors
    /// The request failed or was refused.
    pub async fn list_those(&self, kind: Kind, those: &Those) -> Answer<Vec<Value>> {
        let wanted = [("filter", &those.filter), ("sort", &those.sort)];
        let wanted: Vec<_> =
            wanted.into_iter().filter_map(|(name, text)| Some((name, text.as_ref()?))).collect();
        let ask = || self.request(Method::GET, &[kind.plural()]).query(&wanted);
        let mut page: Page<Value> = self.json(ask()).await?;
        let mut items = page.items;
        while let Some(cursor) = page.next_cursor {
            page = self.json(ask().query(&[("limit", PAGE)]).query(&[("cursor", cursor)])).await?;
            items.append(&mut page.items);
        }
        Ok(items)
    }

    /// A resource with its status.
    ///
    /// # Errors
    /// The request failed or was refused.
    pub async fn show(&self, kind: Kind, name: &str) -> Answer<Value> {
        self.get(&[kind.plural(), name]).await
    }

    /// Deletes a resource.
    ///
    /// # Errors
    /// The request failed or was refused.
    pub async fn delete(&self, kind: Kind, name: &str) -> Answer<()> {
        self.done(self.request(Method::DELETE, &[kind.plural(), name])).await
    }

    /// A resource with its status, and which state of it this is.
    ///
    /// # Errors
    /// The request failed or was refused.
    pub async fn show_versioned(&self, kind: Kind, name: &str) -> Answer<Versioned> {
        let response = self.send(self.request(Method::GET, &[kind.plural(), name])).await?;
        let tag = tag_of(response.headers());
        let resource: Value = self.read(response).await?;
        let generation = resource.pointer("/metadata/generation").and_then(Value::as_u64).unwrap_or(0);
        Ok(Versioned { tag: tag.unwrap_or_else(|| format!("\"{generation}\"")), resource })
    }

    /// Replaces a resource if it is still in this state.
    ///
    /// # Errors
    /// The request failed or was refused, for instance because someone else changed the resource.
    pub async fn replace(&self, kind: Kind, name: &str, tag: &str, document: String) -> Answer<Value> {
        let request = self.request(Method::PUT, &[kind.plural(), name]);
        self.json(request.header(IF_MATCH, tag).body(document)).await
    }
}

fn tag_of(headers: &HeaderMap) -> Option<String> {
    Some(headers.get(ETAG)?.to_str().ok()?.to_owned())
}
