//! The commands, one in each file.

mod stages;
mod apply;
mod get;
mod describe;
mod edit;
mod diff;
mod delete;
mod wait;
mod explain;
mod status;
mod top;
mod events;
mod logs;
mod tail;
mod dead_letters;
mod replay;
mod compare;
mod source;
mod schema;
mod policy;
mod secret;
mod token;
mod key;
mod user;
mod agent;
mod audit;
mod history;
mod rollback;
mod login;
mod logout;
mod whoami;
mod context;
mod doctor;
mod completion;
mod man;

use std::io::Write;

use crate::args::{Cli, Command};
use crate::client::{Client, ClientError};
use crate::demo;
use crate::error::CliError;

pub use completion::VARIABLE as COMPLETE_VARIABLE;
pub use man::markdown;

/// Does what was asked for and writes the answer to `out`.
///
/// # Errors
/// [`CliError`] says why not, and with which exit code the process should end.
pub async fn run(cli: Cli, out: &mut dyn Write) -> Result<(), CliError> {
    let (file, name) = (cli.context.as_deref(), cli.context_name.as_deref());
    let client = || Client::of(file, name).map_err(told);
    match cli.command {
        Command::Apply(args) => apply::run(&args, client, out).await,
        Command::Get(args) => get::run(&client()?, &args, out).await,
        Command::Describe(args) => describe::run(&client()?, &args, out).await,
        Command::Edit(args) => edit::run(&client()?, &args, out).await,
        Command::Diff(args) => diff::run(&args, client, out).await,
        Command::Delete(args) => delete::run(&args, client, out).await,
        Command::Wait(args) => wait::run(&client()?, &args, out).await,
        Command::Audit(args) => audit::run(&args, client, out).await,
        Command::History(args) => history::run(&client()?, &args, out).await,
        Command::Rollback(args) => rollback::run(&client()?, &args, out).await,
        Command::Explain(args) => explain::run(&args, out),
        Command::Status(args) => status::run(&client()?, &args, out).await,
        Command::Top(args) => top::run(client()?, &args).await,
        Command::Events(args) => events::run(&client()?, &args, out).await,
        Command::Logs(args) => logs::run(&client()?, &args, out).await,
        Command::Tail(args) => tail::run(&client()?, &args, out).await,
        Command::DeadLetters(command) => dead_letters::run(&client()?, command, out).await,
        Command::Schema(command) => schema::run(&client()?, command, out).await,
        Command::Policy(command) => policy::run(&client()?, command, out).await,
        Command::Replay(args) => replay::run(&client()?, &args, out).await,
        Command::Compare(args) => compare::run(&client()?, &args, out).await,
        Command::Source(command) => source::run(&client()?, command, out).await,
        Command::Token(command) => token::run(&client()?, command, out).await,
        Command::Key(command) => key::run(&client()?, command, out).await,
        Command::User(command) => user::run(&client()?, command, out).await,
        Command::Agent(command) => agent::run(&client()?, command, out).await,
        Command::Login(args) => login::run(&args, (file, name), out).await,
        Command::Logout(_) => logout::run((file, name), out).await,
        Command::Whoami(args) => whoami::run(&client()?, &args, out).await,
        Command::Context(command) => context::run(command, (file, name), out),
        Command::Doctor(args) => doctor::run(&args, file, name, out).await,
        Command::Completion(args) => completion::run(&args, out),
        Command::Man(args) => man::run(&args, out),
        Command::Demo(args) => Box::pin(demo::run(&args, out)).await.map_err(Into::into),
    }
}

/// What is wrong with the context is told as such.
fn told(error: ClientError) -> CliError {
    match error {
        ClientError::Context(error) => error.into(),
        error => error.into(),
    }
}
