//! Everything that is checked without running the code.

use std::time::Duration;

use anyhow::{Result, bail};

use crate::process::{self, command, run_within};
use crate::workspace::Workspace;
use crate::{deps, install, tidy};

/// How long the advisory database may take to arrive before advisories are left out.
const DATABASE_PATIENCE: Duration = Duration::from_secs(90);

/// One check by its name.
type Check = (&'static str, fn(&Workspace) -> Result<()>);

/// Quick checks first. Each is run even if one before it failed.
const CHECKS: [Check; 6] = [
    ("format", |workspace| {
        process::run(&mut command(&workspace.root, "cargo", &["fmt", "--all", "--check"]))
    }),
    ("tidy", tidy::run),
    ("deps", deps::run),
    ("deny", deny),
    ("advisories", advisories),
    ("clippy", clippy),
];

/// Runs all checks; fails if any did, and names those that did.
pub(crate) fn run(workspace: &Workspace) -> Result<()> {
    let mut failed = Vec::new();
    for (name, check) in CHECKS {
        println!("\n── {name}");
        if let Err(error) = check(workspace) {
            println!("{error:#}");
            failed.push(name);
        }
    }
    if failed.is_empty() { Ok(()) } else { bail!("lint failed: {}", failed.join(", ")) }
}

fn clippy(workspace: &Workspace) -> Result<()> {
    let args = ["clippy", "--workspace", "--all-targets", "--", "--deny", "warnings"];
    process::run(&mut command(&workspace.root, "cargo", &args))
}

fn deny(workspace: &Workspace) -> Result<()> {
    install::cargo_tool(workspace, "cargo-deny")?;
    let args = ["deny", "--offline", "check", "--hide-inclusion-graph", "bans", "licenses", "sources"];
    process::run(&mut command(&workspace.root, "cargo", &args))
}

/// Advisories need a database from the network. Without it the check is left out, and says so.
fn advisories(workspace: &Workspace) -> Result<()> {
    let fetch =
        run_within(&mut command(&workspace.root, "cargo", &["deny", "fetch", "db"]), DATABASE_PATIENCE);
    if let Err(error) = fetch {
        println!("left out: the advisory database cannot be had ({error:#})");
        return Ok(());
    }
    process::run(&mut command(&workspace.root, "cargo", &["deny", "check", "--disable-fetch", "advisories"]))
}
