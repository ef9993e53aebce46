//! The provider's process.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use rcgen::{CertificateParams, KeyPair};
use serde_json::Value;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};

use super::browser::Browser;

/// A running provider; it ends with this.
pub(super) struct Provider {
    pub(super) issuer: String,
    http: reqwest::Client,
    dir: TempDir,
    _process: Child,
    // It writes notices now and then, and ends if nobody could read them.
    _output: Lines<BufReader<ChildStdout>>,
}

impl Provider {
    /// Starts a provider on a free port of this machine, with a certificate of its own.
    pub(super) async fn start() -> Self {
        let scripts = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/oidc");
        assert!(
            scripts.join("node_modules").exists(),
            "the provider is not installed: run `npm ci --ignore-scripts` in tests/oidc, as `cargo x test` does"
        );
        let dir = tempfile::tempdir().unwrap();
        let key = KeyPair::generate().unwrap();
        let certificate =
            CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap().self_signed(&key).unwrap();
        std::fs::write(dir.path().join("cert.pem"), certificate.pem()).unwrap();
        std::fs::write(dir.path().join("key.pem"), key.serialize_pem()).unwrap();
        let mut process = Command::new("node")
            .arg(scripts.join("provider.mjs"))
            .args([dir.path().join("cert.pem"), dir.path().join("key.pem")])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .expect("node is among the packages that tests need; `cargo x test` installs it");
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let port = loop {
            let line = lines.next_line().await.unwrap().expect("the provider starts");
            if let Some(port) = line.strip_prefix("ready ") {
                break port.to_owned();
            }
        };
        let mut roots = rustls::RootCertStore::empty();
        roots.add(certificate.der().clone()).unwrap();
        let provider = std::sync::Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let tls = rustls::ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let tls = tls.unwrap().with_root_certificates(roots).with_no_client_auth();
        let http = reqwest::Client::builder()
            .tls_backend_preconfigured(tls)
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .unwrap();
        Self { issuer: format!("https://127.0.0.1:{port}"), http, dir, _process: process, _output: lines }
    }

    /// The file with the authority of its certificate.
    pub(super) fn ca_file(&self) -> PathBuf {
        self.dir.path().join("cert.pem")
    }

    /// A browser that trusts it.
    pub(super) fn browser(&self) -> Browser {
        Browser::new(self.http.clone())
    }

    /// Gives it new keys.
    pub(super) async fn rotate(&self) {
        self.http.post(format!("{}/test/rotate", self.issuer)).send().await.unwrap();
    }

    /// Posts a form, with a client's secret if it has one.
    pub(super) async fn form(&self, url: &str, form: &[(&str, &str)], client: Option<(&str, &str)>) -> Value {
        let request = self.http.post(url).header("content-type", "application/x-www-form-urlencoded");
        let request = match client {
            Some((name, secret)) => request.basic_auth(name, Some(secret)),
            None => request,
        };
        let text = request.body(super::browser::encoded(form)).send().await.unwrap().text().await.unwrap();
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
    }
}
