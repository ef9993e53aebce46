//! `towpath agent`

use std::io::Write;

use crate::args::AgentCommand;
use crate::client::Client;
use crate::error::CliError;

pub(super) async fn run(client: &Client, command: AgentCommand, out: &mut dyn Write) -> Result<(), CliError> {
    match command {
        AgentCommand::Revoke { name } => {
            client.revoke_agent(&name).await?;
            writeln!(out, "agent {name} revoked: it is cut off and its certificate is refused from now on")?;
            Ok(())
        }
    }
}
