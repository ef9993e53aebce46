//! The context: which control plane is meant, as whom, and how it is known. One YAML file, for its owner only:
//!
//! ```yaml
//! server: https://127.0.0.1:7443
//! token: tpa1.…
//! ca_pem: |
//!   -----BEGIN CERTIFICATE-----
//!   …
//! ```

use std::env;
use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// The variable that names the context file.
pub const VARIABLE: &str = "TOWPATH_CONTEXT";

/// Which control plane is meant, as whom, and how it is known.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Context {
    /// The address, as in `https://127.0.0.1:7443`.
    pub server: String,
    /// The admin token.
    pub token: String,
    /// The certificate of the control plane's own CA, PEM. No other is trusted.
    pub ca_pem: String,
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
    /// It is not valid.
    #[error("the context {} is not valid: {message}; run `towpath login` to write it anew", path.display())]
    Invalid {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        message: String,
    },
    /// The file system refuses.
    #[error("cannot {action} the context {}: {source}", path.display())]
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

impl Context {
    /// Reads the context from this file, or from where it is by default.
    ///
    /// # Errors
    /// It is not there, not readable or not valid.
    pub fn load(file: Option<&Path>) -> Result<Self, ContextError> {
        let path = file.map_or_else(default_path, |path| Ok(path.to_owned()))?;
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(ContextError::Missing { path });
            }
            Err(source) => return Err(ContextError::Io { action: "read", path, source }),
        };
        serde_saphyr::from_str(&text).map_err(|error| {
            let message = error.without_snippet().to_string();
            ContextError::Invalid { path, message }
        })
    }

    /// Writes the context to this file, or to where it is by default, for its owner only. Returns the path.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn save(&self, file: Option<&Path>) -> Result<PathBuf, ContextError> {
        let path = file.map_or_else(default_path, |path| Ok(path.to_owned()))?;
        let text = serde_saphyr::to_string(self)
            .map_err(|error| ContextError::Invalid { path: path.clone(), message: error.to_string() })?;
        match write_private(&path, text.as_bytes()) {
            Ok(()) => Ok(path),
            Err(source) => Err(ContextError::Io { action: "write", path, source }),
        }
    }
}

impl std::fmt::Debug for Context {
    /// Leaves the token out.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Context({})", self.server)
    }
}

fn default_path() -> Result<PathBuf, ContextError> {
    if let Some(path) = env::var_os(VARIABLE).filter(|path| !path.is_empty()) {
        return Ok(path.into());
    }
    let set = |name| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let config = set("XDG_CONFIG_HOME").or_else(|| set("HOME").map(|home| home.join(".config")));
    Ok(config.ok_or(ContextError::NoHome)?.join("towpath/context.yaml"))
}

/// Replaces the file whole, so that an interruption leaves the old or the new one.
fn write_private(path: &Path, bytes: &[u8]) -> io::Result<()> {
    if let Some(dir) = path.parent().filter(|dir| !dir.as_os_str().is_empty()) {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
    }
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

    fn context() -> Context {
        Context { server: "https://127.0.0.1:7443".into(), token: "tpa1.x".into(), ca_pem: "---\nx\n".into() }
    }

    #[test]
    fn a_context_comes_back_as_it_was_saved_and_is_its_owners_only() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("deep/context.yaml");
        context().save(Some(&path)).unwrap();
        context().save(Some(&path)).unwrap();
        assert_eq!(Context::load(Some(&path)).unwrap(), context());
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::metadata(path.parent().unwrap()).unwrap().permissions().mode() & 0o777, 0o700);
    }

    #[test]
    fn a_missing_or_damaged_context_is_told_with_its_remedy_and_without_the_token() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("context.yaml");
        let said = Context::load(Some(&path)).unwrap_err().to_string();
        assert!(said.contains("towpath login") && said.contains("admin-context.yaml"), "{said}");
        fs::write(&path, "server: x\ntoken: tpa1.secret\nca: y\n").unwrap();
        let said = Context::load(Some(&path)).unwrap_err().to_string();
        assert!(said.contains("not valid") && !said.contains("tpa1.secret"), "{said}");
        assert!(!format!("{:?}", context()).contains("tpa1"));
    }
}
