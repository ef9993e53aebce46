//! Which rule a file falls under.

use std::path::Path;

use globset::{Glob, GlobBuilder, GlobSet, GlobSetBuilder};
use towpath_adapter_api::{AdapterError, ErrorKind};

use crate::config::{DoneMarker, FileSourceConfig};

/// The globs of a source.
pub(crate) struct Rules {
    ignore: Patterns,
    files: Vec<(Patterns, Patterns)>,
    manifest: Option<Patterns>,
    marker_suffix: Option<String>,
}

/// Globs of names, and globs of paths below the folder.
struct Patterns {
    names: GlobSet,
    paths: GlobSet,
}

impl Rules {
    /// # Errors
    /// A glob is not well-formed.
    pub(crate) fn new(config: &FileSourceConfig) -> Result<Self, AdapterError> {
        let rules = config.files.iter();
        let (manifest, marker_suffix) = match &config.ready.done_marker {
            None => (None, None),
            Some(DoneMarker::Suffix(suffix)) => (None, Some(suffix.clone())),
            Some(DoneMarker::Manifest(glob)) => (Some(Patterns::new(std::slice::from_ref(glob))?), None),
        };
        Ok(Self {
            ignore: Patterns::new(&config.ignore)?,
            files: rules
                .map(|rule| Ok((Patterns::new(&rule.include)?, Patterns::new(&rule.exclude)?)))
                .collect::<Result<_, AdapterError>>()?,
            manifest,
            marker_suffix,
        })
    }

    /// The first rule that matches a path below the folder.
    pub(crate) fn find(&self, path: &Path) -> Option<usize> {
        if self.ignore.match_(path) || self.is_manifest(path) || self.is_marker(path) {
            return None;
        }
        self.files.iter().position(|(include, exclude)| include.match_(path) && !exclude.match_(path))
    }

    pub(crate) fn is_manifest(&self, path: &Path) -> bool {
        self.manifest.as_ref().is_some_and(|manifest| manifest.match_(path))
    }

    fn is_marker(&self, path: &Path) -> bool {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        self.marker_suffix.as_ref().is_some_and(|suffix| name.ends_with(suffix.as_str()))
    }
}

impl Patterns {
    fn new(globs: &[String]) -> Result<Self, AdapterError> {
        let (paths, names): (Vec<&String>, Vec<&String>) = globs.iter().partition(|glob| glob.contains('/'));
        Ok(Self { names: set(&names)?, paths: set(&paths)? })
    }

    fn match_(&self, path: &Path) -> bool {
        path.file_name().is_some_and(|name| self.names.is_match(name)) || self.paths.is_match(path)
    }
}

fn set(globs: &[&String]) -> Result<GlobSet, AdapterError> {
    let fault =
        |error: globset::Error| AdapterError::new(ErrorKind::Config, "file source", error.to_string());
    let compile = |glob: &str| -> Result<Glob, globset::Error> {
        GlobBuilder::new(glob).literal_separator(true).build()
    };
    let mut set = GlobSetBuilder::new();
    for glob in globs {
        set.add(compile(glob).map_err(fault)?);
    }
    set.build().map_err(fault)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::parse;
    use serde_json::json;

    fn rules(marker: serde_json::Value) -> Rules {
        let config = json!({
            "path": "/in",
            "ready": {"done_marker": marker},
            "files": [
                {"include": ["old/**/*.csv"], "stream": "old", "format": "csv"},
                {"include": ["*.csv"], "exclude": ["*_test.csv"], "stream": "new", "format": "csv"},
                {"include": ["*"], "stream": "rest", "format": "lines"},
            ],
        });
        Rules::new(&parse::<FileSourceConfig>("source", &config).unwrap()).unwrap()
    }

    #[test]
    fn the_first_rule_that_matches_counts_and_unfinished_work_is_ignored() {
        let rules = rules(json!(null));
        let find = |path: &str| rules.find(Path::new(path));
        assert_eq!(find("old/a/b.csv"), Some(0));
        assert_eq!(find("a.csv"), Some(1));
        assert_eq!(find("deep/down/a.csv"), Some(1));
        assert_eq!(find("a_test.csv"), Some(2));
        for ignored in ["a.csv.tmp", "x.part", "~lock.csv", ".hidden", "sub/.b.csv.swp"] {
            assert_eq!(find(ignored), None, "{ignored}");
        }
    }

    #[test]
    fn markers_and_manifests_are_not_data() {
        let suffix = rules(json!({"suffix": ".done"}));
        assert_eq!(suffix.find(Path::new("a.csv.done")), None);
        assert_eq!(suffix.find(Path::new("a.csv")), Some(1));
        let manifest = rules(json!({"manifest": "*.manifest"}));
        assert_eq!(manifest.find(Path::new("day.manifest")), None);
        assert!(manifest.is_manifest(Path::new("day.manifest")));
    }
}
