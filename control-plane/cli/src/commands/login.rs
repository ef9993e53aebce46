//! `towpath login`

use std::io::{Read, Write};
use std::path::Path;

use crate::args::LoginArgs;
use crate::client::Client;
use crate::context::Context;
use crate::error::CliError;

/// Writes the context only when the control plane answers to it.
pub(super) async fn run(args: &LoginArgs, file: Option<&Path>, out: &mut dyn Write) -> Result<(), CliError> {
    let ca_pem = std::fs::read_to_string(&args.ca);
    let ca_pem = ca_pem.map_err(|source| CliError::Read { path: args.ca.clone(), source })?;
    let token = if args.token == "-" { token_from_stdin()? } else { args.token.clone() };
    let context = Context { server: args.server.clone(), token, ca_pem };
    let status = Client::new(&context)?.status().await?;
    let path = context.save(file)?;
    writeln!(
        out,
        "logged in to {} (version {}); kept in {}",
        context.server,
        status.version,
        path.display()
    )?;
    Ok(())
}

fn token_from_stdin() -> Result<String, CliError> {
    let mut token = String::new();
    let read = std::io::stdin().lock().read_to_string(&mut token);
    read.map_err(|source| CliError::Read { path: "standard input".into(), source })?;
    match token.trim() {
        "" => Err(CliError::Usage("the standard input holds no token".to_owned())),
        token => Ok(token.to_owned()),
    }
}
