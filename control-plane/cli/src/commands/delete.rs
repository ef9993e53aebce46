//! `towpath delete`

use std::io::Write;

use crate::args::TargetArgs;
use crate::client::Client;
use crate::error::CliError;

pub(super) async fn run(client: &Client, args: &TargetArgs, out: &mut dyn Write) -> Result<(), CliError> {
    client.delete(args.kind, &args.name).await?;
    writeln!(out, "{} {} deleted", args.kind, args.name)?;
    Ok(())
}
