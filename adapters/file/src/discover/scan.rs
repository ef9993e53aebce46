//! Lists the folder and decides which files are ready.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use towpath_adapter_api::{AdapterError, ErrorKind};
use walkdir::{DirEntry, WalkDir};

use super::manifest::{Listed, read_manifest};
use super::{Candidate, Rules};
use crate::config::{DoneMarker, FileSourceConfig, Mode, Order};
use crate::identity::Stat;

/// Most files that are taken from one listing; the rest waits for the next. Bounds memory in a folder of millions.
const MOST_CANDIDATES: usize = 4_096;

/// Lists the folder.
pub(crate) struct Scanner {
    root: PathBuf,
    recursive: bool,
    own_folders: Vec<PathBuf>,
    rules: Rules,
    order: Order,
    stable_for: Duration,
    marker_suffix: Option<String>,
    wants_manifest: bool,
    /// Since when each waiting file has looked as it does.
    seen: HashMap<PathBuf, (Stat, Instant)>,
}

/// What a listing found.
#[derive(Default)]
pub(crate) struct Scan {
    /// Files that are ready, in the order in which they are to be read.
    pub(crate) ready: Vec<Candidate>,
    /// After what time another file may be ready without anything being changed.
    pub(crate) look_again: Option<Duration>,
    /// Whether there were more files than one listing takes.
    pub(crate) truncated: bool,
}

/// Files in the order in which they are to be read.
pub(crate) struct Listing {
    pub(crate) found: Vec<Candidate>,
    /// Whether there were more files than one listing takes.
    truncated: bool,
}

/// The place of a file in the order of reading.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Rank(i64, PathBuf);

impl Scanner {
    /// # Errors
    /// A glob is not well-formed.
    pub(crate) fn new(config: &FileSourceConfig) -> Result<Self, AdapterError> {
        // A file that is followed is never complete, so nothing is waited for.
        let stable_for = if config.mode == Mode::Tail { Duration::ZERO } else { config.ready.stable_for.0 };
        let (marker_suffix, wants_manifest) = match &config.ready.done_marker {
            None => (None, false),
            Some(DoneMarker::Suffix(suffix)) => (Some(suffix.clone()), false),
            Some(DoneMarker::Manifest(_)) => (None, true),
        };
        Ok(Self {
            root: config.path.clone(),
            recursive: config.recursive,
            own_folders: config.own_folders(),
            rules: Rules::new(config)?,
            order: config.order,
            stable_for,
            marker_suffix,
            wants_manifest,
            seen: HashMap::new(),
        })
    }

    /// Lists the folder. Files of which `is_done` says so are passed over.
    ///
    /// # Errors
    /// The folder cannot be listed, or `is_done` fails.
    pub(crate) fn scan(
        &mut self,
        is_done: impl FnMut(&Path, &Stat) -> Result<bool, AdapterError>,
    ) -> Result<Scan, AdapterError> {
        let now = Instant::now();
        let Listing { found, truncated } = self.list(is_done)?;
        let mut scan = Scan { truncated, ..Scan::default() };
        let present: HashSet<&Path> = found.iter().map(|candidate| &*candidate.path).collect();
        self.seen.retain(|path, _| present.contains(&**path));
        for candidate in found {
            match self.waits(&candidate, now) {
                None => scan.ready.push(candidate),
                Some(wait) => scan.look_again = Some(scan.look_again.map_or(wait, |least| least.min(wait))),
            }
        }
        Ok(scan)
    }

    /// The files that a rule matches, ready or not, except those that `passes_over`.
    ///
    /// # Errors
    /// The folder cannot be listed, or `passes_over` fails.
    pub(crate) fn list(
        &self,
        mut passes_over: impl FnMut(&Path, &Stat) -> Result<bool, AdapterError>,
    ) -> Result<Listing, AdapterError> {
        let mut truncated = false;
        let mut listed = Listed::new();
        let mut found: BTreeMap<Rank, Candidate> = BTreeMap::new();
        for entry in self.walk() {
            let Some((path, entry)) = self.file(entry)? else { continue };
            if self.rules.is_manifest(&path) {
                if let Err(error) = read_manifest(&self.root, &path, &mut listed) {
                    tracing::warn!(manifest = %path.display(), %error, "the manifest cannot be read");
                }
                continue;
            }
            let Some(rule) = self.rules.find(&path) else { continue };
            let Ok(metadata) = entry.metadata() else { continue };
            let stat = Stat::of(&metadata);
            if passes_over(&path, &stat)? {
                continue;
            }
            let rank = match self.order {
                Order::Name => Rank(0, path.clone()),
                Order::Time => Rank(stat.modified_ns, path.clone()),
            };
            found.insert(rank, Candidate { path, rule, stat, sha256: None });
            if found.len() > MOST_CANDIDATES {
                found.pop_last();
                truncated = true;
            }
        }
        let with_checksum = |mut candidate: Candidate| {
            candidate.sha256 = listed.get(&candidate.path).copied();
            candidate
        };
        Ok(Listing { found: found.into_values().map(with_checksum).collect(), truncated })
    }

