//! What can be asked for.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use towpath_record::{ResourceName, StreamName, TimeSpan};
use towpath_resource::{Kind, StartFrom};

use crate::demo::DemoArgs;

/// Moves an enterprise's data to where it is allowed to go: the admins' command line.
#[derive(Parser, Debug)]
#[command(name = "towpath", version, max_term_width = 100, arg_required_else_help = true)]
pub struct Cli {
    /// The context file: which control plane is meant, as whom. Default: `~/.config/towpath/context.yaml`.
    #[arg(long, global = true, env = "TOWPATH_CONTEXT", value_name = "FILE")]
    pub context: Option<PathBuf>,
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
    /// Deletes a resource that no other needs.
    Delete(TargetArgs),
    /// Shows how everything goes: every stage, with rates and lags.
    Status(StatusArgs),
    /// Shows the records of a stream, one line of JSON each.
    Tail(TailArgs),
    /// Lists, shows and replays what could not be processed.
    #[command(subcommand, name = "deadletters", alias = "deadletter")]
    DeadLetters(DeadLettersCommand),
    /// Lists, shows and compares the schemas of streams, and accepts a version for a route.
    #[command(subcommand)]
    Schema(SchemaCommand),
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
    /// Cuts agents off.
    #[command(subcommand)]
    Agent(AgentCommand),
    /// Explains the fields of a kind of resource.
    Explain(ExplainArgs),
    /// Keeps the address, token and CA of a control plane in the context file.
    Login(LoginArgs),
    /// Runs a whole Towpath on this machine, in one directory, with a sample to look at.
    Demo(DemoArgs),
}

/// Where resources come from.
#[derive(Args, Debug)]
pub struct ApplyArgs {
    /// A file, a directory whose .yaml, .yml and .json files are taken, or `-` for the standard input. Can be repeated.
    #[arg(short, long = "file", value_name = "FILE|DIR|-", required = true)]
    pub files: Vec<PathBuf>,
    /// Checks only; changes nothing.
    #[arg(long)]
    pub dry_run: bool,
}

/// What to show.
#[derive(Args, Debug)]
pub struct GetArgs {
    /// The kind: sites, agents, sources, sinks, routes or streams.
    #[arg(value_name = "KIND")]
    pub listing: Listing,
    /// The name of one. Default: all.
    pub name: Option<String>,
    /// The form of the output.
    #[arg(short, long, value_enum, default_value_t = Format::Table)]
    pub output: Format,
}

/// What can be listed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Listing {
    /// Resources of a kind.
    Resources(Kind),
    /// The streams of the logs.
    Streams,
}

impl std::str::FromStr for Listing {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if ["stream", "streams"].contains(&text) {
            return Ok(Self::Streams);
        }
        text.parse()
            .map(Self::Resources)
            .map_err(|error: towpath_resource::kind::UnknownKind| error.to_string())
    }
}

/// The form of the output.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub enum Format {
    /// For people.
    Table,
    /// For programs.
    Json,
    /// As it could be applied again.
    Yaml,
    /// Only the names, one on each line.
    Name,
}

/// One resource.
#[derive(Args, Debug)]
pub struct TargetArgs {
    /// The kind: site, agent, source, sink or route.
    pub kind: Kind,
    /// The name.
    pub name: String,
}

/// How to show the status.
#[derive(Args, Debug)]
pub struct StatusArgs {
    /// The form of the output.
    #[arg(short, long, value_enum, default_value_t = StatusFormat::Table)]
    pub output: StatusFormat,
}

/// The form of a status.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub enum StatusFormat {
    /// For people.
    Table,
    /// For programs.
    Json,
}

/// Which records to show.
#[derive(Args, Debug)]
pub struct TailArgs {
    /// The stream, such as `erp.orders`.
    pub stream: String,
    /// Where to begin: `earliest`, `latest`, an offset or a time. Default: `latest` with --follow, else `earliest`.
    #[arg(long)]
    pub from: Option<StartFrom>,
    /// Most records to show. Default: no limit with --follow, else 100.
    #[arg(long, value_name = "N")]
    pub limit: Option<usize>,
    /// Waits for more at the end.
    #[arg(short, long)]
    pub follow: bool,
}

/// What to do with dead letters.
#[derive(Subcommand, Debug)]
pub enum DeadLettersCommand {
    /// Lists dead letters, newest first.
    List {
        /// Those of this stream only.
        #[arg(long)]
        stream: Option<String>,
        /// Those that this route's sink refused only.
        #[arg(long)]
        route: Option<String>,
        /// At most so many.
        #[arg(long, value_name = "N", default_value_t = 100)]
        limit: usize,
        /// The form of the output.
        #[arg(short, long, value_enum, default_value_t = StatusFormat::Table)]
        output: StatusFormat,
    },
    /// Shows a dead letter with its record or raw input.
    Show {
        /// Its id.
        id: String,
        /// The form of the output.
        #[arg(short, long, value_enum, default_value_t = StatusFormat::Table)]
        output: StatusFormat,
    },
    /// Sends records that a sink refused on their way again.
    Replay {
        /// Their ids.
        #[arg(required = true)]
        ids: Vec<String>,
    },
}

