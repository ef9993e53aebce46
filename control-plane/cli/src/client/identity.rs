//! As whom the control plane knows us.

use jiff::Timestamp;
use reqwest::header::DATE;
use reqwest::{Method, StatusCode};
use serde_json::Value;
use towpath_resource::api::{Listed, LoginOrder, LoginProvider, RefreshOrder, SessionTokens};

use super::{ANSWER_WITHIN, Answer, Client, ClientError};

/// A login that was granted, by the control plane or by an identity provider.
#[derive(Clone)]
pub struct Granted {
    /// The token to come with.
    pub access_token: String,
    /// When it ends.
    pub expires_at: Timestamp,
    /// What is exchanged for the next token, if the login can be renewed.
    pub refresh_token: Option<String>,
}

impl From<SessionTokens> for Granted {
    fn from(tokens: SessionTokens) -> Self {
        let SessionTokens { access_token, expires_at, refresh_token, session_expires_at: _ } = tokens;
        Self { access_token, expires_at, refresh_token: Some(refresh_token) }
    }
}

impl Client {
    /// Logs in with a name and a password.
    ///
    /// # Errors
    /// The request failed or was refused.
    pub async fn login(&self, user: &str, password: &str) -> Answer<Granted> {
        let request = self.request(Method::POST, &["auth", "login"]);
        let order = LoginOrder { user: user.to_owned(), password: password.to_owned() };
        let response = self.send_unknown(request.json(&order)).await?;
        Ok(self.read::<SessionTokens>(response).await?.into())
    }

    /// Exchanges a refresh token for the next token.
    ///
    /// # Errors
    /// The request failed or was refused.
    pub async fn refresh(&self, refresh_token: &str) -> Answer<Granted> {
        let request = self.request(Method::POST, &["auth", "refresh"]);
        let order = RefreshOrder { refresh_token: refresh_token.to_owned() };
        let response = self.send_unknown(request.json(&order)).await?;
        Ok(self.read::<SessionTokens>(response).await?.into())
    }

    /// Ends the session that this client's token belongs to.
    ///
    /// # Errors
    /// The request failed or was refused.
    pub async fn logout(&self) -> Answer<()> {
        self.done(self.request(Method::POST, &["auth", "logout"])).await
    }

    /// As whom the control plane knows this client.
    ///
    /// # Errors
    /// The request failed or was refused.
    pub async fn whoami(&self) -> Answer<Value> {
        self.get(&["auth", "whoami"]).await
    }

    /// The identity providers whose word the control plane takes.
    ///
    /// # Errors
    /// The request failed or was refused.
    pub async fn providers(&self) -> Answer<Vec<LoginProvider>> {
        let response = self.send_unknown(self.request(Method::GET, &["auth", "providers"])).await?;
        Ok(self.read::<Listed<LoginProvider>>(response).await?.items)
    }

    /// What time it is at the control plane, to the second, if it says so.
    ///
    /// # Errors
    /// The request failed.
    pub async fn clock(&self) -> Answer<Option<Timestamp>> {
        let mut url = self.base.clone();
        url.set_path("healthz");
        let answer = self.send_unknown(self.http.get(url).timeout(ANSWER_WITHIN)).await?;
        let date = answer.headers().get(DATE).and_then(|date| date.to_str().ok());
        let date = date.and_then(|date| jiff::fmt::rfc2822::parse(date).ok());
        Ok(date.map(|date| date.timestamp()))
    }

    /// Whether the control plane takes this client's token at all, whatever it may do.
    ///
    /// # Errors
    /// The request failed for another reason than the token.
    pub async fn is_known(&self) -> Answer<bool> {
        match self.status().await {
            Ok(_) => Ok(true),
            Err(ClientError::Refused(problem)) if problem.status == StatusCode::FORBIDDEN.as_u16() => {
                Ok(true)
            }
            Err(ClientError::Refused(problem)) if problem.status == StatusCode::UNAUTHORIZED.as_u16() => {
                Ok(false)
            }
            Err(error) => Err(error),
        }
    }
}

impl std::fmt::Debug for Granted {
    /// Leaves the tokens out.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Granted(until {})", self.expires_at)
    }
}
