//! What concerns this machine and this program alone.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::observe::View;

/// How to look for what is wrong.
#[derive(Args, Debug)]
pub struct DoctorArgs {
    /// The form of the output.
    #[arg(short, long, value_enum, default_value_t = View::Table)]
    pub output: View,
}

/// Which shell shall complete.
#[derive(Args, Debug)]
pub struct CompletionArgs {
    /// The shell. For bash: `towpath completion bash > ~/.local/share/bash-completion/completions/towpath`.
    #[arg(value_enum)]
    pub shell: Shell,
}

/// A shell that can complete.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub enum Shell {
    /// Bash 4 or newer.
    Bash,
    /// Zsh.
    Zsh,
    /// Fish.
    Fish,
    /// PowerShell.
    #[value(name = "powershell")]
    PowerShell,
}

/// In which form the manual is written, and where to.
#[derive(Args, Debug)]
#[group(id = "form", required = true, multiple = false)]
pub struct ManArgs {
    /// Writes a page of section 1 for each command into this directory, for `man`.
    #[arg(long, value_name = "DIR")]
    pub dir: Option<PathBuf>,
    /// Prints one page for all commands, as Markdown.
    #[arg(long)]
    pub markdown: bool,
}
