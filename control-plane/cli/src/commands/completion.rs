//! `towpath completion`

use std::io::Write;

use clap::CommandFactory;
use clap_complete::env::Shells;

use crate::args::{Cli, CompletionArgs, Shell};
use crate::error::CliError;

/// The variable with which a shell asks this program for what could come next.
pub const VARIABLE: &str = "TOWPATH_COMPLETE";

pub(super) fn run(args: &CompletionArgs, out: &mut dyn Write) -> Result<(), CliError> {
    let shell = match args.shell {
        Shell::Bash => "bash",
        Shell::Zsh => "zsh",
        Shell::Fish => "fish",
        Shell::PowerShell => "powershell",
    };
    let shells = Shells::builtins();
    let shell = shells.completer(shell).expect("it is one of the shells that can complete");
    let command = Cli::command();
    let name = command.get_name();
    Ok(shell.write_registration(VARIABLE, name, name, name, out)?)
}
