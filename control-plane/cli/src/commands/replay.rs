//! `towpath replay`

use std::io::Write;

use crate::args::ReplayArgs;
use crate::client::Client;
use crate::error::CliError;

pub(super) async fn run(client: &Client, args: &ReplayArgs, out: &mut dyn Write) -> Result<(), CliError> {
    let replayed = client.replay_route(&args.route, args.from).await?;
    writeln!(
        out,
        "route {} begins again from {} (replay {})",
        replayed.route, replayed.from, replayed.replay
    )?;
    Ok(())
}
