//! The first start: the admin's token, printed once, and the context file with which `towpath` on this machine works
//! at once. And a new token, for whoever has this machine and no token any more.

use std::fs;
use std::io::Write;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;

use anyhow::Context;
use serde::{Deserialize, Serialize};
use towpath_catalog::{Actor, Catalog, CatalogConfig};
use towpath_segment::private;

use crate::control::bearer::Bearer;

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
        let token = make_token(catalog)?;
        writeln!(std::io::stdout(), "on this machine: export TOWPATH_CONTEXT={}", path.display())?;
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

/// Takes every token of the first admin back and makes a new one, while the control plane does not run. The context file
/// is kept true, if it is there.
///
/// # Errors
/// The control plane runs, or the catalog or the file cannot be written.
pub fn reset_admin(data_dir: &Path) -> anyhow::Result<()> {
    let dir = data_dir.join("catalog");
    anyhow::ensure!(
        dir.exists(),
        "there is no catalog in {}; give the data directory with --data",
        data_dir.display()
    );
    let (catalog, _) = Catalog::open(&dir, CatalogConfig::default())
        .context("the catalog cannot be opened; stop towpath-control first, and start it again afterwards")?;
    catalog.revoke_admin_tokens(&Actor::System.into())?;
    let token = make_token(&catalog)?;
    let path = data_dir.join(CONTEXT_FILE);
    let Ok(text) = fs::read_to_string(&path) else { return Ok(()) };
    let known: AdminContext =
        serde_saphyr::from_str(&text).with_context(|| format!("{} is not valid", path.display()))?;
    let text =
        serde_saphyr::to_string(&AdminContext { token, ..known }).context("the context has no YAML form")?;
    private::replace_file(&path, text.as_bytes()).with_context(|| format!("cannot write {}", path.display()))
}

/// Makes a token and prints it: the only time that anybody sees it.
fn make_token(catalog: &Catalog) -> anyhow::Result<String> {
    let token = Bearer::admin()?;
    catalog.create_admin_token("bootstrap", token.hash())?;
    writeln!(std::io::stdout(), "admin token (shown once, keep it safe): {}", token.reveal())?;
    Ok(token.reveal().to_owned())
}

/// An address that a client on this machine can dial.
fn reachable(listen: SocketAddr) -> SocketAddr {
    match listen.ip() {
        ip if !ip.is_unspecified() => listen,
        IpAddr::V4(_) => SocketAddr::new(Ipv4Addr::LOCALHOST.into(), listen.port()),
        IpAddr::V6(_) => SocketAddr::new(std::net::Ipv6Addr::LOCALHOST.into(), listen.port()),
    }
}
