//! The context file: read whole, replaced whole, by one process at a time.

use std::collections::BTreeMap;
use std::env;
use std::fs;
use std::io::{self, Write};
use std::ops::{Deref, DerefMut};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::FlockOperation;
use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};
use towpath_resource::nearest;

use super::Context;

/// The variable that names the context file.
pub const VARIABLE: &str = "TOWPATH_CONTEXT";

/// What a context is called that was given no name.
pub const DEFAULT_NAME: &str = "default";

/// The contexts of a file.
#[derive(Debug)]
pub struct ContextFile {
    path: PathBuf,
    kept: Kept,
}

/// A context file that is being changed.
#[derive(Debug)]
pub struct ContextChange {
    contexts: ContextFile,
    _lock: fs::File,
}

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Kept {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    current: Option<String>,
    contexts: BTreeMap<String, Context>,
}

/// Why there is no usable context.
#[derive(Debug, thiserror::Error)]
pub enum ContextError {
    /// There is none.
    #[error(
        "no context at {}: run `towpath login --server URL --token TOKEN --ca FILE`, or set {VARIABLE} to the \
         `admin-context.yaml` in the control plane's data directory",
        path.display()
    )]
    Missing {
        /// Where it was looked for.
        path: PathBuf,
    },
    /// There are some, but not this one.
    #[error("{} has no context `{name}`; {hint}", path.display())]
    Unknown {
        /// The file.
        path: PathBuf,
        /// The name.
        name: String,
        /// What there is.
        hint: String,
    },
    /// There are some, and none is chosen.
    #[error("no context is in use; choose one with `towpath context use NAME`: {names}")]
    NoneChosen {
        /// What there is.
        names: String,
    },
    /// It was logged out.
    #[error("context `{name}` is logged out: run `towpath login`")]
    LoggedOut {
        /// The name.
        name: String,
    },
    /// A name that could not be told from something else.
    #[error("`{0}` cannot name a context; use letters, digits, `-`, `_` and `.`")]
    BadName(String),
    /// It is not valid.
    #[error("the context file {} is not valid: {message}; mend it, or remove it and run `towpath login`", path.display())]
    Invalid {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        message: String,
    },
    /// The file system refuses.
    #[error("cannot {action} the context file {}: {source}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Nobody says where contexts are.
    #[error("neither HOME nor XDG_CONFIG_HOME is set: set {VARIABLE} to the context file")]
    NoHome,
}

