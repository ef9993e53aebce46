//! What a fresh machine lacks: packages of Debian, Node and Python that tests need, and cargo's own tools.

use std::path::Path;

use anyhow::{Context, Result, bail};

use crate::process::{command, run, succeeds};
use crate::workspace::Workspace;

/// The one list of Debian packages that tests and benches need.
const LIST: &str = "tests/packages.txt";

/// The folder of the packages of Node.
const NODE: &str = "tests/oidc";

/// The folder of the packages of Python.
const PYTHON: &str = "tests/contract";

/// A package to install, and the reason shown when it is.
#[derive(PartialEq, Eq, Debug)]
struct Package {
    name: String,
    why: String,
}

/// Installs the Debian packages of the list that are missing.
pub(crate) fn packages(workspace: &Workspace) -> Result<()> {
    let path = workspace.root.join(LIST);
    let text = std::fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let missing: Vec<Package> = parse(&text)?.into_iter().filter(|package| !is_installed(package)).collect();
    if missing.is_empty() {
        return Ok(());
    }
    println!("Installing what the tests need:");
    for package in &missing {
        println!("  {:<24} {}", package.name, package.why);
    }
    let names: Vec<&str> = missing.iter().map(|package| package.name.as_str()).collect();
    if !succeeds("apt-get", &["--version"]) {
        bail!("this machine has no apt-get; install these by hand: {}", names.join(" "));
    }
    as_root(&workspace.root, &["apt-get", "update", "--quiet"])?;
    let install = ["apt-get", "install", "--yes", "--quiet", "--no-install-recommends"];
    as_root(&workspace.root, &[&install[..], &names].concat())
}

/// Installs the packages of Node that tests run, as their lock file has them, without running any script of theirs.
pub(crate) fn node_modules(workspace: &Workspace) -> Result<()> {
    let dir = workspace.root.join(NODE);
    let changed = |name: &str| std::fs::metadata(dir.join(name)).and_then(|file| file.modified()).ok();
    // npm leaves a copy of the lock file it installed from.
    if changed("node_modules/.package-lock.json")
        .is_some_and(|done| Some(done) >= changed("package-lock.json"))
    {
        return Ok(());
    }
    if !succeeds("npm", &["--version"]) {
        // Not in the list of packages: where Node comes from its makers, npm comes with it and Debian's is in the way.
        as_root(
            &workspace.root,
            &["apt-get", "install", "--yes", "--quiet", "--no-install-recommends", "npm"],
        )?;
    }
    println!("Installing the OpenID provider that the tests run");
    run(&mut command(&dir, "npm", &["ci", "--ignore-scripts", "--no-audit", "--no-fund"]))
}

/// Installs the packages of Python that tests run, of exactly the versions that are listed, without running any script of
/// theirs.
pub(crate) fn python_packages(workspace: &Workspace) -> Result<()> {
    let dir = workspace.root.join(PYTHON);
    let (list, copy) = (dir.join("requirements.txt"), dir.join("venv/requirements.txt"));
    let wanted = std::fs::read(&list).with_context(|| format!("cannot read {}", list.display()))?;
    // The copy is left last, so that an installation that was cut short is begun anew.
    if std::fs::read(&copy).is_ok_and(|done| done == wanted) {
        return Ok(());
    }
    if !succeeds("python3", &["-c", "import ensurepip, venv"]) {
        // Not in the list of packages: where Python comes from its makers, this comes with it.
        as_root(
            &workspace.root,
            &["apt-get", "install", "--yes", "--quiet", "--no-install-recommends", "python3-venv"],
        )?;
    }
    println!("Installing the tools that hold the API against its document");
    run(&mut command(&dir, "python3", &["-m", "venv", "--clear", "venv"]))?;
    let pip = ["-m", "pip", "--disable-pip-version-check", "install", "--quiet"];
    let exactly = ["--no-deps", "--only-binary", ":all:", "--requirement", "requirements.txt"];
    let python = dir.join("venv/bin/python").display().to_string();
    run(&mut command(&dir, &python, &[&pip[..], &exactly].concat()))?;
    std::fs::write(&copy, wanted).with_context(|| format!("cannot write {}", copy.display()))
}

/// Installs a cargo subcommand from its registry package if it is missing. A debug build: it is run seldom and
/// built often, on fresh machines.
pub(crate) fn cargo_tool(workspace: &Workspace, name: &str) -> Result<()> {
    let subcommand = name.strip_prefix("cargo-").unwrap_or(name);
    if succeeds("cargo", &[subcommand, "--version"]) {
        return Ok(());
    }
    println!("Installing {name}, which this machine lacks");
    let mut install = command(&workspace.root, "cargo", &["install", "--locked", "--debug", name]);
    install.env("CARGO_TARGET_DIR", workspace.target.join("tools"));
    run(&mut install)
}

/// One package a line, then what for. A line that begins with `#` is a comment.
fn parse(text: &str) -> Result<Vec<Package>> {
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    let packages = lines.map(|line| {
        let (name, why) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
        let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'+' | b'-' | b'.');
        // What is on the line goes to a command that runs as root.
        let is_name = name.starts_with(|c: char| c.is_ascii_alphanumeric()) && name.bytes().all(allowed);
        if !is_name || why.is_empty() {
            bail!("{LIST}: `{line}` is not the name of a package, then what for");
        }
        Ok(Package { name: name.to_owned(), why: why.trim().to_owned() })
    });
    packages.collect()
}

fn is_installed(package: &Package) -> bool {
    succeeds(
        "sh",
        &[
            "-c",
            "dpkg-query -W -f '${Status}' \"$1\" | grep -q '^install ok installed$'",
            "sh",
            &package.name,
        ],
    )
}

fn as_root(root: &Path, words: &[&str]) -> Result<()> {
    let is_root = succeeds("sh", &["-c", "test \"$(id -u)\" = 0"]);
    let words = if is_root { words.to_vec() } else { [&["sudo", "--non-interactive"][..], words].concat() };
    let mut command = command(root, words[0], &words[1..]);
    command.env("DEBIAN_FRONTEND", "noninteractive");
    run(&mut command).context("cannot install packages; run this as root, or with sudo that asks no password")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_is_read_with_its_reasons() {
        let listed = parse("# For tests.\n\nsqlite3   reads back what the sink wrote\n").unwrap();
        assert_eq!(
            listed,
            [Package { name: "sqlite3".to_owned(), why: "reads back what the sink wrote".to_owned() }]
        );
    }

    #[test]
    fn nothing_but_package_names_with_a_reason_reaches_the_root_command() {
        for line in ["sqlite3", "--purge x", "x;reboot x", "$(x) x", "Sqlite x"] {
            assert!(parse(line).is_err(), "{line}");
        }
    }

    #[test]
    fn the_list_in_the_tree_is_valid() {
        let root = Workspace::load().unwrap().root;
        assert!(!parse(&std::fs::read_to_string(root.join(LIST)).unwrap()).unwrap().is_empty());
    }
}