/// What to do with schemas.
#[derive(Subcommand, Debug)]
pub enum SchemaCommand {
    /// Lists the schemas of streams.
    List {
        /// The form of the output.
        #[arg(short, long, value_enum, default_value_t = StatusFormat::Table)]
        output: StatusFormat,
    },
    /// Shows a version of a stream's schema, and what changed from version to version.
    Show {
        /// The stream, such as `erp.orders`.
        stream: String,
        /// The version. Default: the newest.
        #[arg(long, value_name = "N")]
        version: Option<u32>,
        /// The source that brings the stream. Needed only where several do.
        #[arg(long)]
        source: Option<String>,
        /// The form of the output.
        #[arg(short, long, value_enum, default_value_t = StatusFormat::Table)]
        output: StatusFormat,
    },
    /// Compares two versions of a stream's schema.
    Diff {
        /// The stream, such as `erp.orders`.
        stream: String,
        /// The one version.
        from: u32,
        /// The other version.
        to: u32,
        /// The source that brings the stream. Needed only where several do.
        #[arg(long)]
        source: Option<String>,
        /// The form of the output.
        #[arg(short, long, value_enum, default_value_t = StatusFormat::Table)]
        output: StatusFormat,
    },
    /// Accepts a version that breaks a route's rule, so that the route goes on with it.
    Accept {
        /// The route.
        route: String,
        /// The stream, to accept a version beforehand. Default: what the route stopped before.
        #[arg(long, requires = "version")]
        stream: Option<StreamName>,
        /// The version. Default: what the route stopped before.
        #[arg(long, value_name = "N")]
        version: Option<u32>,
        /// The source that brings the stream. Needed only where several do.
        #[arg(long, requires = "stream")]
        source: Option<ResourceName>,
    },
}

/// Which route to send back.
#[derive(Args, Debug)]
pub struct ReplayArgs {
    /// The route.
    pub route: String,
    /// Where it begins again: `earliest`, `latest`, an offset or a time.
    #[arg(long)]
    pub from: StartFrom,
}

/// Which route to compare, and how.
#[derive(Args, Debug)]
pub struct CompareArgs {
    /// The route.
    pub route: String,
    /// Sends rows that differ again from the source.
    #[arg(long)]
    pub repair: bool,
    /// Most differing rows of one stream that are listed and repaired.
    #[arg(long, value_name = "N", default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(1..))]
    pub limit: u32,
    /// At most so many rows are read in a second at each end; 0 for no limit.
    #[arg(long, value_name = "N", default_value_t = 50_000)]
    pub rows_per_second: u32,
    /// How long a row may go on to differ before it counts: changes may be on their way.
    #[arg(long, value_name = "TIME", default_value = "15s")]
    pub settle: TimeSpan,
    /// The form of the output; JSON comes as one line for each thing that is found.
    #[arg(short, long, value_enum, default_value_t = StatusFormat::Table)]
    pub output: StatusFormat,
}

/// What to do with the systems behind sources.
#[derive(Subcommand, Debug)]
pub enum SourceCommand {
    /// Looks whether the system is ready to be read: what is wrong, and what to run there to mend it.
    Check {
        /// The source.
        name: String,
        /// The form of the output.
        #[arg(short, long, value_enum, default_value_t = StatusFormat::Table)]
        output: StatusFormat,
    },
}

/// What to do with tokens.
#[derive(Subcommand, Debug)]
pub enum TokenCommand {
    /// Makes a token with which one agent may enrol.
    Create {
        /// The agent's site.
        #[arg(long)]
        site: ResourceName,
        /// How long the token can be used.
        #[arg(long, default_value = "1h")]
        ttl: TimeSpan,
        /// Prints the token alone, for scripts.
        #[arg(short, long)]
        quiet: bool,
    },
    /// Lists tokens.
    List {
        /// The form of the output.
        #[arg(short, long, value_enum, default_value_t = StatusFormat::Table)]
        output: StatusFormat,
    },
    /// Takes a token back that was not used.
    Revoke {
        /// Its id.
        id: String,
    },
}

/// What to do with agents.
#[derive(Subcommand, Debug)]
pub enum AgentCommand {
    /// Cuts an agent off at once and for good.
    Revoke {
        /// The agent.
        name: String,
    },
}

/// What to explain.
#[derive(Args, Debug)]
pub struct ExplainArgs {
    /// A kind, or a field of it, such as `source.spec.capture`.
    #[arg(value_name = "KIND[.FIELD]")]
    pub path: String,
}

/// Which control plane to remember.
#[derive(Args, Debug)]
pub struct LoginArgs {
    /// Its address, as in `https://control.example.com:7443`.
    #[arg(long, value_name = "URL")]
    pub server: String,
    /// The admin token, or `-` to read it from the standard input, where no process list shows it.
    #[arg(long)]
    pub token: String,
    /// The file with the certificate of its CA, PEM.
    #[arg(long, value_name = "FILE")]
    pub ca: PathBuf,
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

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
