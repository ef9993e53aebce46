//! What is run in release: benches, simulations and the demo.

use anyhow::Result;

use crate::install;
use crate::process::{command, run};
use crate::workspace::Workspace;

/// Runs one bench or simulation against release builds of the programs.
pub(crate) fn measure(workspace: &Workspace, kind: &str, name: &str, args: &[String]) -> Result<()> {
    install::packages(workspace)?;
    build(workspace)?;
    start(workspace, kind, &[&[name.to_owned()], args].concat())
}

/// Runs the demo from a release build.
pub(crate) fn demo(workspace: &Workspace, args: &[String]) -> Result<()> {
    build(workspace)?;
    start(workspace, "towpath", &[&["demo".to_owned()], args].concat())
}

/// Builds every program, optimised. One selection for all that is run in release, so that nothing is built twice.
pub(crate) fn build(workspace: &Workspace) -> Result<()> {
    run(&mut command(&workspace.root, "cargo", &["build", "--release", "--workspace", "--bins"]))
}

fn start(workspace: &Workspace, program: &str, args: &[String]) -> Result<()> {
    let program = workspace.target.join("release").join(program);
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let mut command = command(&workspace.root, &program.to_string_lossy(), &args);
    // The demo's screen listens to keys.
    command.stdin(std::process::Stdio::inherit());
    run(&mut command)
}
