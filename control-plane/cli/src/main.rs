//! `towpath`, the admins' command line.

use std::env;
use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;

use clap::{ColorChoice, CommandFactory, FromArgMatches};
use clap_complete::CompleteEnv;
use towpath_cli::args::Cli;
use towpath_cli::{COMPLETE_VARIABLE, output};

fn main() -> ExitCode {
    // A shell that asks what could come next gets its answer, and nothing else happens.
    CompleteEnv::with_factory(Cli::command).var(COMPLETE_VARIABLE).complete();
    let is_plain = is_plain();
    let colour = if is_plain { ColorChoice::Never } else { ColorChoice::Auto };
    let matches = Cli::command().color(colour).get_matches();
    let cli = Cli::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
    output::use_colours(!is_plain && io::stdout().is_terminal());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => return complain(&format!("the runtime cannot be started: {error}"), 1),
    };
    let mut out = io::stdout().lock();
    match runtime.block_on(towpath_cli::run(cli, &mut out)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if error.is_closed_pipe() => ExitCode::SUCCESS,
        Err(error) => complain(&error.to_string(), error.exit_code()),
    }
}

/// Whether colours are not wanted. Looked up before arguments are understood, since a complaint about them has colours.
fn is_plain() -> bool {
    let is_set = |name| env::var_os(name).is_some_and(|value| !value.is_empty());
    is_set("NO_COLOR")
        || env::var_os("TERM").is_some_and(|term| term == "dumb")
        || env::args_os().any(|arg| arg == "--no-color")
}

fn complain(message: &str, code: u8) -> ExitCode {
    // When even the error output is closed, the exit code is all that is left to say.
    drop(writeln!(io::stderr(), "error: {message}"));
    ExitCode::from(code)
}
