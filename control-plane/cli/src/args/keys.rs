//! Keys and users.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use towpath_record::{ResourceName, TimeSpan};
use towpath_resource::StreamPattern;

use super::resources::Format;

/// What to do with keys.
#[derive(Subcommand, Debug)]
pub enum KeyCommand {
    /// Makes a key. It is shown once.
    Create {
        /// Its name.
        name: ResourceName,
        /// A role that it has. Can be repeated.
        #[arg(long = "role", value_name = "ROLE", required = true)]
        roles: Vec<ResourceName>,
        /// Where the roles hold.
        #[command(flatten)]
        scope: ScopeArgs,
        /// How long it can be used. Default: until it is revoked.
        #[arg(long, value_name = "TIME")]
        ttl: Option<TimeSpan>,
        /// Prints the key alone, for scripts.
        #[arg(short, long)]
        quiet: bool,
    },
    /// Lists keys.
    List {
        /// The form of the output.
        #[arg(short, long, value_enum, default_value_t = Format::Table)]
        output: Format,
    },
    /// Gives a key a new secret, which is shown once. The one before is taken for a while longer.
    Rotate {
        /// Its name or id.
        key: String,
        /// How long the secret before goes on to be taken.
        #[arg(long, value_name = "TIME", default_value = "1d")]
        grace: TimeSpan,
        /// How long the key can be used from now on. Default: its end stays.
        #[arg(long, value_name = "TIME")]
        ttl: Option<TimeSpan>,
        /// Prints the key alone, for scripts.
        #[arg(short, long)]
        quiet: bool,
    },
    /// Takes a key back, at once and for good.
    Revoke {
        /// Its name or id.
        #[arg(required_unless_present = "bootstrap", conflicts_with = "bootstrap")]
        key: Option<String>,
        /// Takes the token of the first admin back instead, which the first start printed.
        #[arg(long)]
        bootstrap: bool,
    },
}

/// Where roles hold. Default: everywhere.
#[derive(Args, Debug)]
pub struct ScopeArgs {
    /// At this site only. Can be repeated.
    #[arg(long = "site", value_name = "SITE")]
    pub sites: Vec<ResourceName>,
    /// For these streams only, by name or pattern. Can be repeated.
    #[arg(long = "stream", value_name = "PATTERN")]
    pub streams: Vec<StreamPattern>,
    /// For resources with this label only. Can be repeated; all must be there.
    #[arg(long = "label", value_name = "KEY=VALUE", value_parser = label)]
    pub labels: Vec<(String, String)>,
}

/// What to do with users.
#[derive(Subcommand, Debug)]
pub enum UserCommand {
    /// Makes a user with a password, which is asked for at the terminal.
    Create {
        /// The name.
        name: ResourceName,
        /// The file with the password, or `-` for the standard input.
        #[arg(long, value_name = "FILE|-")]
        password_file: Option<PathBuf>,
    },
    /// Lists users.
    List {
        /// The form of the output.
        #[arg(short, long, value_enum, default_value_t = Format::Table)]
        output: Format,
    },
    /// Sets a user's password, which is asked for at the terminal. All of the user's sessions end.
    Password {
        /// The name.
        name: String,
        /// The file with the password, or `-` for the standard input.
        #[arg(long, value_name = "FILE|-")]
        password_file: Option<PathBuf>,
    },
    /// Deletes a user. All of the user's sessions end at once.
    Delete {
        /// The name.
        name: String,
    },
}

fn label(text: &str) -> Result<(String, String), String> {
    let pair = text.split_once('=').filter(|(key, _)| !key.is_empty());
    pair.map(|(key, value)| (key.to_owned(), value.to_owned()))
        .ok_or_else(|| "write it as KEY=VALUE".to_owned())
}
