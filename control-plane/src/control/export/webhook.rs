//! An HTTPS receiver: parts of the trail are posted to it as lines of JSON, each signed as Standard Webhooks describes it
//! (standardwebhooks.com).
//!
//! ```text
//! webhook-id: HEX                 the hash of the body: a delivery that comes again has the same
//! webhook-timestamp: SECONDS      when it was sent, since 1970-01-01 UTC
//! webhook-signature: v1,BASE64    HMAC-SHA256 of "ID.SECONDS.BODY", with the secret as its key
//! ```
//!
//! What the receiver answers with 2xx was taken. Everything else, and silence, is tried again. Requests go through
//! [`Egress`], which refuses addresses that are not public, follows no redirect and bounds the answer in size and time.

use std::sync::Arc;

use aws_lc_rs::hmac;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use reqwest::Method;
use reqwest::header::CONTENT_TYPE;

use super::SendError;
use crate::control::secret;
use crate::egress::Egress;

/// Most bytes of one post, so that receivers with the usual limits take it. A single line that is longer goes alone.
const POST_BYTES: usize = 512 << 10;
/// A secret with this prefix is the Base64 of the key, as Standard Webhooks writes it; any other is the key itself.
const ENCODED: &str = "whsec_";
/// A shorter key could be guessed from one signature.
const SHORTEST_KEY: usize = 16;

/// The receiver.
pub(super) struct WebhookTarget {
    egress: Arc<Egress>,
    url: String,
    /// Where its secret stands.
    secret: String,
}

impl WebhookTarget {
    pub(super) fn new(egress: Arc<Egress>, url: String, secret: String) -> Self {
        Self { egress, url, secret }
    }

    /// Posts these lines, in order, and ends when all were taken.
    pub(super) async fn send(&self, lines: &[String]) -> Result<(), SendError> {
        // Read for each part: a secret that is changed holds from then on.
        let key = key(&secret::read(&self.secret).await?)?;
        for body in bodies(lines) {
            self.post(&key, body).await?;
        }
        Ok(())
    }

    async fn post(&self, key: &hmac::Key, body: String) -> Result<(), SendError> {
        let id = blake3::hash(body.as_bytes()).to_hex();
        let at = Timestamp::now().as_second().to_string();
        let signature = sign(key, &id, &at, &body);
        let complete = |request: reqwest::RequestBuilder| {
            request
                .header(CONTENT_TYPE, "application/x-ndjson")
                .header("webhook-id", id.as_str())
                .header("webhook-timestamp", at)
                .header("webhook-signature", signature)
                .body(body)
        };
        let status = self.egress.fetch(Method::POST, &self.url, complete).await?.status;
        if status.is_success() {
            return Ok(());
        }
        let url = self.url.clone();
        Err(if status.is_redirection() {
            SendError::Redirected { url }
        } else {
            SendError::NotTaken { url, status }
        })
    }
}

/// The lines as the bodies of posts.
fn bodies(lines: &[String]) -> Vec<String> {
    let mut bodies: Vec<String> = Vec::new();
    for line in lines {
        match bodies.last_mut().filter(|body| body.len() + line.len() < POST_BYTES) {
            Some(body) => body.push_str(line),
            None => bodies.push(line.clone()),
        }
        bodies.last_mut().expect("a body was just made").push('\n');
    }
    bodies
}

fn key(secret: &str) -> Result<hmac::Key, SendError> {
    let bytes = match secret.strip_prefix(ENCODED) {
        Some(encoded) => STANDARD.decode(encoded).map_err(|_| SendError::SecretForm)?,
        None => secret.as_bytes().to_vec(),
    };
    if bytes.len() < SHORTEST_KEY {
        return Err(SendError::SecretShort(SHORTEST_KEY));
    }
    Ok(hmac::Key::new(hmac::HMAC_SHA256, &bytes))
}

fn sign(key: &hmac::Key, id: &str, at: &str, body: &str) -> String {
    let tag = hmac::sign(key, format!("{id}.{at}.{body}").as_bytes());
    format!("v1,{}", STANDARD.encode(tag))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_is_the_one_of_the_published_example() {
        let key = key("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
        let signed = sign(&key, "msg_p5jXN8AQM9LWM0D4loKWxJek", "1614265330", r#"{"test": 2432232314}"#);
        assert_eq!(signed, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn a_key_that_could_be_guessed_is_refused() {
        assert!(matches!(key("hunter2"), Err(SendError::SecretShort(16))));
        assert!(matches!(key("whsec_%%%"), Err(SendError::SecretForm)));
        assert!(key("0123456789abcdef").is_ok());
    }

    #[test]
    fn posts_are_bounded_and_together_they_are_the_lines() {
        let lines: Vec<String> = (0..100).map(|n| format!("{n}{}", "x".repeat(20 << 10))).collect();
        let bodies = bodies(&lines);
        assert!(bodies.len() > 1 && bodies.iter().all(|body| body.len() <= POST_BYTES));
        assert_eq!(bodies.concat().lines().map(str::to_owned).collect::<Vec<_>>(), lines);
        let alone = super::bodies(&["y".repeat(2 * POST_BYTES)]);
        assert_eq!(alone.len(), 1);
    }
}
