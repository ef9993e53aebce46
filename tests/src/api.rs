//! The control plane's REST API, as far as the tests use it: with reqwest and JSON alone, so that what a stranger's
//! client sees is what is tested.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use futures_util::StreamExt;
use futures_util::stream::{self, Stream};
use reqwest::{Client, Method, RequestBuilder};
use serde::Deserialize;
use serde_json::{Value, json};

/// The name in the control plane's certificate.
pub const SERVER_NAME: &str = "control.towpath.internal";

/// Longest time that events are followed.
const FOLLOW_FOR: Duration = Duration::from_secs(600);

/// A client with the admin's token.
#[derive(Clone, Debug)]
pub struct Api {
    client: Client,
    base: String,
    token: String,
}

/// Where a control plane is and who vouches for it, as it writes at its first start.
#[derive(Deserialize)]
pub(crate) struct AdminContext {
    server: String,
    token: String,
    pub(crate) ca_pem: String,
}

impl AdminContext {
    pub(crate) fn read(file: &Path) -> Result<Self> {
        let text =
            std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
        serde_saphyr::from_str(&text).context("the admin context is not valid")
    }

    /// The port that it names, on loopback.
    pub(crate) fn address(&self) -> Result<SocketAddr> {
        let port = self.server.rsplit(':').next().and_then(|port| port.trim_end_matches('/').parse().ok());
        let port: u16 = port.with_context(|| format!("the server {} has no port", self.server))?;
        Ok((Ipv4Addr::LOCALHOST, port).into())
    }
}

impl Api {
    /// A client from the `admin-context.yaml` that the control plane writes at its first start.
    ///
    /// # Errors
    /// The file is missing or is not of that form.
    pub fn from_context(file: &Path) -> Result<Self> {
        let context = AdminContext::read(file)?;
        let address = context.address()?;
        install_provider();
        let client = Client::builder()
            .tls_certs_only([reqwest::Certificate::from_pem(context.ca_pem.as_bytes())?])
            .resolve(SERVER_NAME, address)
            .timeout(Duration::from_secs(20))
            .build()?;
        Ok(Self { client, base: format!("https://{SERVER_NAME}:{}", address.port()), token: context.token })
    }

    /// The token that it sends.
    pub fn token(&self) -> &str {
        &self.token
    }

    /// The same client with another token.
    #[must_use]
    pub fn with_token(&self, token: &str) -> Self {
        Self { token: token.to_owned(), ..self.clone() }
    }

    /// Gets a document.
    ///
    /// # Errors
    /// The request failed or was refused.
    pub async fn get(&self, path: &str) -> Result<Value> {
        Ok(serde_json::from_str(&self.text(Method::GET, path, |request| request).await?)?)
    }

    /// Gets a text.
    ///
    /// # Errors
    /// The request failed or was refused.
    pub async fn get_text(&self, path: &str) -> Result<String> {
        self.text(Method::GET, path, |request| request).await
    }

    /// Posts a document.
    ///
    /// # Errors
    /// The request failed or was refused.
    pub async fn post(&self, path: &str, body: &Value) -> Result<Value> {
        let text = self.text(Method::POST, path, |request| request.json(body)).await?;
        if text.is_empty() { Ok(Value::Null) } else { Ok(serde_json::from_str(&text)?) }
    }

    /// Posts a document with an idempotency key.
    ///
    /// # Errors
    /// The request failed or was refused.
    pub async fn post_once(&self, path: &str, key: &str, body: &Value) -> Result<Value> {
        let with_key = |request: RequestBuilder| request.header("idempotency-key", key).json(body);
        Ok(serde_json::from_str(&self.text(Method::POST, path, with_key).await?)?)
    }

    /// Puts a resource at its address.
    ///
    /// # Errors
    /// The request failed or was refused.
    pub async fn put(&self, path: &str, document: &Value) -> Result<()> {
        self.text(Method::PUT, path, |request| request.json(document)).await.map(drop)
    }

