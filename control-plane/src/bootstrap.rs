//! The first start: the admin's token, printed once, and the context file with which `towpath` on this machine works
//! at once.

use std::fs;
use std::io::Write;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;

use anyhow::Context;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use towpath_catalog::{Catalog, SecretHash};
use towpath_segment::private;

const SECRET_BYTES: usize = 32;
const CONTEXT_FILE: &str = "admin-context.yaml";

/// How `towpath` reaches this control plane.
#[derive(Serialize, Deserialize)]
struct AdminContext {
    server: String,
    token: String,
    ca_pem: String,
}

/// Makes the first admin's token if there is none, and keeps the context file true to where we listen.
///
/// # Errors
/// The catalog or the file cannot be written.
pub(crate) fn admin(
    data_dir: &Path,
    catalog: &Catalog,
    listen: SocketAddr,
    ca_pem: &str,
) -> anyhow::Result<()> {
    let path = data_dir.join(CONTEXT_FILE);
    let written = fs::read_to_string(&path).ok();
    let known = written.as_deref().and_then(|text| serde_saphyr::from_str::<AdminContext>(text).ok());
    let token = if catalog.state().admin_tokens.is_empty() {
        let token = new_token()?;
        catalog.create_admin_token("bootstrap", SecretHash::of(&token))?;
        let mut out = std::io::stdout().lock();
        writeln!(out, "admin token (shown once, keep it safe): {token}")?;
        writeln!(out, "on this machine: export TOWPATH_CONTEXT={}", path.display())?;
        token
    } else {
        match known {
            Some(context) => context.token,
            // The admin took the file away, as a careful one does.
            None => return Ok(()),
        }
    };
    let context =
        AdminContext { server: format!("https://{}", reachable(listen)), token, ca_pem: ca_pem.to_owned() };
    let text = serde_saphyr::to_string(&context).context("the context has no YAML form")?;
    // A start that changes nothing must succeed on a full disk.
    if written.is_some_and(|written| written == text) {
        return Ok(());
    }
    private::replace_file(&path, text.as_bytes()).with_context(|| format!("cannot write {}", path.display()))
}

fn new_token() -> anyhow::Result<String> {
    let mut secret = [0; SECRET_BYTES];
    getrandom::fill(&mut secret)
        .map_err(|error| anyhow::anyhow!("no random bytes are to be had: {error}"))?;
    Ok(format!("tpa1.{}", URL_SAFE_NO_PAD.encode(secret)))
}

/// An address that a client on this machine can dial.
fn reachable(listen: SocketAddr) -> SocketAddr {
    match listen.ip() {
        ip if !ip.is_unspecified() => listen,
        IpAddr::V4(_) => SocketAddr::new(Ipv4Addr::LOCALHOST.into(), listen.port()),
        IpAddr::V6(_) => SocketAddr::new(std::net::Ipv6Addr::LOCALHOST.into(), listen.port()),
    }
}
