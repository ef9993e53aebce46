//! `cargo x openapi`: keeps the committed OpenAPI document the one that is served, and compatible with what was released.

mod compatibility;

use std::process::Command;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::process::{command, run};
use crate::workspace::Workspace;

/// What is served.
const DOCUMENT: &str = "docs/openapi.json";
/// What was released last. A release replaces it by [`DOCUMENT`]; nothing else does.
const RELEASED: &str = "docs/openapi-v1.json";

/// Writes the document that the control plane serves, unless it breaks clients of the released one.
pub(crate) fn update(workspace: &Workspace) -> Result<()> {
    run(&mut command(&workspace.root, "cargo", &["build", "--workspace", "--bin", "towpath-control"]))?;
    let program = workspace.target.join("debug/towpath-control");
    let made = Command::new(&program).arg("openapi").output();
    let made = made.with_context(|| format!("cannot run {}", program.display()))?;
    if !made.status.success() {
        bail!("towpath-control openapi failed: {}", String::from_utf8_lossy(&made.stderr));
    }
    let document: Value = serde_json::from_slice(&made.stdout).context("what it printed is no JSON")?;
    let broken = compatibility::breaks(&read(workspace, RELEASED)?, &document);
    if !broken.is_empty() {
        bail!("the API would break clients of {RELEASED}; see docs/api.md:\n  {}", broken.join("\n  "));
    }
    std::fs::write(workspace.root.join(DOCUMENT), made.stdout)
        .with_context(|| format!("cannot write {DOCUMENT}"))
}

fn read(workspace: &Workspace, path: &str) -> Result<Value> {
    let text = std::fs::read(workspace.root.join(path)).with_context(|| format!("cannot read {path}"))?;
    serde_json::from_slice(&text).with_context(|| format!("{path} is no JSON"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_api_keeps_what_was_released() {
        let workspace = Workspace::load().unwrap();
        let (released, now) = (read(&workspace, RELEASED).unwrap(), read(&workspace, DOCUMENT).unwrap());
        let operations = released["paths"].as_object().map_or(0, serde_json::Map::len);
        assert!(operations > 20, "{RELEASED} has {operations} addresses only");
        assert_eq!(compatibility::breaks(&released, &now), Vec::<String>::new(), "see docs/api.md");
    }
}