impl ContextFile {
    /// Reads this file, or the one at the usual place. One that is not there has no contexts.
    ///
    /// # Errors
    /// It is not readable or not valid.
    pub fn open(file: Option<&Path>) -> Result<Self, ContextError> {
        let path = file.map_or_else(default_path, |path| Ok(path.to_owned()))?;
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Ok(Self { path, kept: Kept::default() });
            }
            Err(source) => return Err(ContextError::Io { action: "read", path, source }),
        };
        match read(&text) {
            Ok(kept) => Ok(Self { path, kept }),
            Err(message) => Err(ContextError::Invalid { path, message }),
        }
    }

    /// Reads the file to change it. Until the change is saved or dropped, no other process changes it.
    ///
    /// # Errors
    /// The file cannot be locked or read.
    pub fn begin(file: Option<&Path>) -> Result<ContextChange, ContextError> {
        let path = file.map_or_else(default_path, |path| Ok(path.to_owned()))?;
        let failed = |action| {
            let path = path.clone();
            move |source| ContextError::Io { action, path, source }
        };
        make_home(&path).map_err(failed("make the directory of"))?;
        let lock = lock(&path).map_err(failed("lock"))?;
        Ok(ContextChange { contexts: Self::open(Some(&path))?, _lock: lock })
    }

    /// Changes the file: what `change` sees is what is there now.
    ///
    /// # Errors
    /// The file cannot be read or written, or the change is refused, and then nothing is written.
    pub fn change<T>(
        file: Option<&Path>,
        change: impl FnOnce(&mut Self) -> Result<T, ContextError>,
    ) -> Result<T, ContextError> {
        let mut contexts = Self::begin(file)?;
        let done = change(&mut contexts)?;
        contexts.save()?;
        Ok(done)
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The names of the contexts, in order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.kept.contexts.keys().map(String::as_str)
    }

    /// The contexts by name, in order.
    pub fn contexts(&self) -> impl Iterator<Item = (&str, &Context)> {
        self.kept.contexts.iter().map(|(name, context)| (name.as_str(), context))
    }

    /// The name of the context in use: the chosen one, or the only one.
    pub fn current(&self) -> Option<&str> {
        let only = || self.names().next().filter(|_| self.kept.contexts.len() == 1);
        let chosen = self.kept.current.as_deref().filter(|name| self.kept.contexts.contains_key(*name));
        chosen.or_else(only)
    }

    /// The context of this name, or the one in use, with its name.
    ///
    /// # Errors
    /// There is none, or none is in use.
    pub fn chosen(&self, name: Option<&str>) -> Result<(&str, &Context), ContextError> {
        if self.kept.contexts.is_empty() {
            return Err(ContextError::Missing { path: self.path.clone() });
        }
        let Some(name) = name.or_else(|| self.current()) else {
            return Err(ContextError::NoneChosen { names: self.names().collect::<Vec<_>>().join(", ") });
        };
        let (name, context) = self.kept.contexts.get_key_value(name).ok_or_else(|| self.unknown(name))?;
        Ok((name, context))
    }

    /// Keeps a context under this name and uses it from now on.
    ///
    /// # Errors
    /// The name could not be told from something else.
    pub fn keep(&mut self, name: &str, context: Context) -> Result<(), ContextError> {
        let plain = |c: char| c.is_alphanumeric() || matches!(c, '-' | '_' | '.');
        if name.is_empty() || name.starts_with('-') || !name.chars().all(plain) {
            return Err(ContextError::BadName(name.to_owned()));
        }
        self.kept.contexts.insert(name.to_owned(), context);
        self.kept.current = Some(name.to_owned());
        Ok(())
    }

    /// The context of this name, to change it.
    ///
    /// # Errors
    /// There is none.
    pub fn context_mut(&mut self, name: &str) -> Result<&mut Context, ContextError> {
        // Asked beforehand, for the hint needs all of them.
        if !self.kept.contexts.contains_key(name) {
            return Err(self.unknown(name));
        }
        Ok(self.kept.contexts.get_mut(name).expect("it was just there"))
    }

    /// Uses a context from now on.
    ///
    /// # Errors
    /// There is none of this name.
    pub fn use_from_now_on(&mut self, name: &str) -> Result<(), ContextError> {
        self.context_mut(name)?;
        self.kept.current = Some(name.to_owned());
        Ok(())
    }

    /// Forgets a context. If it was in use, none is.
    ///
    /// # Errors
    /// There is none of this name.
    pub fn forget(&mut self, name: &str) -> Result<(), ContextError> {
        self.kept.contexts.remove(name).ok_or_else(|| self.unknown(name))?;
        self.kept.current.take_if(|current| current == name);
        Ok(())
    }

    fn unknown(&self, name: &str) -> ContextError {
        let near = nearest(name, self.names()).map(|near| format!("did you mean `{near}`?"));
        let all = || format!("it has: {}", self.names().collect::<Vec<_>>().join(", "));
        let hint = if self.kept.contexts.is_empty() {
            "it has none; run `towpath login`".to_owned()
        } else {
            near.unwrap_or_else(all)
        };
        ContextError::Unknown { path: self.path.clone(), name: name.to_owned(), hint }
    }
}

impl ContextChange {
    /// Writes what was changed.
    ///
    /// # Errors
    /// The file cannot be written; then it is as it was.
    pub fn save(self) -> Result<(), ContextError> {
        let ContextFile { path, kept } = self.contexts;
        let text = serde_saphyr::to_string(&kept)
            .map_err(|error| ContextError::Invalid { path: path.clone(), message: error.to_string() })?;
        write_private(&path, text.as_bytes()).map_err(|source| ContextError::Io {
            action: "write",
            path,
            source,
        })
    }
}

impl Deref for ContextChange {
    type Target = ContextFile;

    fn deref(&self) -> &ContextFile {
        &self.contexts
    }
}

impl DerefMut for ContextChange {
    fn deref_mut(&mut self) -> &mut ContextFile {
        &mut self.contexts
    }
}

fn read(text: &str) -> Result<Kept, String> {
    /// Tells a file of several contexts from a single context.
    #[derive(Deserialize)]
    struct Shape {
        contexts: Option<IgnoredAny>,
    }
    // A snippet of the file would show the token.
    let told = |error: serde_saphyr::Error| error.without_snippet().to_string();
    let shape: Shape = serde_saphyr::from_str(text).map_err(told)?;
    if shape.contexts.is_some() {
        return serde_saphyr::from_str(text).map_err(told);
    }
    let single: Context = serde_saphyr::from_str(text).map_err(told)?;
    let contexts = BTreeMap::from([(DEFAULT_NAME.to_owned(), single)]);
    Ok(Kept { current: Some(DEFAULT_NAME.to_owned()), contexts })
}

fn default_path() -> Result<PathBuf, ContextError> {
    if let Some(path) = env::var_os(VARIABLE).filter(|path| !path.is_empty()) {
        return Ok(path.into());
    }
    let set = |name| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let config = set("XDG_CONFIG_HOME").or_else(|| set("HOME").map(|home| home.join(".config")));
    Ok(config.ok_or(ContextError::NoHome)?.join("towpath/context.yaml"))
}

fn make_home(path: &Path) -> io::Result<()> {
    match path.parent().filter(|dir| !dir.as_os_str().is_empty()) {
        Some(dir) => fs::DirBuilder::new().recursive(true).mode(0o700).create(dir),
        None => Ok(()),
    }
}

