//! The commands of the README and of the first pages for users do what they say.
//!
//! A fenced block that begins with three backticks and `sh tested` is run as it stands, all blocks of a page in one
//! shell, in a fresh folder, with the executables on the path. The last command of a block marked
//! `sh tested=background` runs beside the rest until the page is done.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use towpath_tests::binaries::Binaries;
use towpath_tests::process::Launch;

const LIMIT: Duration = Duration::from_secs(120);
const PAGES: [&str; 2] = ["README.md", "docs/getting-started.md"];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The page's tested blocks as one script.
fn script(page: &str) -> String {
    let mut script = String::from("set -euo pipefail\ntrap 'kill $(jobs -p) 2>/dev/null || true' EXIT\n");
    let mut lines = page.lines();
    while let Some(line) = lines.next() {
        let Some(info) = line.trim_start().strip_prefix("```") else { continue };
        let block: Vec<_> = lines.by_ref().take_while(|line| line.trim() != "```").collect();
        let block = block.join("\n");
        match info.trim() {
            "sh tested" => script.push_str(&format!("set -x\n{block}\n{{ set +x; }} 2>/dev/null\n")),
            "sh tested=background" => script.push_str(&format!("{block} &\nsleep 2\n")),
            _ => {}
        }
    }
    script
}

#[test]
fn the_commands_of_the_first_pages_work_as_they_stand() -> Result<()> {
    let binaries = Binaries::find()?;
    let mut tested = 0;
    for page in PAGES {
        let text =
            std::fs::read_to_string(root().join(page)).with_context(|| format!("{page} is missing"))?;
        if !text.contains("```sh tested") {
            continue;
        }
        tested += 1;
        let folder = tempfile::tempdir()?;
        let path =
            format!("{}:{}", binaries.directory().display(), std::env::var("PATH").unwrap_or_default());
        // `timeout` ends the shell with all it started, should the page hang.
        Launch::new("page", "timeout", folder.path())
            .arguments([
                "100",
                "/bin/bash",
                "-c",
                &format!("cd {}\n{}", folder.path().display(), script(&text)),
            ])
            .environment("PATH", path)
            .environment("HOME", folder.path().display().to_string())
            .run(LIMIT)
            .with_context(|| format!("the commands of {page} do not work"))?;
    }
    ensure!(tested > 0, "no page has a block marked `sh tested`");
    Ok(())
}

#[test]
fn only_marked_blocks_are_run() {
    let page = "text\n```sh\nrm -rf /\n```\n```sh tested\necho one\n```\n```yaml\nkind: Site\n```\n```sh tested\necho two\n```\n";
    let script = script(page);
    assert!(!script.contains("rm -rf") && !script.contains("kind: Site"));
    assert!(script.find("echo one").is_some_and(|one| script.find("echo two").is_some_and(|two| one < two)));
}
