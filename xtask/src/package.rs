//! `cargo x package`: the Debian packages of both processes, and whether systemd takes their units.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};

use crate::process::{self, command, succeeds};
use crate::workspace::Workspace;
use crate::{install, release};

/// A package of `packaging/`, and what must be in it.
struct Package {
    name: &'static str,
    files: &'static [&'static str],
    conffiles: &'static [&'static str],
}

const PACKAGES: [Package; 2] = [
    Package {
        name: "towpath-agent",
        files: &["usr/bin/towpath-agent", "usr/lib/systemd/system/towpath-agent.service"],
        conffiles: &["/etc/default/towpath-agent"],
    },
    Package {
        name: "towpath-control",
        files: &[
            "usr/bin/towpath-control",
            "usr/bin/towpath",
            "usr/share/man/man1/towpath-get.1.gz",
            "usr/share/bash-completion/completions/towpath",
            "usr/lib/systemd/system/towpath-control.service",
        ],
        conffiles: &["/etc/default/towpath-control", "/etc/towpath/control.yaml"],
    },
];

/// Builds the packages into `target/debian` and looks into them.
pub(crate) fn run(workspace: &Workspace, may_build: bool) -> Result<()> {
    install::cargo_tool(workspace, "cargo-deb")?;
    if may_build {
        release::build(workspace, &[])?;
    }
    manual(workspace)?;
    for package in &PACKAGES {
        let path = build(workspace, package)?;
        let unpacked = workspace.target.join("package-check").join(package.name);
        inspect(package, &path, &unpacked)?;
        verify_units(&unpacked)?;
        println!("{} is in order", path.display());
    }
    Ok(())
}

/// Has the command line write its manual and its completion, which are packaged beside it.
fn manual(workspace: &Workspace) -> Result<()> {
    let release = workspace.target.join("release");
    let towpath = release.join("towpath").to_string_lossy().into_owned();
    let pages = release.join("manual");
    // Pages of commands that are no more would be packaged as well.
    if pages.exists() {
        fs::remove_dir_all(&pages)?;
    }
    process::run(&mut command(&workspace.root, &towpath, &["man", "--dir", &pages.to_string_lossy()]))?;
    let scripts = release.join("completion");
    fs::create_dir_all(&scripts)?;
    let bash = Command::new(&towpath).args(["completion", "bash"]).output()?;
    ensure!(bash.status.success(), "{towpath} completion bash failed");
    Ok(fs::write(scripts.join("towpath"), bash.stdout)?)
}

fn build(workspace: &Workspace, package: &Package) -> Result<PathBuf> {
    let home = workspace.target.join("debian");
    let ours = |path: &Path| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        name.starts_with(&format!("{}_", package.name)) && name.ends_with(".deb")
    };
    let built = || -> Vec<PathBuf> {
        let entries = fs::read_dir(&home).into_iter().flatten().flatten();
        entries.map(|entry| entry.path()).filter(|path| ours(path)).collect()
    };
    // A package of an earlier version would be taken for the new one.
    built().iter().try_for_each(fs::remove_file)?;
    // The release profile has stripped the programs already.
    process::run(&mut command(
        &workspace.root,
        "cargo",
        &["deb", "--no-build", "--no-strip", "--package", package.name],
    ))?;
    built()
        .pop()
        .with_context(|| format!("cargo deb left no package of {} in {}", package.name, home.display()))
}

fn inspect(package: &Package, path: &Path, unpacked: &Path) -> Result<()> {
    if unpacked.exists() {
        fs::remove_dir_all(unpacked)?;
    }
    fs::create_dir_all(unpacked)?;
    for (what, to) in [("--extract", unpacked.to_owned()), ("--control", unpacked.join("DEBIAN"))] {
        process::run(Command::new("dpkg-deb").arg(what).arg(path).arg(to))?;
    }
    for file in package.files {
        ensure!(unpacked.join(file).is_file(), "{} is not in the package {}", file, package.name);
    }
    let listed = fs::read_to_string(unpacked.join("DEBIAN/conffiles")).with_context(|| {
        format!("{} has no conffiles: an upgrade would overwrite what admins wrote", package.name)
    })?;
    for file in package.conffiles {
        ensure!(listed.lines().any(|line| line == *file), "{file} is not a conffile of {}", package.name);
    }
    for script in ["postinst", "prerm", "postrm"] {
        let script = unpacked.join("DEBIAN").join(script);
        ensure!(
            succeeds("sh", &["-n", &script.to_string_lossy()]),
            "{} is no shell script",
            script.display()
        );
    }
    Ok(())
}

/// Asks systemd about the units as they were unpacked. Their programs are not installed here, so the copies that are
/// verified name the unpacked ones.
fn verify_units(unpacked: &Path) -> Result<()> {
    if !succeeds("systemd-analyze", &["--version"]) {
        println!("left out: this machine has no systemd to verify the units with");
        return Ok(());
    }
    let copies = unpacked.join("units");
    fs::create_dir_all(&copies)?;
    for entry in fs::read_dir(unpacked.join("usr/lib/systemd/system"))? {
        let path = entry?.path();
        let text =
            fs::read_to_string(&path)?.replace("/usr/bin/", &format!("{}/usr/bin/", unpacked.display()));
        let copy = copies.join(path.file_name().context("a unit has a name")?);
        fs::write(&copy, text)?;
        verify(&copy)?;
    }
    Ok(())
}

/// Fails on warnings too: a directive that systemd ignores is a protection that is not there.
fn verify(unit: &Path) -> Result<()> {
    let output = Command::new("systemd-analyze").args(["verify", "--man=no"]).arg(unit).output()?;
    let said = String::from_utf8_lossy(&output.stderr);
    // systemd verifies what the unit needs as well; only what is said of this one is ours.
    let name = unit.file_name().unwrap_or_default().to_string_lossy();
    let ours: Vec<&str> = said.lines().filter(|line| line.contains(&*name)).collect();
    if ours.is_empty() { Ok(()) } else { bail!("systemd refuses {name}:\n{}", ours.join("\n")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verify_text(directives: &str) -> Result<()> {
        let dir = tempfile::tempdir().unwrap();
        let unit = dir.path().join("probe.service");
        fs::write(&unit, format!("[Service]\nExecStart=/bin/true\n{directives}\n")).unwrap();
        verify(&unit)
    }

    #[test]
    fn a_unit_with_a_directive_that_systemd_does_not_know_is_refused() {
        if !succeeds("systemd-analyze", &["--version"]) {
            return;
        }
        verify_text("ProtectSystem=strict").unwrap();
        let error = verify_text("ProtectSytem=strict").unwrap_err().to_string();
        assert!(error.contains("ProtectSytem"), "{error}");
    }

    #[test]
    fn the_units_in_the_tree_are_taken_by_systemd() {
        if !succeeds("systemd-analyze", &["--version"]) {
            return;
        }
        let home = Workspace::load().unwrap().root.join("packaging/systemd");
        let dir = tempfile::tempdir().unwrap();
        let mut units = 0;
        for entry in fs::read_dir(home).unwrap() {
            let path = entry.unwrap().path();
            let copy = dir.path().join(path.file_name().unwrap());
            // The programs are not installed where the units will find them.
            let text = fs::read_to_string(&path).unwrap().replace("/usr/bin/towpath", "/bin/true #");
            let text: Vec<&str> = text.lines().map(|line| line.split(" #").next().unwrap()).collect();
            fs::write(&copy, text.join("\n")).unwrap();
            verify(&copy).unwrap();
            units += 1;
        }
        assert_eq!(units, 2);
    }
}