/// Waits until no other process changes the file. The lock lies beside it, since the file itself is replaced; it ends
/// with the file handle, also when we are killed.
fn lock(path: &Path) -> io::Result<fs::File> {
    let beside = path.with_extension("lock");
    let lock = fs::OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(beside)?;
    rustix::fs::flock(&lock, FlockOperation::LockExclusive)?;
    Ok(lock)
}

/// Replaces the file whole, so that an interruption leaves the old or the new one.
fn write_private(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let partial = path.with_extension("partial");
    let mut file =
        fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&partial)?;
    // One that an interruption left keeps the mode it had.
    file.set_permissions(fs::Permissions::from_mode(0o600))?;
    file.write_all(bytes)?;
    file.sync_data()?;
    fs::rename(&partial, path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn context(server: &str) -> Context {
        Context::with_token(server, "tpa1.secret", "---\nx\n")
    }

    fn keep(path: &Path, name: &str, server: &str) {
        ContextFile::change(Some(path), |file| file.keep(name, context(server))).unwrap();
    }

    #[test]
    fn contexts_come_back_as_they_were_kept_and_are_their_owners_only() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("deep/context.yaml");
        keep(&path, "plant", "https://plant");
        keep(&path, "cloud", "https://cloud");
        let file = ContextFile::open(Some(&path)).unwrap();
        assert_eq!(file.chosen(Some("plant")).unwrap(), ("plant", &context("https://plant")));
        assert_eq!(file.chosen(None).unwrap().0, "cloud", "the last that was kept is in use");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::metadata(path.parent().unwrap()).unwrap().permissions().mode() & 0o777, 0o700);
    }

    #[test]
    fn a_file_that_is_a_single_context_is_read_and_becomes_one_of_several() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("admin-context.yaml");
        fs::write(&path, "server: https://old\ntoken: tpa1.x\nca_pem: y\n").unwrap();
        let file = ContextFile::open(Some(&path)).unwrap();
        assert_eq!(file.chosen(None).unwrap().1.server, "https://old");
        keep(&path, "new", "https://new");
        let file = ContextFile::open(Some(&path)).unwrap();
        assert_eq!(file.names().collect::<Vec<_>>(), [DEFAULT_NAME, "new"]);
    }

    #[test]
    fn a_context_is_used_until_another_is_chosen_and_a_forgotten_one_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("context.yaml");
        for name in ["a", "b", "c"] {
            keep(&path, name, "https://x");
        }
        ContextFile::change(Some(&path), |file| file.use_from_now_on("a")).unwrap();
        assert_eq!(ContextFile::open(Some(&path)).unwrap().current(), Some("a"));
        ContextFile::change(Some(&path), |file| file.forget("a")).unwrap();
        let file = ContextFile::open(Some(&path)).unwrap();
        assert!(file.chosen(None).unwrap_err().to_string().contains("b, c"));
        ContextFile::change(Some(&path), |file| file.forget("b")).unwrap();
        assert_eq!(ContextFile::open(Some(&path)).unwrap().current(), Some("c"), "the only one");
    }

    #[test]
    fn a_change_that_is_refused_writes_nothing_and_names_the_nearest() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("context.yaml");
        keep(&path, "plant", "https://x");
        let before = fs::read(&path).unwrap();
        let refused = ContextFile::change(Some(&path), |file| file.use_from_now_on("plat")).unwrap_err();
        assert!(refused.to_string().contains("did you mean `plant`?"), "{refused}");
        assert!(ContextFile::change(Some(&path), |file| file.keep("a b", context("x"))).is_err());
        assert_eq!(fs::read(&path).unwrap(), before);
    }

    #[test]
    fn changes_at_the_same_time_are_all_kept() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("context.yaml");
        std::thread::scope(|threads| {
            for n in 0..8 {
                let path = &path;
                threads.spawn(move || keep(path, &format!("c{n}"), "https://x"));
            }
        });
        assert_eq!(ContextFile::open(Some(&path)).unwrap().names().count(), 8);
    }

    #[test]
    fn a_missing_or_damaged_file_is_told_with_its_remedy_and_without_the_token() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("context.yaml");
        let said = ContextFile::open(Some(&path)).unwrap().chosen(None).unwrap_err().to_string();
        assert!(said.contains("towpath login") && said.contains("admin-context.yaml"), "{said}");
        for text in
            ["server: x\ntoken: tpa1.secret\nca: y\n", "contexts: {a: {token: tpa1.secret, x: 1}}\n", "["]
        {
            fs::write(&path, text).unwrap();
            let said = ContextFile::open(Some(&path)).unwrap_err().to_string();
            assert!(said.contains("not valid") && !said.contains("tpa1.secret"), "{said}");
        }
        assert!(!format!("{:?}", context("https://x")).contains("tpa1"));
    }
}
