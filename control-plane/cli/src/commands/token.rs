//! `towpath token`

use std::io::Write;

use jiff::Timestamp;
use towpath_resource::api::{TokenOrder, TokenState, TokenStatus};

use crate::args::{Format, TokenCommand};
use crate::client::Client;
use crate::error::CliError;
use crate::human;
use crate::output::{self, Table};

pub(super) async fn run(client: &Client, command: TokenCommand, out: &mut dyn Write) -> Result<(), CliError> {
    match command {
        TokenCommand::Create { site, ttl, quiet } => {
            let created = client.create_token(&TokenOrder { site, ttl }).await?;
            if quiet {
                writeln!(out, "{}", created.token)?;
                return Ok(());
            }
            writeln!(out, "{}", created.token)?;
            writeln!(
                out,
                "good for one agent at site {}, until {}; it is not shown again",
                created.site, created.expires_at
            )?;
            writeln!(
                out,
                "on the agent's machine: towpath-agent enroll --server HOST:PORT --token TOKEN --state DIR"
            )?;
        }
        TokenCommand::List { output } => list(client, output, out).await?,
        TokenCommand::Revoke { id } => {
            client.revoke_token(&id).await?;
            writeln!(out, "token {id} taken back")?;
        }
    }
    Ok(())
}

async fn list(client: &Client, format: Format, out: &mut dyn Write) -> Result<(), CliError> {
    let tokens = client.tokens().await?;
    Ok(output::list(format, &tokens, |token| token.id.to_string(), out, |out| table(&tokens, out))?)
}

fn table(tokens: &[TokenStatus], out: &mut dyn Write) -> std::io::Result<()> {
    let now = Timestamp::now();
    let mut table = Table::new(["id", "site", "state", "created", "expires", "used by"]);
    for token in tokens {
        let expires =
            if token.state == TokenState::Open { human::ahead(token.expires_at, now) } else { String::new() };
        table.row([
            token.id.to_string(),
            token.site.to_string(),
            token.state.as_str().to_owned(),
            human::ago(token.created_at, now),
            expires,
            token.used_by.as_ref().map(ToString::to_string).unwrap_or_default(),
        ]);
    }
    table.write("there are no tokens", out)
}
