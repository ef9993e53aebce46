//! `cargo x`: what every engineer and CI run. Style that only a reviewer remembers is no style; it is checked here.
#![expect(clippy::print_stdout, reason = "a command for people")]

mod workspace;
mod process;
mod install;
mod lint;
mod deps;
mod tidy;
mod test;
mod release;
mod package;
mod openapi;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use workspace::Workspace;

/// Builds, checks, tests and measures Towpath.
#[derive(Parser, Debug)]
#[command(name = "cargo x", bin_name = "cargo x")]
struct Cli {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand, Debug)]
enum Task {
    /// Format, clippy, deps, tidy and cargo deny; all are run, then all that failed are named.
    Lint,
    /// Checks that our crates depend on each other only along the allowed arrows.
    Deps,
    /// Checks sizes of files and functions, dead files, unfinished work and manifests.
    Tidy,
    /// Installs what the tests need, builds the programs and runs every test.
    Test {
        /// Installs nothing; tests that need what is missing fail and say so.
        #[arg(long)]
        no_install: bool,
        /// Handed to the test runner, such as a part of a test's name.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<String>,
    },
    /// Builds in release and measures: `files`, `link`, `idle`, `sink`, `pg-snapshot`, `pg-cdc`, `mysql-cdc`, `pg-latency`,
    /// `pg-memory`, `mysql-memory`, `api`.
    Bench(Named),
    /// Builds in release and tries to break a promise: `crash`, `power`, `partition`, and others.
    Sim(Named),
    /// Builds in release and runs `towpath demo`.
    Demo {
        /// Handed to `towpath demo`.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<String>,
    },
    /// Writes `docs/openapi.json` as the control plane serves it, unless it breaks clients of the released API.
    Openapi,
    /// Builds the Debian packages and checks what is in them and whether systemd takes their units.
    Package {
        /// Packages the release builds that are there.
        #[arg(long)]
        no_build: bool,
    },
}

#[derive(clap::Args, Debug)]
struct Named {
    /// Which one; `--help` lists them.
    #[arg(allow_hyphen_values = true)]
    name: String,
    /// Handed to it.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    args: Vec<String>,
}

fn main() -> ExitCode {
    match run(Cli::parse().task) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(task: Task) -> anyhow::Result<()> {
    let workspace = Workspace::load()?;
    match task {
        Task::Lint => lint::run(&workspace),
        Task::Deps => deps::run(&workspace),
        Task::Tidy => tidy::run(&workspace),
        Task::Test { no_install, args } => test::run(&workspace, !no_install, &args),
        Task::Bench(Named { name, args }) => release::measure(&workspace, "bench", &name, &args),
        Task::Sim(Named { name, args }) => release::measure(&workspace, "sim", &name, &args),
        Task::Demo { args } => release::demo(&workspace, &args),
        Task::Openapi => openapi::update(&workspace),
        Task::Package { no_build } => package::run(&workspace, !no_build),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_cargo_x_command_in_the_documentation_is_one() {
        let root = Workspace::load().unwrap().root;
        let pages = ["README.md", "docs/getting-started.md", "docs/operations.md", ".ci/run"];
        let mut commands = 0;
        for page in pages {
            let text = std::fs::read_to_string(root.join(page)).unwrap();
            for line in text.lines().filter(|line| line.trim_start().starts_with("cargo x ")) {
                let said = line.trim().split(" #").next().unwrap().split_whitespace().skip(1);
                Cli::try_parse_from(said).unwrap_or_else(|error| panic!("{page}: `{line}`: {error}"));
                commands += 1;
            }
        }
        assert!(commands >= 4, "the README opens with `cargo x demo` and `cargo x test`, and CI runs two");
    }
}
