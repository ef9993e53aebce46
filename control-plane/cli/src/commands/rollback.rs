//! `towpath rollback`

use std::io::Write;

use crate::args::RollbackArgs;
use crate::client::Client;
use crate::error::CliError;

pub(super) async fn run(client: &Client, args: &RollbackArgs, out: &mut dyn Write) -> Result<(), CliError> {
    let RollbackArgs { kind, name, to } = args;
    let now = client.rollback(*kind, name, *to).await?;
    let generation = &now["metadata"]["generation"];
    writeln!(out, "{kind} {name} is as it was at generation {to}; that is generation {generation} now")?;
    Ok(())
}