    /// Every file in the folder, whether a rule matches it or not.
    ///
    /// # Errors
    /// The folder cannot be listed.
    pub(crate) fn all(&self) -> Result<Vec<Candidate>, AdapterError> {
        let mut found = Vec::new();
        for entry in self.walk() {
            let Some((path, entry)) = self.file(entry)? else { continue };
            let Ok(metadata) = entry.metadata() else { continue };
            found.push(Candidate { path, rule: 0, stat: Stat::of(&metadata), sha256: None });
        }
        Ok(found)
    }

    /// The rule that a path falls under now.
    pub(crate) fn rule_of(&self, path: &Path) -> Option<usize> {
        self.rules.find(path)
    }

    fn walk(&self) -> impl Iterator<Item = walkdir::Result<DirEntry>> + use<> {
        let depth = if self.recursive { usize::MAX } else { 1 };
        let own_folders = self.own_folders.clone();
        let walk = WalkDir::new(&self.root).min_depth(1).max_depth(depth).follow_links(false).into_iter();
        walk.filter_entry(move |entry| !own_folders.iter().any(|own| own == entry.path()))
    }

    /// The path below the root of a regular file. Links are not followed: they could lead in circles or out of the
    /// folder that this source was allowed to read.
    fn file(&self, entry: walkdir::Result<DirEntry>) -> Result<Option<(PathBuf, DirEntry)>, AdapterError> {
        let entry = match entry {
            Ok(entry) => entry,
            Err(error) if error.depth() == 0 || error.path() == Some(&*self.root) => {
                return Err(unlistable(&self.root, error));
            }
            Err(error) => {
                tracing::warn!(%error, "a folder cannot be listed; it is tried again with the next listing");
                return Ok(None);
            }
        };
        if !entry.file_type().is_file() {
            return Ok(None);
        }
        let path = entry.path().strip_prefix(&self.root).unwrap_or(entry.path()).to_owned();
        Ok(Some((path, entry)))
    }

    /// How long a file is to be waited for; `None` if it is ready. A file that waits for its marker waits for a
    /// change, so for the longest time.
    fn waits(&mut self, candidate: &Candidate, now: Instant) -> Option<Duration> {
        if self.wants_manifest {
            return candidate.sha256.is_none().then_some(Duration::MAX);
        }
        if let Some(suffix) = &self.marker_suffix {
            let mut marker = OsString::from(self.root.join(&candidate.path));
            marker.push(suffix);
            return (!Path::new(&marker).exists()).then_some(Duration::MAX);
        }
        let (stat, since) = self.seen.entry(candidate.path.clone()).or_insert((candidate.stat, now));
        if *stat != candidate.stat {
            (*stat, *since) = (candidate.stat, now);
        }
        let wait = self.stable_for.saturating_sub(now.duration_since(*since));
        (!wait.is_zero()).then_some(wait)
    }
}

