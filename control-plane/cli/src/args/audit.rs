//! What can be asked of the audit trail and of the history of resources.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use jiff::Timestamp;
use towpath_record::TimeSpan;
use towpath_resource::Kind;
use towpath_resource::api::AuditOutcome;

use super::View;

/// What of the audit trail.
#[derive(Args, Debug)]
#[command(args_conflicts_with_subcommands = true)]
pub struct AuditArgs {
    /// Something else than listing events.
    #[command(subcommand)]
    pub command: Option<AuditCommand>,
    /// Which events.
    #[command(flatten)]
    pub filter: AuditFilterArgs,
}

/// Which events of the audit trail.
#[derive(Args, Debug)]
pub struct AuditFilterArgs {
    /// Those that this one caused: a name, an id, or a kind of actor, such as `system`.
    #[arg(long, value_name = "WHO")]
    pub actor: Option<String>,
    /// Those about a resource, such as `source/erp-files`, or about any of a kind, such as `source`.
    #[arg(long, value_name = "KIND[/NAME]")]
    pub subject: Option<String>,
    /// Those of this type, such as `resource_applied`.
    #[arg(long, value_name = "TYPE")]
    pub event: Option<String>,
    /// Those from then on: a time such as `2026-01-31T12:00:00Z`, or how long ago, such as `1h`.
    #[arg(long, value_name = "TIME", value_parser = moment)]
    pub since: Option<Timestamp>,
    /// Those before then.
    #[arg(long, value_name = "TIME", value_parser = moment)]
    pub until: Option<Timestamp>,
    /// Those that were `done`, or `denied`.
    #[arg(long)]
    pub outcome: Option<AuditOutcome>,
    /// The newest so many.
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..))]
    pub limit: u32,
    /// The form of the output.
    #[arg(short, long, value_enum, default_value_t = View::Table)]
    pub output: View,
}

/// What to do with the audit trail.
#[derive(Subcommand, Debug)]
pub enum AuditCommand {
    /// Checks that nothing in the trail was changed: of the control plane, or of exported files without it.
    Verify {
        /// Exported files, whose checkpoints must all agree. Without any, the control plane checks its own.
        #[arg(value_name = "FILE", requires = "keys")]
        files: Vec<PathBuf>,
        /// The public key of the control plane, `audit.pub.pem`. Can be repeated.
        #[arg(long = "key", value_name = "FILE", requires = "files")]
        keys: Vec<PathBuf>,
        /// The form of the output.
        #[arg(short, long, value_enum, default_value_t = View::Table)]
        output: View,
    },
    /// Writes out the whole trail, one line of JSON for each event and checkpoint.
    Export {
        /// Where to; a file that is there is replaced. Default: the standard output.
        #[arg(value_name = "FILE")]
        file: Option<PathBuf>,
    },
    /// Lists the signed checkpoints.
    Checkpoints {
        /// The form of the output.
        #[arg(short, long, value_enum, default_value_t = View::Table)]
        output: View,
    },
    /// Shows the public key with which checkpoints are verified. Keep it away from the control plane.
    Key,
}

/// Whose history.
#[derive(Args, Debug)]
pub struct HistoryArgs {
    /// The kind.
    pub kind: Kind,
    /// The name; also of one that was deleted.
    pub name: String,
    /// Shows what is different from this generation to another. Default: the one before `--to`.
    #[arg(long, value_name = "GENERATION")]
    pub from: Option<u64>,
    /// Shows what is different up to this generation. Default: the newest.
    #[arg(long, value_name = "GENERATION")]
    pub to: Option<u64>,
    /// The form of the output.
    #[arg(short, long, value_enum, default_value_t = View::Table)]
    pub output: View,
}

/// What to make as it was.
#[derive(Args, Debug)]
pub struct RollbackArgs {
    /// The kind.
    pub kind: Kind,
    /// The name.
    pub name: String,
    /// The generation it shall be like; `towpath history` lists them.
    #[arg(long, value_name = "GENERATION")]
    pub to: u64,
}

/// A time, or how long ago.
fn moment(text: &str) -> Result<Timestamp, String> {
    if let Ok(at) = text.parse::<Timestamp>() {
        return Ok(at);
    }
    let ago = text.parse::<TimeSpan>().map_err(|_| {
        format!("`{text}` is neither a time such as 2026-01-31T12:00:00Z nor how long ago, such as 1h")
    })?;
    Timestamp::now().checked_sub(ago.0).map_err(|_| format!("`{text}` ago is before the calendar"))
}
