//! As whom, and who else.

use std::path::PathBuf;

use clap::{ArgGroup, Args, Subcommand};
use towpath_record::{ResourceName, TimeSpan};

use super::complete;
use super::observe::View;
use super::resources::Format;

/// Which control plane to log in to, and how.
#[derive(Args, Debug)]
#[command(group(ArgGroup::new("how").required(true).args(["token", "user", "device"])))]
pub struct LoginArgs {
    /// Its address, as in `https://control.example.com:7443`. Default: that of the context.
    #[arg(long, value_name = "URL")]
    pub server: Option<String>,
    /// The file with the certificate of its CA, PEM. Default: that of the context.
    #[arg(long, value_name = "FILE")]
    pub ca: Option<PathBuf>,
    /// The name to keep the context under. Default: the context in use, or `default`.
    #[arg(long, value_name = "NAME", add = complete::contexts())]
    pub name: Option<String>,
    /// Logs in with a token, or with `-` for one from the standard input, where no process list shows it.
    #[arg(long)]
    pub token: Option<String>,
    /// Logs in with a name and a password, which is asked for at the terminal.
    #[arg(long, value_name = "NAME")]
    pub user: Option<String>,
    /// The file with the password of --user, or `-` for the standard input.
    #[arg(long, value_name = "FILE|-", requires = "user")]
    pub password_file: Option<PathBuf>,
    /// Logs in at an identity provider, in a browser on this or any other device.
    #[arg(long)]
    pub device: bool,
    /// The identity provider of --device. Needed only where there are several.
    #[arg(long, value_name = "NAME", requires = "device")]
    pub provider: Option<String>,
}

/// Which login to end.
#[derive(Args, Debug)]
pub struct LogoutArgs {}

/// How to show who one is.
#[derive(Args, Debug)]
pub struct WhoamiArgs {
    /// The form of the output.
    #[arg(short, long, value_enum, default_value_t = View::Table)]
    pub output: View,
}

/// What to do with contexts.
#[derive(Subcommand, Debug)]
pub enum ContextCommand {
    /// Lists the contexts of the context file.
    List {
        /// The form of the output. Tokens are never shown.
        #[arg(short, long, value_enum, default_value_t = Format::Table)]
        output: Format,
    },
    /// Uses a context from now on.
    Use {
        /// Its name.
        #[arg(add = complete::contexts())]
        name: String,
    },
    /// Shows a context, without its secrets.
    Show {
        /// Its name. Default: the one in use.
        #[arg(add = complete::contexts())]
        name: Option<String>,
        /// The form of the output.
        #[arg(short, long, value_enum, default_value_t = View::Table)]
        output: View,
    },
    /// Forgets a context with its login.
    Delete {
        /// Its name.
        #[arg(add = complete::contexts())]
        name: String,
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
        #[arg(short, long, value_enum, default_value_t = Format::Table)]
        output: Format,
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
        #[arg(add = complete::agents())]
        name: String,
    },
}
