//! What is run in release: benches, simulations and the demo.

use anyhow::Result;

use crate::install;
use crate::process::{command, run};
use crate::workspace::Workspace;

const PROGRAMS: [&str; 3] = ["towpath-control", "towpath-agent", "towpath"];

/// Runs one bench or simulation against release builds of the programs.
pub(crate) fn measure(workspace: &Workspace, kind: &str, name: &str, args: &[String]) -> Result<()> {
    install::packages(workspace)?;
    build(workspace, &[kind])?;
    start(workspace, kind, &[&[name.to_owned()], args].concat())
}

/// Runs the demo from a release build.
pub(crate) fn demo(workspace: &Workspace, args: &[String]) -> Result<()> {
    build(workspace, &[])?;
    start(workspace, "towpath", &[&["demo".to_owned()], args].concat())
}

/// Builds the product's programs and these others, optimised. All of the workspace is selected, as everywhere, so that
/// nothing is built a second time with other features.
pub(crate) fn build(workspace: &Workspace, others: &[&str]) -> Result<()> {
    let mut args = vec!["build", "--release", "--workspace"];
    PROGRAMS.iter().chain(others).for_each(|program| args.extend(["--bin", program]));
    run(&mut command(&workspace.root, "cargo", &args))
}

fn start(workspace: &Workspace, program: &str, args: &[String]) -> Result<()> {
    let program = workspace.target.join("release").join(program);
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let mut command = command(&workspace.root, &program.to_string_lossy(), &args);
    // The demo's screen listens to keys.
    command.stdin(std::process::Stdio::inherit());
    run(&mut command)
}
