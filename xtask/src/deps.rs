//! `cargo x deps`: the arrows between our crates.

mod arrows;

use std::collections::BTreeSet;
use std::fmt;

use anyhow::{Result, bail};
use cargo_metadata::{DependencyKind, Metadata};

use crate::workspace::Workspace;

/// A dependency between two crates of ours that is not allowed.
#[derive(PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Violation {
    Arrow { from: String, to: String, in_tests: bool },
    NoRow { from: String },
}

/// Fails on any arrow that the table does not allow.
pub(crate) fn run(workspace: &Workspace) -> Result<()> {
    let violations = check(&workspace.metadata);
    if violations.is_empty() {
        println!("{} crates depend on each other as they may", workspace.metadata.packages.len());
        return Ok(());
    }
    for violation in &violations {
        println!("{violation}");
    }
    bail!("{} dependencies between our crates are not allowed", violations.len());
}

fn check(metadata: &Metadata) -> BTreeSet<Violation> {
    let mut violations = BTreeSet::new();
    for package in &metadata.packages {
        let from = package.name.to_string();
        if arrows::is_allowed(&from, "", false).is_none() {
            violations.insert(Violation::NoRow { from });
            continue;
        }
        for dependency in package.dependencies.iter().filter(|dependency| dependency.path.is_some()) {
            let in_tests = dependency.kind == DependencyKind::Development;
            if arrows::is_allowed(&from, &dependency.name, in_tests) != Some(true) {
                let (from, to) = (from.clone(), dependency.name.clone());
                violations.insert(Violation::Arrow { from, to, in_tests });
            }
        }
    }
    violations
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Arrow { from, to, in_tests } => {
                let place = if *in_tests { " in its tests" } else { "" };
                write!(f, "{from} may not depend on {to}{place}; allowed: {}", arrows::allowed(from))
            }
            Self::NoRow { from } => {
                write!(f, "{from} is not in the table; say in xtask/src/deps/arrows.rs what it may use")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use cargo_metadata::MetadataCommand;

    use super::*;

    /// Writes a workspace of empty crates with these dependencies and checks it.
    fn check_crates(crates: &[(&str, &str)]) -> Vec<String> {
        let dir = tempfile::tempdir().unwrap();
        let members: Vec<String> = crates.iter().map(|(name, _)| format!("\"{name}\"")).collect();
        write(
            &dir.path().join("Cargo.toml"),
            &format!("[workspace]\nresolver = \"3\"\nmembers = [{}]\n", members.join(", ")),
        );
        for (name, dependencies) in crates {
            let home = dir.path().join(name);
            write(&home.join("src/lib.rs"), "");
            let package = format!("[package]\nname = \"{name}\"\nversion = \"0.1.0\"\nedition = \"2024\"\n");
            write(&home.join("Cargo.toml"), &format!("{package}{dependencies}\n"));
        }
        let manifest = dir.path().join("Cargo.toml");
        let metadata = MetadataCommand::new().manifest_path(manifest).no_deps().exec().unwrap();
        check(&metadata).iter().map(ToString::to_string).collect()
    }

    fn write(path: &Path, text: &str) {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    #[test]
    fn our_own_crates_keep_to_the_table() {
        assert_eq!(check(&Workspace::load().unwrap().metadata), BTreeSet::new());
    }

    #[test]
    fn a_control_plane_that_takes_in_an_adapter_is_named_with_what_it_may_use() {
        let found = check_crates(&[
            (
                "towpath-control",
                "[dependencies]\ntowpath-adapter-file = { path = \"../towpath-adapter-file\" }",
            ),
            ("towpath-adapter-file", ""),
        ]);
        let [violation] = &found[..] else { panic!("{found:?}") };
        assert!(violation.contains("towpath-control may not depend on towpath-adapter-file"), "{violation}");
        assert!(violation.contains("towpath-catalog"), "{violation}");
    }

    #[test]
    fn adapters_use_neither_each_other_nor_in_code_the_suite_that_tests_them() {
        let path = |name: &str| format!("{name} = {{ path = \"../{name}\" }}\n");
        let [file, suite] = [path("towpath-adapter-file"), path("towpath-adapter-conformance")];
        let found = check_crates(&[
            ("towpath-adapter-file", &format!("[dev-dependencies]\n{suite}")),
            ("towpath-adapter-mysql", &format!("[dependencies]\n{file}{suite}")),
            ("towpath-adapter-oracle", &format!("[dev-dependencies]\n{file}")),
            ("towpath-adapter-conformance", ""),
        ]);
        assert_eq!(found.len(), 3, "{found:?}");
        assert!(found.iter().all(|v| v.starts_with("towpath-adapter-mysql") || v.contains("in its tests")));
    }

    #[test]
    fn a_crate_that_nobody_thought_of_is_asked_for_its_row() {
        let found = check_crates(&[("towpath-utils", "")]);
        assert!(found[0].contains("towpath-utils is not in the table"), "{found:?}");
    }
}
