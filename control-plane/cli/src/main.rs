//! `towpath`, the admins' command line.

use std::io::{self, Write};
use std::process::ExitCode;

use clap::Parser;
use towpath_cli::args::Cli;

fn main() -> ExitCode {
    let cli = Cli::parse();
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

fn complain(message: &str, code: u8) -> ExitCode {
    // When even the error output is closed, the exit code is all that is left to say.
    drop(writeln!(io::stderr(), "error: {message}"));
    ExitCode::from(code)
}