    /// Follows events as they come, each as its JSON, until the answer ends or is dropped.
    ///
    /// # Errors
    /// The request failed or was refused.
    pub async fn follow(&self, path: &str) -> Result<impl Stream<Item = Result<Value>> + use<>> {
        let request = self.client.get(format!("{}{path}", self.base)).bearer_auth(&self.token);
        let answer = request.timeout(FOLLOW_FOR).send().await?.error_for_status()?;
        let begun = (answer.bytes_stream().boxed(), Vec::new());
        Ok(stream::try_unfold(begun, |(mut chunks, mut read)| async move {
            loop {
                if let Some(end) = read.iter().position(|byte| *byte == b'\n') {
                    let line: Vec<u8> = read.drain(..=end).collect();
                    if let Some(data) = line.strip_prefix(b"data:") {
                        return Ok(Some((serde_json::from_slice(data)?, (chunks, read))));
                    }
                } else if let Some(chunk) = chunks.next().await {
                    read.extend_from_slice(&chunk?);
                } else {
                    return Ok(None);
                }
            }
        }))
    }

    /// Posts bytes with these headers.
    ///
    /// # Errors
    /// The request failed or was refused.
    pub async fn post_bytes(&self, path: &str, headers: &[(&str, &str)], body: Vec<u8>) -> Result<String> {
        let with_body = |request: RequestBuilder| {
            let add = |request: RequestBuilder, (name, value): &(&str, &str)| request.header(*name, *value);
            headers.iter().fold(request, add).body(body)
        };
        self.text(Method::POST, path, with_body).await
    }

    /// Deletes a resource.
    ///
    /// # Errors
    /// The request failed or was refused.
    pub async fn delete(&self, path: &str) -> Result<()> {
        self.text(Method::DELETE, path, |request| request).await.map(drop)
    }

    /// Applies resources.
    ///
    /// # Errors
    /// One of them was refused.
    pub async fn apply(&self, yaml: &str) -> Result<Value> {
        let with_body = |request: RequestBuilder| {
            request.header("content-type", "application/yaml").body(yaml.to_owned())
        };
        let text = self.text(Method::POST, "/v1/apply", with_body).await?;
        Ok(serde_json::from_str(&text)?)
    }

    /// Makes an enrolment token for a site.
    ///
    /// # Errors
    /// The request failed or was refused.
    pub async fn create_token(&self, site: &str) -> Result<String> {
        let answer = self.post("/v1/tokens", &json!({ "site": site, "ttl": "1h" })).await?;
        let token = answer["token"].as_str().with_context(|| format!("no token in {answer}"))?;
        Ok(token.to_owned())
    }

    /// Whether the control plane says it is ready.
    pub async fn is_ready(&self) -> bool {
        self.get_text("/readyz").await.is_ok()
    }

    /// How many dead letters of a stream can be listed.
    ///
    /// # Errors
    /// The request failed or was refused.
    pub async fn dead_letters(&self, stream: &str) -> Result<Vec<Value>> {
        let answer = self.get(&format!("/v1/deadletters?stream={stream}&limit=10000")).await?;
        let list = answer.as_array().or_else(|| answer["items"].as_array());
        Ok(list.with_context(|| format!("no list of dead letters in {answer}"))?.clone())
    }

    async fn text(
        &self,
        method: Method,
        path: &str,
        with_body: impl FnOnce(RequestBuilder) -> RequestBuilder,
    ) -> Result<String> {
        let request = self.client.request(method.clone(), format!("{}{path}", self.base));
        let answer = with_body(request).bearer_auth(&self.token).send().await;
        let answer = answer.with_context(|| format!("{method} {path} was not answered"))?;
        let status = answer.status();
        let text = answer.text().await?;
        if !status.is_success() {
            bail!("{method} {path} was refused with {status}: {text}");
        }
        Ok(text)
    }
}

/// Makes aws-lc the provider of this process, once.
pub fn install_provider() {
    // The second caller finds it installed, which is as good.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
}
