//! How the API is set up: a part of the control plane's configuration file.

use serde::{Deserialize, Serialize};

/// The API.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ApiSettings {
    /// Which web pages may use the API from a browser.
    pub cors: CorsSettings,
    /// How often someone may ask.
    pub rate: RateSettings,
}

/// Which web pages may use the API from a browser.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CorsSettings {
    /// The origins of the pages, such as `https://console.example.com`. Default: none.
    pub origins: Vec<String>,
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
