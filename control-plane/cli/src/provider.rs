//! Identity providers: a login on any device with a browser (RFC 8628), and its renewal (RFC 6749, section 6). The
//! password never passes through us.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::{SignedDuration, Timestamp};
use reqwest::{Response, Url};
use rustls::RootCertStore;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use towpath_resource::api::LoginProvider;

use crate::client::Granted;

const ANSWER_WITHIN: Duration = Duration::from_secs(30);

/// How long to wait between questions, if the provider does not say (RFC 8628, section 3.2), and how much longer when it
/// finds that too often (section 3.5).
const DEFAULT_INTERVAL_SECONDS: u64 = 5;
const SLOWER_BY: Duration = Duration::from_secs(5);

/// How long a token holds of which nothing is said.
const DEFAULT_LIFETIME_SECONDS: i64 = 300;

/// Why a provider gave no token.
#[derive(Debug, thiserror::Error)]
pub enum ProviderError {
    /// Its address is not one to send secrets to.
    #[error("the identity provider's address {0} is not https; have the identity provider's resource mended")]
    NotHttps(String),
    /// There is nothing to trust it by.
    #[error("this machine has no usable CA certificates to know an identity provider by: {0}")]
    Trust(String),
    /// It did not answer.
    #[error(
        "the identity provider at {url} does not answer: {cause}; check the network and the proxy settings"
    )]
    Unreachable {
        /// The address.
        url: String,
        /// Why.
        cause: String,
    },
    /// It answered something else.
    #[error("the identity provider at {url} answered {status} in a form that is not OAuth 2.0's")]
    NotUnderstood {
        /// The address.
        url: String,
        /// The HTTP status.
        status: u16,
    },
    /// It refused.
    #[error("the identity provider refused: {0}")]
    Refused(String),
    /// The user took too long.
    #[error("the code was not entered in time; run `towpath login` again")]
    TooLate,
}

/// What the user does to log in.
#[derive(Clone, Debug, Deserialize)]
pub struct DeviceLogin {
    device_code: String,
    /// The code to enter.
    pub user_code: String,
    /// Where to enter it.
    pub verification_uri: String,
    /// Where the code need not be entered.
    #[serde(default)]
    pub verification_uri_complete: Option<String>,
    expires_in: u64,
    #[serde(default)]
    interval: Option<u64>,
}

#[derive(Deserialize)]
struct Tokens {
    access_token: String,
    #[serde(default)]
    id_token: Option<String>,
    #[serde(default)]
    expires_in: Option<i64>,
    #[serde(default)]
    refresh_token: Option<String>,
}

#[derive(Deserialize)]
struct OAuthError {
    error: String,
    #[serde(default)]
    error_description: Option<String>,
}

/// What comes to providers. It trusts the CAs that this machine trusts.
#[derive(Debug)]
pub struct ProviderClient(reqwest::Client);

impl ProviderClient {
    /// A client. Connects to nothing yet.
    ///
    /// # Errors
    /// This machine trusts no CA.
    pub fn new() -> Result<Self, ProviderError> {
        let untrusted = |error: &dyn std::fmt::Display| ProviderError::Trust(error.to_string());
        let mut roots = RootCertStore::empty();
        let found = rustls_native_certs::load_native_certs();
        if roots.add_parsable_certificates(found.certs).0 == 0 {
            let why = found.errors.first().map_or_else(|| "none were found".to_owned(), ToString::to_string);
            return Err(ProviderError::Trust(why));
        }
        let crypto = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let tls = rustls::ClientConfig::builder_with_provider(crypto).with_safe_default_protocol_versions();
        let mut tls = tls.map_err(|e| untrusted(&e))?.with_root_certificates(roots).with_no_client_auth();
        tls.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        let http = reqwest::Client::builder()
            .tls_backend_preconfigured(tls)
            .redirect(reqwest::redirect::Policy::none())
            .timeout(ANSWER_WITHIN)
            .user_agent(concat!("towpath/", env!("CARGO_PKG_VERSION")))
            .build();
        http.map(Self).map_err(|e| untrusted(&e))
    }

    /// Begins a login.
    ///
    /// # Errors
    /// The provider offers none, does not answer or refuses.
    pub async fn begin(&self, provider: &LoginProvider) -> Result<DeviceLogin, ProviderError> {
        let none = || {
            let why =
                format!("{} offers no login on another device; use `--user` or `--token`", provider.name);
            ProviderError::Refused(why)
        };
        let url = provider.device_authorization_endpoint.as_deref().ok_or_else(none)?;
        let scope = provider.scopes.join(" ");
        let asked = [("client_id", provider.client_id.as_str()), ("scope", &scope)];
        let answer = self.post(url, &asked).await?;
        self.read(url, answer).await?.map_err(refusal)
    }

