//! What proves who we are, renewed before it ends.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use tokio::sync::Mutex;

use super::{Answer, Client, ClientError};
use crate::context::{Context, ContextFile, Session};
use crate::provider::ProviderClient;

/// A token that ends sooner is renewed before it is used, so that it does not end on its way.
const RENEW_BEFORE: SignedDuration = SignedDuration::from_secs(30);

/// What proves who we are.
#[derive(Clone)]
pub(super) enum Credential {
    /// A token that is used as it is.
    Fixed(String),
    /// A session that is renewed in its context file.
    Session(Arc<Kept>),
}

pub(super) struct Kept {
    file: PathBuf,
    name: String,
    held: Mutex<(String, Session)>,
}

impl Credential {
    pub(super) fn fixed(token: &str) -> Self {
        Self::Fixed(token.trim().to_owned())
    }

    pub(super) fn of(file: &Path, name: &str, context: &Context) -> Self {
        let Some(session) = context.session.clone() else { return Self::fixed(&context.token) };
        let held = Mutex::new((context.token.clone(), session));
        Self::Session(Arc::new(Kept { file: file.to_owned(), name: name.to_owned(), held }))
    }

    /// A token that holds for a while.
    pub(super) async fn token(&self, client: &Client) -> Answer<String> {
        let kept = match self {
            Self::Fixed(token) => return Ok(token.clone()),
            Self::Session(kept) => kept,
        };
        let mut held = kept.held.lock().await;
        if !holds(&held.1) {
            *held = kept.renew(client).await?;
        }
        Ok(held.0.clone())
    }
}

impl Kept {
    /// Renews the session, unless another process has just done so: a provider takes a refresh token once.
    async fn renew(&self, client: &Client) -> Answer<(String, Session)> {
        let mut contexts = ContextFile::begin(Some(&self.file))?;
        let context = contexts.context_mut(&self.name)?;
        // A login of another kind may have taken its place meanwhile.
        let Some(session) = context.session.clone() else {
            return Err(ClientError::LoginOver(Timestamp::now()));
        };
        if holds(&session) {
            return Ok((context.token.clone(), session));
        }
        let Some(refresh_token) = &session.refresh_token else {
            return Err(ClientError::LoginOver(session.expires_at));
        };
        let granted = match &session.provider {
            None => client.refresh(refresh_token).await?,
            Some(provider) => {
                let renewed = async {
                    ProviderClient::new()?
                        .refresh(&provider.token_endpoint, &provider.client_id, refresh_token)
                        .await
                };
                renewed.await.map_err(ClientError::NotRenewed)?
            }
        };
        let renewed = Session {
            expires_at: granted.expires_at,
            refresh_token: granted.refresh_token.or(session.refresh_token),
            provider: session.provider,
        };
        context.token.clone_from(&granted.access_token);
        context.session = Some(renewed.clone());
        contexts.save()?;
        Ok((granted.access_token, renewed))
    }
}

fn holds(session: &Session) -> bool {
    session.expires_at.duration_since(Timestamp::now()) > RENEW_BEFORE
}
