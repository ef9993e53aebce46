//! The commands, one in each file.

mod apply;
mod get;
mod describe;
mod delete;
mod status;
mod tail;
mod dead_letters;
mod replay;
mod compare;
mod source;
mod schema;
mod token;
mod agent;
mod explain;
mod login;

use std::io::Write;
use std::path::Path;

use crate::args::{Cli, Command};
use crate::client::Client;
use crate::context::Context;
use crate::demo;
use crate::error::CliError;

/// Does what was asked for and writes the answer to `out`.
///
/// # Errors
/// [`CliError`] says why not, and with which exit code the process should end.
pub async fn run(cli: Cli, out: &mut dyn Write) -> Result<(), CliError> {
    let context = cli.context.as_deref();
    match cli.command {
        Command::Apply(args) => apply::run(&args, || client(context), out).await,
        Command::Get(args) => get::run(&client(context)?, &args, out).await,
        Command::Describe(args) => describe::run(&client(context)?, &args, out).await,
        Command::Delete(args) => delete::run(&client(context)?, &args, out).await,
        Command::Status(args) => status::run(&client(context)?, &args, out).await,
        Command::Tail(args) => tail::run(&client(context)?, &args, out).await,
        Command::DeadLetters(command) => dead_letters::run(&client(context)?, command, out).await,
        Command::Schema(command) => schema::run(&client(context)?, command, out).await,
        Command::Replay(args) => replay::run(&client(context)?, &args, out).await,
        Command::Compare(args) => compare::run(&client(context)?, &args, out).await,
        Command::Source(command) => source::run(&client(context)?, command, out).await,
        Command::Token(command) => token::run(&client(context)?, command, out).await,
        Command::Agent(command) => agent::run(&client(context)?, command, out).await,
        Command::Explain(args) => explain::run(&args, out),
        Command::Login(args) => login::run(&args, context, out).await,
        Command::Demo(args) => Box::pin(demo::run(&args, out)).await.map_err(Into::into),
    }
}

fn client(context: Option<&Path>) -> Result<Client, CliError> {
    Ok(Client::new(&Context::load(context)?)?)
}
