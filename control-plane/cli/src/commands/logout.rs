//! `towpath logout`

use std::io::Write;
use std::path::Path;

use crate::client::Client;
use crate::context::ContextFile;
use crate::error::CliError;

/// Forgets the login first: whatever the control plane answers, this machine has it no more.
pub(super) async fn run(
    (file, chosen): (Option<&Path>, Option<&str>),
    out: &mut dyn Write,
) -> Result<(), CliError> {
    let (name, before) = ContextFile::change(file, |contexts| {
        let (name, before) = contexts.chosen(chosen)?;
        let (name, before) = (name.to_owned(), before.clone());
        let context = contexts.context_mut(&name)?;
        context.token.clear();
        context.session = None;
        Ok((name, before))
    })?;
    // A token that an admin made is not ours to end, and a provider's session ends where it began.
    let is_ours = before.session.as_ref().is_some_and(|session| session.provider.is_none());
    if is_ours && !before.token.is_empty() {
        Client::new(&before)?.logout().await.map_err(CliError::StillOpen)?;
    }
    writeln!(out, "logged out of {}; context `{name}` keeps its address and CA", before.server)?;
    Ok(())
}
