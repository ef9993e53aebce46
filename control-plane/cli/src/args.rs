//! What can be asked for.

mod complete;
mod access;
mod resources;
mod observe;
mod here;
mod audit;
mod keys;

use std::path::PathBuf;

use clap::{Parser, Subcommand};

pub use audit::{AuditArgs, AuditCommand, AuditFilterArgs, HistoryArgs, RollbackArgs};

use crate::demo::DemoArgs;

pub use access::{AgentCommand, ContextCommand, LoginArgs, LogoutArgs, TokenCommand, WhoamiArgs};
pub use here::{CompletionArgs, DoctorArgs, ManArgs, Shell};
pub use keys::{KeyCommand, ScopeArgs, UserCommand};
pub use observe::{
    CompareArgs, DeadLettersCommand, EventsArgs, LogsArgs, PolicyCommand, ReplayArgs, SchemaCommand,
    SourceCommand, StatusArgs, TailArgs, TopArgs, View,
};
pub use resources::{
    ApplyArgs, AwaitedState, DeleteArgs, DiffArgs, EditArgs, ExplainArgs, Format, GetArgs, Listing, Selector,
    TargetArgs, WaitArgs,
};

/// Moves an enterprise's data to where it is allowed to go: the admins' command line.
#[derive(Parser, Debug)]
#[command(name = "towpath", version, max_term_width = 100, arg_required_else_help = true)]
pub struct Cli {
    /// The context file: which control planes there are, and as whom. Default: `~/.config/towpath/context.yaml`.
    #[arg(long, global = true, env = "TOWPATH_CONTEXT", value_name = "FILE")]
    pub context: Option<PathBuf>,
    /// The context to use for this command. Default: the one that `towpath context use` chose.
    #[arg(long, global = true, env = "TOWPATH_CONTEXT_NAME", value_name = "NAME", add = complete::contexts())]
    pub context_name: Option<String>,
    /// Writes no colours. They are also left out when `NO_COLOR` is set and when the output is no terminal.
    #[arg(long, global = true)]
    pub no_color: bool,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Subcommand, Debug)]
pub enum Command {
    /// Creates or changes resources from YAML or JSON files.
    Apply(ApplyArgs),
    /// Lists resources, or shows one.
    Get(GetArgs),
    /// Explains a resource with everything that is known of it: a route from end to end.
    Describe(TargetArgs),
    /// Changes a resource in an editor.
    Edit(EditArgs),
    /// Shows what applying files would change, field by field. Exit code 3 if anything.
    Diff(DiffArgs),
    /// Deletes resources that no other needs.
    Delete(DeleteArgs),
    /// Waits until a resource is as it should be.
    Wait(WaitArgs),
    /// Explains the fields of a kind of resource.
    Explain(ExplainArgs),
    /// Shows how everything goes: every stage, with rates and lags.
    Status(StatusArgs),
    /// Shows live how everything goes, on the whole terminal.
    Top(TopArgs),
    /// Shows what happened: who changed what, and when.
    Events(EventsArgs),
    /// Shows the newest lines of an agent's log.
    Logs(LogsArgs),
    /// Shows the records of a stream, one line of JSON each.
    Tail(TailArgs),
    /// Lists, shows and replays what could not be processed.
    #[command(subcommand, name = "deadletters", alias = "deadletter")]
    DeadLetters(DeadLettersCommand),
    /// Lists, shows and compares the schemas of streams, and accepts a version for a route.
    #[command(subcommand)]
    Schema(SchemaCommand),
    /// Says what policies make of a field, and why.
    #[command(subcommand)]
    Policy(PolicyCommand),
    /// Sends a route back to deliver again from a place in the log.
    Replay(ReplayArgs),
    /// Compares what the sources of a route have with what its sink keeps, row by row, while changes flow.
    Compare(CompareArgs),
    /// Looks after the systems behind sources.
    #[command(subcommand)]
    Source(SourceCommand),
    /// Makes, lists and takes back the tokens with which agents enrol.
    #[command(subcommand)]
    Token(TokenCommand),
    /// Makes, lists, renews and takes back the keys with which programs use the API.
    #[command(subcommand)]
    Key(KeyCommand),
    /// Looks after people whom the control plane knows by a password.
    #[command(subcommand)]
    User(UserCommand),
    /// Cuts agents off.
    #[command(subcommand)]
    Agent(AgentCommand),
    /// Shows who did what, from where, and what was denied; verifies and exports the audit trail.
    Audit(AuditArgs),
    /// Shows every version of a resource: who changed what, field by field.
    History(HistoryArgs),
    /// Makes a resource as it was at an earlier generation.
    Rollback(RollbackArgs),
    /// Logs in to a control plane and keeps it as a context.
    Login(LoginArgs),
    /// Ends the login of a context. Its address and CA stay.
    Logout(LogoutArgs),
    /// Shows as whom the control plane knows this login.
    Whoami(WhoamiArgs),
    /// Lists, chooses, shows and deletes contexts.
    #[command(subcommand)]
    Context(ContextCommand),
    /// Looks for what keeps this command line from working: what is wrong, and what to do. Exit code 3 if anything.
    Doctor(DoctorArgs),
    /// Prints what makes a shell complete commands, options and the names of resources.
    Completion(CompletionArgs),
    /// Writes the manual.
    Man(ManArgs),
    /// Runs a whole Towpath on this machine, in one directory, with a sample to look at.
    Demo(DemoArgs),
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;
    use towpath_resource::Kind;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn kinds_are_taken_in_any_number_and_a_misspelled_one_is_explained() {
        let cli = Cli::try_parse_from(["towpath", "get", "sources", "-o", "name"]).unwrap();
        assert!(
            matches!(cli.command, Command::Get(args) if args.listing == Listing::Resources(Kind::Source))
        );
        let refused = Cli::try_parse_from(["towpath", "get", "surces"]).unwrap_err().to_string();
        assert!(refused.contains("did you mean `source`?"), "{refused}");
        let refused =
            Cli::try_parse_from(["towpath", "replay", "r", "--from", "never"]).unwrap_err().to_string();
        assert!(refused.contains("`earliest`"), "{refused}");
    }
}
