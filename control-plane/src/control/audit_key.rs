//! The key that signs the audit trail, made at the first start, in a directory of its own.
//!
//! ```text
//! audit.key.pem   the private key, Ed25519, mode 0600; written first
//! audit.pub.pem   its public half, for whoever verifies exports elsewhere
//! ```
//!
//! A private key that is gone while its public half is there is never replaced: every checkpoint was signed with it.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use towpath_audit::{AuditKey, KeyError};
use towpath_segment::private;
use zeroize::Zeroizing;

const KEY_FILE: &str = "audit.key.pem";
const PUBLIC_FILE: &str = "audit.pub.pem";

/// Why the audit trail cannot be signed.
#[derive(Debug, thiserror::Error)]
pub enum AuditKeyError {
    /// A file cannot be read or written.
    #[error("cannot {doing} {}", path.display())]
    File {
        /// What was tried.
        doing: &'static str,
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        #[source]
        source: io::Error,
    },
    /// The key is gone while its public half is there.
    #[error(
        "the audit key {} is missing beside its public half; restore it from the backup, or move the public half away \
         to sign with a new key: older checkpoints are then verified with the old public half only", path.display()
    )]
    Missing {
        /// Where the key should be.
        path: PathBuf,
    },
    /// A file does not hold such a key.
    #[error("the audit key {} cannot be used: {reason}; restore it from the backup", path.display())]
    Unusable {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: KeyError,
    },
}

/// Opens the key kept in `dir`, or makes it where there is none.
///
/// # Errors
/// The files cannot be read or written, or the key is damaged or gone.
pub fn open_or_create(dir: &Path) -> Result<AuditKey, AuditKeyError> {
    private::create_dir(dir).map_err(file("create", dir))?;
    let (path, public) = (dir.join(KEY_FILE), dir.join(PUBLIC_FILE));
    let unusable = |reason| AuditKeyError::Unusable { path: path.clone(), reason };
    let key = match fs::read_to_string(&path).map(Zeroizing::new) {
        Ok(pem) => {
            if private::tighten(&path).map_err(file("protect", &path))? {
                tracing::warn!(path = %path.display(), "other users could read the audit key; they no longer can");
            }
            AuditKey::from_pem(&pem).map_err(unusable)?
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            if public.exists() {
                return Err(AuditKeyError::Missing { path });
            }
            let key = AuditKey::generate().map_err(unusable)?;
            let pem = key.to_pem().map_err(unusable)?;
            private::replace_file(&path, pem.as_bytes()).map_err(file("write", &path))?;
            key
        }
        Err(error) => return Err(file("read", &path)(error)),
    };
    let pem = key.public().to_pem();
    // A start that changes nothing must succeed on a full disk.
    if fs::read_to_string(&public).ok().as_ref() != Some(&pem) {
        private::replace_file(&public, pem.as_bytes()).map_err(file("write", &public))?;
    }
    Ok(key)
}

fn file(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> AuditKeyError {
    let path = path.to_owned();
    move |source| AuditKeyError::File { doing, path, source }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_that_is_opened_again_is_the_one_that_was_made_and_a_lost_one_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        let made = open_or_create(dir.path()).unwrap().public();
        assert_eq!(open_or_create(dir.path()).unwrap().public(), made);
        let key = dir.path().join(KEY_FILE);
        fs::write(&key, "-----BEGIN PRIVATE KEY-----\n").unwrap();
        assert!(matches!(open_or_create(dir.path()), Err(AuditKeyError::Unusable { .. })));
        fs::remove_file(&key).unwrap();
        assert!(open_or_create(dir.path()).unwrap_err().to_string().contains("restore it from the backup"));
        assert!(!key.exists());
    }

    #[cfg(unix)]
    #[test]
    fn nobody_else_can_read_the_key() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        open_or_create(dir.path()).unwrap();
        let mode = |name| fs::metadata(dir.path().join(name)).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(KEY_FILE), 0o600);
    }
}