fn unlistable(root: &Path, error: walkdir::Error) -> AdapterError {
    let resource = format!("folder {}", root.display());
    match error.io_error().map(std::io::Error::kind) {
        Some(std::io::ErrorKind::PermissionDenied) => {
            AdapterError::new(ErrorKind::Permission, resource, "the agent's user may not list it")
                .caused_by(error)
        }
        _ => AdapterError::new(
            ErrorKind::Unavailable,
            resource,
            format!("it cannot be listed: {error}; create or mount it, and reading begins by itself"),
        )
        .caused_by(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::parse;
    use serde_json::{Value, json};

    fn scanner(root: &Path, settings: Value) -> Scanner {
        let mut config = json!({"path": root, "recursive": true, "ready": {"stable_for": "0s"}, "files": [
            {"include": ["*.csv"], "stream": "s", "format": "csv"}
        ]});
        config.as_object_mut().unwrap().extend(settings.as_object().unwrap().clone());
        Scanner::new(&parse("source", &config).unwrap()).unwrap()
    }

    fn ready(scanner: &mut Scanner) -> Vec<String> {
        let scan = scanner.scan(|_, _| Ok(false)).unwrap();
        scan.ready.iter().map(|candidate| candidate.path.display().to_string()).collect()
    }

    #[test]
    fn files_come_in_order_and_own_folders_are_passed_over() {
        let folder = tempfile::tempdir().unwrap();
        for path in ["b.csv", "a.csv", "sub/c.csv", "archive/d.csv", "error/e.csv", "x.txt"] {
            let path = folder.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "x").unwrap();
        }
        assert_eq!(ready(&mut scanner(folder.path(), json!({}))), ["a.csv", "b.csv", "sub/c.csv"]);
        assert_eq!(ready(&mut scanner(folder.path(), json!({"recursive": false}))), ["a.csv", "b.csv"]);
        let old = std::time::SystemTime::now() - Duration::from_secs(60);
        std::fs::File::options()
            .write(true)
            .open(folder.path().join("sub/c.csv"))
            .unwrap()
            .set_modified(old)
            .unwrap();
        assert_eq!(ready(&mut scanner(folder.path(), json!({"order": "time"})))[0], "sub/c.csv");
    }

    #[test]
    fn a_file_that_still_changes_is_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.csv");
        std::fs::write(&path, "1").unwrap();
        let mut scanner = scanner(folder.path(), json!({"ready": {"stable_for": "60ms"}}));
        let scan = scanner.scan(|_, _| Ok(false)).unwrap();
        assert!(scan.ready.is_empty() && scan.look_again <= Some(Duration::from_millis(60)));
        std::thread::sleep(Duration::from_millis(40));
        std::fs::write(&path, "12").unwrap();
        assert!(ready(&mut scanner).is_empty());
        std::thread::sleep(Duration::from_millis(40));
        assert!(ready(&mut scanner).is_empty(), "the change began the wait anew");
        std::thread::sleep(Duration::from_millis(40));
        assert_eq!(ready(&mut scanner), ["a.csv"]);
    }

    #[test]
    fn a_marker_or_manifest_makes_a_file_ready_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
        write("a.csv", "1");
        let slow = json!({"stable_for": "1h", "done_marker": {"suffix": ".done"}});
        let mut marked = scanner(folder.path(), json!({"ready": slow}));
        assert!(ready(&mut marked).is_empty());
        write("a.csv.done", "");
        assert_eq!(ready(&mut marked), ["a.csv"]);
        let manifest = json!({"ready": {"done_marker": {"manifest": "*.manifest"}}});
        let mut listed = scanner(folder.path(), manifest);
        assert!(ready(&mut listed).is_empty());
        write("day.manifest", &format!("{}  a.csv\n", "00".repeat(32)));
        assert_eq!(listed.scan(|_, _| Ok(false)).unwrap().ready[0].sha256, Some([0; 32]));
    }

    #[cfg(unix)]
    #[test]
    fn a_circle_of_links_is_not_walked() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("a.csv"), "1").unwrap();
        std::os::unix::fs::symlink(folder.path(), folder.path().join("loop")).unwrap();
        std::os::unix::fs::symlink("a.csv", folder.path().join("b.csv")).unwrap();
        assert_eq!(ready(&mut scanner(folder.path(), json!({}))), ["a.csv"]);
    }

    #[test]
    fn a_folder_that_is_not_there_can_become_available() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("later");
        let mut scanner = scanner(&root, json!({}));
        let Err(error) = scanner.scan(|_, _| Ok(false)) else { panic!("there is no such folder") };
        assert_eq!(error.kind, ErrorKind::Unavailable);
        std::fs::create_dir(&root).unwrap();
        assert!(ready(&mut scanner).is_empty());
    }

    #[test]
    fn a_folder_of_very_many_files_is_read_in_parts() {
        let folder = tempfile::tempdir().unwrap();
        for number in 0..MOST_CANDIDATES + 10 {
            std::fs::write(folder.path().join(format!("{number:05}.csv")), "").unwrap();
        }
        let scan = scanner(folder.path(), json!({})).scan(|_, _| Ok(false)).unwrap();
        assert!(scan.truncated);
        assert_eq!(
            (scan.ready.len(), scan.ready[0].path.display().to_string()),
            (MOST_CANDIDATES, "00000.csv".into())
        );
    }
}
