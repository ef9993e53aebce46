//! The files of the repository, in memory.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};

/// One text file.
pub(super) struct File {
    /// Its path from the root, with `/` between the parts.
    pub(super) path: String,
    /// What it says.
    pub(super) text: String,
}

/// All text files of a repository, sorted by path.
pub(super) struct Tree(Vec<File>);

impl Tree {
    /// Reads what git tracks or would track. Files that are not UTF-8 are left out.
    pub(super) fn of_repository(root: &Path) -> Result<Self> {
        let args = ["ls-files", "-z", "--cached", "--others", "--exclude-standard"];
        let listed = Command::new("git").current_dir(root).args(args).output().context("cannot run git")?;
        ensure!(listed.status.success(), "git ls-files failed: {}", String::from_utf8_lossy(&listed.stderr));
        let paths = String::from_utf8(listed.stdout).context("a path is not UTF-8")?;
        let read = |path: &str| Some((path.to_owned(), std::fs::read_to_string(root.join(path)).ok()?));
        Ok(Self::of(paths.split('\0').filter(|path| !path.is_empty()).filter_map(read).collect()))
    }

    /// A tree of these paths and texts.
    pub(super) fn of(mut files: Vec<(String, String)>) -> Self {
        files.sort();
        files.dedup();
        Self(files.into_iter().map(|(path, text)| File { path, text }).collect())
    }

    /// All files.
    pub(super) fn files(&self) -> &[File] {
        &self.0
    }

    /// The text of one file.
    pub(super) fn text(&self, path: &str) -> Option<&str> {
        let index = self.0.binary_search_by(|file| file.path.as_str().cmp(path)).ok()?;
        Some(&self.0[index].text)
    }

    /// The folders that hold a manifest, with its text; the root is the empty path.
    pub(super) fn manifests(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().filter_map(|file| {
            let folder = file.path.strip_suffix("Cargo.toml")?;
            (folder.is_empty() || folder.ends_with('/'))
                .then_some((folder.trim_end_matches('/'), &*file.text))
        })
    }
}
