//! How the API is set up: a part of the control plane's configuration file.

use serde::{Deserialize, Serialize};

/// The API.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ApiSettings {
    /// Which web pages may use the API from a browser.
    pub cors: CorsSettings,
}

/// Which web pages may use the API from a browser.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CorsSettings {
    /// The origins of the pages, such as `https://console.example.com`. Default: none.
    pub origins: Vec<String>,
}
