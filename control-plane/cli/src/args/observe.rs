//! What is going on, and what was found wrong.

use std::str::FromStr;

use clap::{Args, Subcommand, ValueEnum};
use towpath_record::{ResourceName, StreamName, TimeSpan};
use towpath_resource::StartFrom;

use super::complete;
use super::resources::Format;

/// How to show the status.
#[derive(Args, Debug)]
pub struct StatusArgs {
    /// The form of the output.
    #[arg(short, long, value_enum, default_value_t = View::Table)]
    pub output: View,
}

/// The form of what has no names to list.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub enum View {
    /// For people.
    Table,
    /// For programs.
    Json,
    /// For both.
    Yaml,
}

/// How to show the fleet live.
#[derive(Args, Debug)]
pub struct TopArgs {
    /// How often to look.
    #[arg(long, value_name = "TIME", default_value = "2s")]
    pub every: TimeSpan,
}

/// Which events to show.
#[derive(Args, Debug)]
pub struct EventsArgs {
    /// Goes on and shows events as they happen, until it is stopped.
    #[arg(short, long)]
    pub follow: bool,
    /// Those after this number. Default: the newest.
    #[arg(long, value_name = "SEQ")]
    pub after: Option<u64>,
    /// At most so many of those that happened already.
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u16).range(1..=10_000))]
    pub limit: u16,
    /// The form of the output; JSON comes as one line for each event.
    #[arg(short, long, value_enum, default_value_t = View::Table)]
    pub output: View,
}

/// Which lines of a log to show.
#[derive(Args, Debug)]
pub struct LogsArgs {
    /// The agent.
    #[arg(add = complete::agents())]
    pub agent: String,
    /// Goes on and shows lines as they are written, until it is stopped.
    #[arg(short, long)]
    pub follow: bool,
    /// At most so many of the newest lines.
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=2_000))]
    pub tail: u32,
    /// The form of the output; JSON comes as one line for each line.
    #[arg(short, long, value_enum, default_value_t = View::Table)]
    pub output: View,
}

/// Which records to show.
#[derive(Args, Debug)]
pub struct TailArgs {
    /// The stream, such as `erp.orders`.
    #[arg(add = complete::streams())]
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
        #[arg(short, long, value_enum, default_value_t = Format::Table)]
        output: Format,
    },
    /// Shows a dead letter with its record or raw input.
    Show {
        /// Its id.
        id: String,
        /// The form of the output.
        #[arg(short, long, value_enum, default_value_t = View::Table)]
        output: View,
    },
    /// Sends records that a sink refused on their way again.
    Replay {
        /// Their ids.
        #[arg(required = true)]
        ids: Vec<String>,
    },
}

/// What to do with policies.
#[derive(Subcommand, Debug)]
pub enum PolicyCommand {
    /// Says what becomes of a field, region by region: its classes, the rule that counts, and why others do not.
    Explain {
        /// The field behind its stream, such as `crm.customers.email`.
        #[arg(value_name = "STREAM.FIELD")]
        field: FieldOfStream,
        /// The region. Default: every region that is known.
        #[arg(long)]
        region: Option<String>,
        /// The purpose, as a route declares it. Default: none, as where a log stores.
        #[arg(long)]
        purpose: Option<String>,
        /// The form of the output.
        #[arg(short, long, value_enum, default_value_t = View::Table)]
        output: View,
    },
}

/// A field behind its stream.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FieldOfStream {
    /// The stream.
    pub stream: String,
    /// The field.
    pub field: String,
}

impl FromStr for FieldOfStream {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parts = text.rsplit_once('.').filter(|(stream, field)| !stream.is_empty() && !field.is_empty());
        let (stream, field) =
            parts.ok_or("write the stream, a dot and the field, as in `crm.customers.email`")?;
        Ok(Self { stream: stream.to_owned(), field: field.to_owned() })
    }
}

/// What to do with schemas.
#[derive(Subcommand, Debug)]
pub enum SchemaCommand {
    /// Lists the schemas of streams.
    List {
        /// The form of the output.
        #[arg(short, long, value_enum, default_value_t = Format::Table)]
        output: Format,
    },
    /// Shows a version of a stream's schema, and what changed from version to version.
    Show {
        /// The stream, such as `erp.orders`.
        #[arg(add = complete::streams())]
        stream: String,
        /// The version. Default: the newest.
        #[arg(long, value_name = "N")]
        version: Option<u32>,
        /// The source that brings the stream. Needed only where several do.
        #[arg(long)]
        source: Option<String>,
        /// The form of the output.
        #[arg(short, long, value_enum, default_value_t = View::Table)]
        output: View,
    },
    /// Compares two versions of a stream's schema.
    Diff {
        /// The stream, such as `erp.orders`.
        #[arg(add = complete::streams())]
        stream: String,
        /// The one version.
        from: u32,
        /// The other version.
        to: u32,
        /// The source that brings the stream. Needed only where several do.
        #[arg(long)]
        source: Option<String>,
        /// The form of the output.
        #[arg(short, long, value_enum, default_value_t = View::Table)]
        output: View,
    },
    /// Accepts a version that breaks a route's rule, so that the route goes on with it.
    Accept {
        /// The route.
        #[arg(add = complete::routes())]
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
    #[arg(add = complete::routes())]
    pub route: String,
    /// Where it begins again: `earliest`, `latest`, an offset or a time.
    #[arg(long)]
    pub from: StartFrom,
}

/// Which route to compare, and how.
#[derive(Args, Debug)]
pub struct CompareArgs {
    /// The route.
    #[arg(add = complete::routes())]
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
    #[arg(short, long, value_enum, default_value_t = View::Table)]
    pub output: View,
}

/// What to do with the systems behind sources.
#[derive(Subcommand, Debug)]
pub enum SourceCommand {
    /// Looks whether the system is ready to be read: what is wrong, and what to run there to mend it.
    Check {
        /// The source.
        #[arg(add = complete::sources())]
        name: String,
        /// The form of the output.
        #[arg(short, long, value_enum, default_value_t = View::Table)]
        output: View,
    },
}
