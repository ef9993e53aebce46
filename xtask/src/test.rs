//! `cargo x test`: every test, on a machine that may be fresh.

use anyhow::Result;

use crate::install;
use crate::process::{self, command, succeeds};
use crate::workspace::Workspace;

/// Installs what is missing, builds the programs that the whole-system tests start, and runs the tests.
pub(crate) fn run(workspace: &Workspace, may_install: bool, args: &[String]) -> Result<()> {
    if may_install {
        install::packages(workspace)?;
        install::node_modules(workspace)?;
        install::python_packages(workspace)?;
    }
    let cargo = |args: &[&str]| process::run(&mut command(&workspace.root, "cargo", args));
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    // The whole workspace, as the tests are built: other selections have other features, and build everything twice.
    cargo(&["build", "--workspace", "--bins"])?;
    if succeeds("cargo", &["nextest", "--version"]) {
        cargo(&[&["nextest", "run", "--workspace"], &args[..]].concat())?;
        // nextest runs no examples of the documentation.
        return cargo(&["test", "--workspace", "--doc"]);
    }
    cargo(&[&["test", "--workspace"], &args[..]].concat())
}
