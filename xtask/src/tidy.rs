//! `cargo x tidy`: the tree stays small, whole and finished.

mod tree;
mod source;
mod reach;
mod size;
mod words;
mod manifests;

use anyhow::{Result, bail};

use crate::workspace::Workspace;
use source::Source;
use tree::Tree;

/// Fails on any breach of the house's rules, naming file and line.
pub(crate) fn run(workspace: &Workspace) -> Result<()> {
    let tree = Tree::of_repository(&workspace.root)?;
    let breaches = check(&tree);
    if breaches.is_empty() {
        println!("{} files are tidy", tree.files().len());
        return Ok(());
    }
    for breach in &breaches {
        println!("{breach}");
    }
    bail!("{} breaches of the house's rules", breaches.len());
}

fn check(tree: &Tree) -> Vec<String> {
    let (sources, mut breaches) = Source::parse_all(tree);
    breaches.extend(manifests::check(tree));
    breaches.extend(words::check(tree));
    let reached = reach::reach(tree, &sources);
    breaches.extend(reached.dead);
    breaches.extend(size::check(&sources, &reached.tests));
    breaches
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROOT: &str = "[workspace]\nmembers = [\n    \"a\",\n]\n";
    const RUSTFMT: &str = "reorder_modules = false\n";
    const MANIFEST: &str = "[package]\nname = \"a\"\n\n[lints]\nworkspace = true\n";

    /// Checks a small workspace that is in order but for these files.
    fn check_with(files: &[(&str, &str)]) -> Vec<String> {
        let order = [
            ("Cargo.toml", ROOT),
            ("rustfmt.toml", RUSTFMT),
            ("a/Cargo.toml", MANIFEST),
            ("a/src/lib.rs", "//! A crate.\n\nmod inner;\n"),
            ("a/src/inner.rs", "//! A module.\n"),
        ];
        let kept = order.iter().filter(|(path, _)| !files.iter().any(|(other, _)| other == path));
        check(&Tree::of(
            kept.chain(files).map(|(path, text)| ((*path).to_owned(), (*text).to_owned())).collect(),
        ))
    }

    fn only(files: &[(&str, &str)]) -> String {
        match &check_with(files)[..] {
            [one] => one.clone(),
            other => panic!("one breach was meant: {other:?}"),
        }
    }

    fn lines(count: usize) -> String {
        "// A line.\n".repeat(count)
    }

    #[test]
    fn a_tree_in_order_has_no_breach() {
        assert_eq!(check_with(&[]), Vec::<String>::new());
    }

    #[test]
    fn a_file_that_grew_past_600_lines_is_named_and_its_tests_are_not_counted() {
        let long = format!("{}fn f() {{}}\n", lines(600));
        assert!(only(&[("a/src/inner.rs", &long)]).starts_with("a/src/inner.rs: 601 lines"));
        let tested = format!("{}#[cfg(test)]\nmod tests {{\n{}}}\n", lines(598), lines(300));
        assert_eq!(check_with(&[("a/src/inner.rs", &tested)]), Vec::<String>::new());
        let test = [("a/tests/big.rs", &long[..])];
        assert_eq!(check_with(&test), Vec::<String>::new());
    }

    #[test]
    fn a_median_above_200_lines_is_a_breach() {
        let long = lines(300);
        let breach = only(&[("a/src/lib.rs", &format!("mod inner;\n{long}")), ("a/src/inner.rs", &long)]);
        assert!(breach.contains("median"), "{breach}");
    }

    #[test]
    fn a_function_past_70_lines_is_named_with_its_line_also_inside_an_impl() {
        let body = "    let _ = 1;\n".repeat(69);
        let long = format!("struct S;\n\nimpl S {{\n    fn long() {{\n{body}    }}\n}}\n");
        assert!(
            only(&[("a/src/inner.rs", &long)]).starts_with("a/src/inner.rs:4: function `long` has 71 lines")
        );
        let tests = format!("#[cfg(test)]\nmod tests {{\n    fn long() {{\n{body}    }}\n}}\n");
        assert_eq!(check_with(&[("a/src/inner.rs", &tests)]), Vec::<String>::new());
    }

    #[test]
    fn a_file_that_no_module_declares_is_dead() {
        assert!(
            only(&[("a/src/forgotten.rs", "//! Old.\n")])
                .starts_with("a/src/forgotten.rs: no module declares")
        );
        let nested = [
            ("a/src/inner.rs", "//! A module.\n\nmod deep;\n#[cfg(test)]\nmod tests;\n"),
            ("a/src/inner/deep.rs", "//! Deep.\n"),
            ("a/src/inner/tests.rs", "//! Tests.\n"),
            ("a/tests/suite/main.rs", "mod part;\n"),
            ("a/tests/suite/part.rs", "//! Part.\n"),
            ("a/build.rs", "fn main() {}\n"),
        ];
        assert_eq!(check_with(&nested), Vec::<String>::new());
    }

    #[test]
    fn a_file_that_is_not_rust_is_named() {
        assert!(only(&[("a/src/inner.rs", "fn (\n")]).starts_with("a/src/inner.rs:1: does not parse"));
    }

    #[test]
    fn unfinished_work_and_paths_of_one_machine_are_found_in_any_text() {
        let unfinished = concat!("fn f() {\n    to", "do!()\n}\n");
        assert!(only(&[("a/src/inner.rs", unfinished)]).starts_with("a/src/inner.rs:2:"));
        let note = concat!("Nice.\n\nTO", "DO: the rest\n");
        assert!(only(&[("docs/page.md", note)]).starts_with("docs/page.md:3:"));
        let place = concat!("see /ho", "me/someone/x\n");
        assert!(only(&[("docs/page.md", place)]).contains("path of one machine"));
    }

    #[test]
    fn a_crate_without_the_lints_of_the_workspace_is_named() {
        let without = "[package]\nname = \"a\"\n\n[lints.rust]\n";
        assert!(only(&[("a/Cargo.toml", without)]).starts_with("a/Cargo.toml: does not inherit"));
    }

    #[test]
    fn modules_stay_in_the_order_of_the_data_and_crates_come_from_one_registry() {
        assert!(only(&[("rustfmt.toml", "edition = \"2024\"\n")]).contains("reorder_modules"));
        let mirrored = "[source.crates-io]\nreplace-with = \"mirror\"\n";
        assert!(only(&[(".cargo/config.toml", mirrored)]).contains("another registry"));
        let lock = "source = \"registry+https://crates.example/index\"\n";
        assert!(only(&[("Cargo.lock", lock)]).contains("another registry"));
    }
}
