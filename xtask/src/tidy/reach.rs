//! Which files the compiler reads: those that a target's root reaches through `mod`.

use std::collections::{BTreeMap, BTreeSet};

use super::source::{Module, Source};
use super::tree::Tree;

/// What was reached.
pub(super) struct Reached {
    /// Files that are tests and nothing else.
    pub(super) tests: BTreeSet<String>,
    /// A breach for each Rust file that no target reaches.
    pub(super) dead: Vec<String>,
}

/// Follows `mod` from the root of every target.
pub(super) fn reach(tree: &Tree, sources: &[Source]) -> Reached {
    let by_path: BTreeMap<&str, &Source> = sources.iter().map(|source| (&*source.path, source)).collect();
    let mut seen: BTreeMap<String, bool> = BTreeMap::new();
    let mut open: Vec<(String, bool, bool)> =
        roots(tree).into_iter().map(|path| (path.clone(), true, is_test_root(&path))).collect();
    while let Some((path, is_root, is_test)) = open.pop() {
        // A file that both tests and code reach is code.
        match seen.get(&path) {
            Some(known) if !known || is_test => continue,
            _ => seen.insert(path.clone(), is_test),
        };
        let Some(source) = by_path.get(&*path) else { continue };
        for module in &source.modules {
            let found = candidates(&path, is_root, module).into_iter().find(|file| tree.text(file).is_some());
            open.extend(found.map(|file| (file, false, is_test || module.is_test)));
        }
    }
    let dead = sources.iter().filter(|source| !seen.contains_key(&source.path));
    Reached {
        dead: dead
            .map(|source| format!("{}: no module declares this file; it is dead", source.path))
            .collect(),
        tests: seen.into_iter().filter_map(|(path, is_test)| is_test.then_some(path)).collect(),
    }
}

/// Where cargo looks for targets by itself, and what manifests name by `path`.
fn roots(tree: &Tree) -> Vec<String> {
    let mut roots = Vec::new();
    for (folder, manifest) in tree.manifests() {
        let within =
            |path: &str| if folder.is_empty() { path.to_owned() } else { format!("{folder}/{path}") };
        roots.extend(["src/lib.rs", "src/main.rs", "build.rs"].map(within));
        let named =
            manifest.lines().filter_map(|line| line.trim().strip_prefix("path = \"")?.strip_suffix('"'));
        roots.extend(named.filter(|path| path.ends_with(".rs")).map(within));
        for home in ["src/bin", "tests", "examples", "benches"].map(within) {
            let inside = tree
                .files()
                .iter()
                .filter_map(|file| Some((file, file.path.strip_prefix(&format!("{home}/"))?)));
            roots.extend(inside.filter(|(_, rest)| is_target(rest)).map(|(file, _)| file.path.clone()));
        }
    }
    roots.retain(|path| tree.text(path).is_some());
    roots
}

/// `name.rs` or `name/main.rs`.
fn is_target(rest: &str) -> bool {
    match rest.split_once('/') {
        None => rest.ends_with(".rs"),
        Some((_, file)) => file == "main.rs",
    }
}

/// Integration tests; the crate of the whole-system tests is code like any other but for its test targets.
fn is_test_root(path: &str) -> bool {
    path.split('/').rev().skip(1).any(|folder| folder == "tests") && !path.starts_with("tests/src/")
}

fn candidates(declaring: &str, is_root: bool, module: &Module) -> Vec<String> {
    let (folder, file) = declaring.rsplit_once('/').unwrap_or(("", declaring));
    if let Some(path) = &module.path {
        return vec![join(folder, path)];
    }
    let stem = file.trim_end_matches(".rs");
    let home = if is_root || stem == "mod" { folder.to_owned() } else { join(folder, stem) };
    let path = join(&home, &module.names.join("/"));
    vec![format!("{path}.rs"), format!("{path}/mod.rs")]
}

fn join(folder: &str, path: &str) -> String {
    if folder.is_empty() { path.to_owned() } else { format!("{folder}/{path}") }
}
