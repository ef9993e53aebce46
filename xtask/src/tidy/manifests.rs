//! Manifests and settings: every crate keeps to the same rules, and all come from the same registry.

use super::tree::Tree;

const REGISTRY: &str = "registry+https://github.com/rust-lang/crates.io-index";

/// Names each manifest or setting that breaks a rule.
pub(super) fn check(tree: &Tree) -> Vec<String> {
    let mut breaches: Vec<String> = members(tree.text("Cargo.toml").unwrap_or(""))
        .map(|member| format!("{member}/Cargo.toml"))
        .filter(|path| !inherits_lints(tree.text(path).unwrap_or("")))
        .map(|path| {
            format!("{path}: does not inherit the workspace's lints; add `[lints]` with `workspace = true`")
        })
        .collect();
    let rustfmt = tree.text("rustfmt.toml").unwrap_or("");
    if !rustfmt.lines().any(|line| line.trim() == "reorder_modules = false") {
        breaches.push(
            "rustfmt.toml: `reorder_modules = false` is missing; modules stand in the data's order".into(),
        );
    }
    let config = tree.text(".cargo/config.toml").unwrap_or("");
    let redirected = config.lines().any(|line| {
        let line = line.trim();
        ["[source", "[registries", "[registry"].iter().any(|table| line.starts_with(table))
    });
    if redirected {
        breaches.push(
            ".cargo/config.toml: points cargo to another registry; that is each machine's own affair".into(),
        );
    }
    let lock = tree.text("Cargo.lock").unwrap_or("");
    let foreign =
        lock.lines().filter_map(|line| line.strip_prefix("source = \"")).find(|source| !is_ours(source));
    breaches
        .extend(foreign.map(|source| format!("Cargo.lock: a crate is from another registry: \"{source}")));
    breaches
}

fn is_ours(source: &str) -> bool {
    source.trim_end_matches('"') == REGISTRY
}

fn members(root: &str) -> impl Iterator<Item = &str> {
    let list = root
        .split_once("members = [")
        .and_then(|(_, rest)| rest.split_once(']'))
        .map_or("", |(list, _)| list);
    list.split(',').map(|member| member.trim().trim_matches('"')).filter(|member| !member.is_empty())
}

fn inherits_lints(manifest: &str) -> bool {
    let mut lines = manifest.lines().map(str::trim).skip_while(|line| *line != "[lints]").skip(1);
    lines.find(|line| !line.is_empty()) == Some("workspace = true")
}