    /// Waits until the user has logged in.
    ///
    /// # Errors
    /// The user took too long or declined, or the provider does not answer or refuses.
    pub async fn finish(
        &self,
        provider: &LoginProvider,
        login: &DeviceLogin,
    ) -> Result<Granted, ProviderError> {
        let over = tokio::time::Instant::now() + Duration::from_secs(login.expires_in);
        let mut pause = Duration::from_secs(login.interval.unwrap_or(DEFAULT_INTERVAL_SECONDS));
        let asked = [
            ("grant_type", "urn:ietf:params:oauth:grant-type:device_code"),
            ("device_code", login.device_code.as_str()),
            ("client_id", &provider.client_id),
        ];
        loop {
            tokio::time::sleep(pause).await;
            if tokio::time::Instant::now() >= over {
                return Err(ProviderError::TooLate);
            }
            let answer = self.post(&provider.token_endpoint, &asked).await?;
            let refused = match self.read(&provider.token_endpoint, answer).await? {
                Ok(tokens) => return Ok(granted(tokens)),
                Err(refused) => refused,
            };
            match refused.error.as_str() {
                "authorization_pending" => {}
                "slow_down" => pause += SLOWER_BY,
                "expired_token" => return Err(ProviderError::TooLate),
                "access_denied" => return Err(ProviderError::Refused("the login was declined".to_owned())),
                _ => return Err(refusal(refused)),
            }
        }
    }

    /// Exchanges a refresh token for the next token.
    ///
    /// # Errors
    /// The provider does not answer or refuses.
    pub async fn refresh(
        &self,
        token_endpoint: &str,
        client_id: &str,
        refresh_token: &str,
    ) -> Result<Granted, ProviderError> {
        let asked =
            [("grant_type", "refresh_token"), ("refresh_token", refresh_token), ("client_id", client_id)];
        let answer = self.post(token_endpoint, &asked).await?;
        self.read(token_endpoint, answer).await?.map(granted).map_err(refusal)
    }

    async fn post(&self, url: &str, fields: &[(&str, &str)]) -> Result<Response, ProviderError> {
        let parsed = url.parse::<Url>().ok().filter(is_fit_for_secrets);
        let parsed = parsed.ok_or_else(|| ProviderError::NotHttps(url.to_owned()))?;
        let answer = self.0.post(parsed).form(fields).send().await;
        answer.map_err(|error| unreachable(url, &error))
    }

    async fn read<T: DeserializeOwned>(
        &self,
        url: &str,
        answer: Response,
    ) -> Result<Result<T, OAuthError>, ProviderError> {
        let status = answer.status();
        let bytes = answer.bytes().await.map_err(|error| unreachable(url, &error))?;
        let understood = if status.is_success() {
            serde_json::from_slice(&bytes).map(Ok)
        } else {
            serde_json::from_slice(&bytes).map(Err)
        };
        understood.map_err(|_| ProviderError::NotUnderstood { url: url.to_owned(), status: status.as_u16() })
    }
}

/// Whether nobody on the way can read along. What does not leave this machine has no way.
fn is_fit_for_secrets(url: &Url) -> bool {
    let is_here = || {
        let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
        host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback())
    };
    url.scheme() == "https" || (url.scheme() == "http" && is_here())
}

fn unreachable(url: &str, error: &reqwest::Error) -> ProviderError {
    let mut cause: &dyn Error = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    ProviderError::Unreachable { url: url.to_owned(), cause: cause.to_string() }
}

fn refusal(refused: OAuthError) -> ProviderError {
    let OAuthError { error, error_description } = refused;
    ProviderError::Refused(match error_description {
        Some(description) => format!("{description} ({error})"),
        None => error,
    })
}

/// The token that says who the user is, where there is one; else the one that says what may be done.
fn granted(tokens: Tokens) -> Granted {
    let Tokens { access_token, id_token, expires_in, refresh_token } = tokens;
    let said = || {
        let lifetime = SignedDuration::from_secs(expires_in.unwrap_or(DEFAULT_LIFETIME_SECONDS));
        Timestamp::now().checked_add(lifetime).unwrap_or(Timestamp::MAX)
    };
    let bearer = id_token.unwrap_or(access_token);
    Granted { expires_at: end_of(&bearer).unwrap_or_else(said), access_token: bearer, refresh_token }
}

/// When a JWT says that it ends. It is not verified: whoever takes it does that.
fn end_of(jwt: &str) -> Option<Timestamp> {
    #[derive(Deserialize)]
    struct Claims {
        exp: i64,
    }
    let claims = URL_SAFE_NO_PAD.decode(jwt.split('.').nth(1)?).ok()?;
    Timestamp::from_second(serde_json::from_slice::<Claims>(&claims).ok()?.exp).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_go_to_https_or_nowhere_beyond_this_machine() {
        let fit = |url: &str| is_fit_for_secrets(&url.parse().unwrap());
        assert!(fit("https://login.example.com/token"));
        assert!(fit("http://127.0.0.1:8080/token") && fit("http://[::1]/token") && fit("http://localhost/"));
        assert!(!fit("http://login.example.com/token") && !fit("http://127.0.0.1.example.com/"));
    }

    #[test]
    fn a_token_ends_when_it_says_so_itself() {
        let claims = URL_SAFE_NO_PAD.encode(r#"{"sub": "ana", "exp": 1800000000}"#);
        assert_eq!(end_of(&format!("e30.{claims}.sig")).unwrap().as_second(), 1_800_000_000);
        assert_eq!(end_of("opaque"), None);
        let tokens: Tokens =
            serde_json::from_str(r#"{"access_token": "a", "id_token": "i", "expires_in": 60}"#).unwrap();
        let granted = granted(tokens);
        assert_eq!(granted.access_token, "i");
        let seconds = granted.expires_at.duration_since(Timestamp::now()).as_secs();
        assert!((55..=60).contains(&seconds), "{seconds}");
    }
}
