//! How the API is set up: a part of the control plane's configuration file.

use axum::http::HeaderValue;
use serde::{Deserialize, Serialize};

/// The API.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ApiSettings {
    /// Which web pages may use the API from a browser.
    pub cors: CorsSettings,
    /// How often someone may ask.
    pub rate: RateSettings,
    /// What one request of GraphQL may ask for.
    pub graphql: GraphqlSettings,
}

/// What one request of GraphQL may ask for.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct GraphqlSettings {
    /// Levels of fields within fields. Tools that ask for the schema need 15. Default: 16.
    pub depth: usize,
    /// What it may cost: one for each field of each item that may come. Default: 50000.
    pub cost: u32,
    /// Operations, aliases counted. Default: 20.
    pub operations: u32,
}

impl Default for GraphqlSettings {
    fn default() -> Self {
        Self { depth: 16, cost: 50_000, operations: 20 }
    }
}

/// Which web pages may use the API from a browser.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CorsSettings {
    /// The origins of the pages, such as `https://console.example.com`. Default: none.
    pub origins: Vec<WebOrigin>,
}

/// Where web pages come from: a scheme, a host and perhaps a port, as browsers write it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct WebOrigin(HeaderValue);

/// A text that is no origin.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is no origin of web pages; write it as browsers do, such as `https://console.example.com`, without a path"
)]
pub struct WebOriginError(String);

impl WebOrigin {
    /// As the header `Origin` says it.
    pub(super) fn header(&self) -> HeaderValue {
        self.0.clone()
    }
}

impl TryFrom<String> for WebOrigin {
    type Error = WebOriginError;

    fn try_from(text: String) -> Result<Self, WebOriginError> {
        let host = ["https://", "http://"].iter().find_map(|scheme| text.strip_prefix(scheme));
        let plain = |b: u8| {
            b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'.' | b'-' | b':' | b'[' | b']')
        };
        let is_origin = host.is_some_and(|host| !host.is_empty() && host.bytes().all(plain));
        match HeaderValue::from_str(&text) {
            Ok(value) if is_origin => Ok(Self(value)),
            _ => Err(WebOriginError(text)),
        }
    }
}

impl From<WebOrigin> for String {
    fn from(origin: WebOrigin) -> Self {
        origin.0.to_str().expect("an origin is plain text").to_owned()
    }
}

/// How often someone may ask, in requests a second.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RateSettings {
    /// Of one who is known, such as an admin or a key. Default: 500.
    pub per_principal: u32,
    /// From one address, IPv6 by networks of 64 bits. Raise it where many share the address of a proxy. Default: 2000.
    pub per_address: u32,
    /// From one address without a valid token. Default: 5.
    pub failures_per_address: u32,
    /// How many seconds' worth may come at once after a pause. Default: 4.
    pub burst_seconds: u32,
}

impl Default for RateSettings {
    fn default() -> Self {
        Self { per_principal: 500, per_address: 2000, failures_per_address: 5, burst_seconds: 4 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_a_browser_would_send_is_an_origin() {
        for text in ["https://console.example.com", "http://localhost:3000", "https://[::1]:8443"] {
            assert_eq!(String::from(WebOrigin::try_from(text.to_owned()).unwrap()), text);
        }
        for text in
            ["*", "console.example.com", "https://x/", "https://X", "https://", "null", "https://a\nb"]
        {
            assert!(WebOrigin::try_from(text.to_owned()).is_err(), "{text}");
        }
    }
}
