//! Where an identity is kept on disk, so that a crash at any point leaves a whole one.
//!
//! ```text
//! <state>/identity/           0700
//!   current                   the name of the generation in use, such as `g000002`
//!   g000002/                  0700; written and synced whole before `current` names it
//!     key.pem                 0600; made on this machine, and never leaves it
//!     chain.pem               0600; the certificate for this key, then what leads to the CA
//!     ca.pem                  0600
//!     agent.json              0600; who the agent is and where the control plane is
//! ```
//!
//! Enrolment writes the first generation and each renewal the next; only the rename of `current` makes it count.
//! A generation that `current` does not name is a leftover of a crash, and goes at the next save.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use rcgen::KeyPair;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use towpath_record::{AgentId, ResourceName};
use towpath_segment::private;
use zeroize::Zeroizing;

use super::identity::{CertificateFault, Identity};
use super::pem;

const CURRENT: &str = "current";
const KEY: &str = "key.pem";
const CHAIN: &str = "chain.pem";
const CA: &str = "ca.pem";
const ENROLMENT: &str = "agent.json";

/// The directory that holds an agent's identity.
#[derive(Clone, Debug)]
pub struct IdentityStore {
    dir: PathBuf,
}

/// Why an identity cannot be read or kept.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The agent has never enrolled.
    #[error(
        "this agent is not enrolled: there is no identity in {}; run `towpath-agent enroll` with a token", dir.display()
    )]
    NotEnrolled {
        /// Where the identity would be.
        dir: PathBuf,
    },
    /// The agent is enrolled already.
    #[error("this machine is enrolled already as agent `{name}` ({agent}); use `--force` to enrol it anew")]
    AlreadyEnrolled {
        /// The agent's name.
        name: ResourceName,
        /// The agent's identity.
        agent: AgentId,
    },
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
    /// A file holds something else than it should.
    #[error("{} is damaged: {reason}; enrol this agent again with a new token and `--force`", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The files do not belong together.
    #[error("the identity in {} is not whole; enrol this agent again with a new token and `--force`", path.display())]
    NotWhole {
        /// The generation.
        path: PathBuf,
        /// What does not fit.
        #[source]
        source: CertificateFault,
    },
}

/// One change of the disk. A save is a list of them, so that a test can stop after each.
enum Step {
    CreateDirectory(PathBuf),
    Write(PathBuf, Zeroizing<Vec<u8>>),
    SyncDirectory(PathBuf),
    Rename(PathBuf, PathBuf),
    RemoveDirectory(PathBuf),
}

impl IdentityStore {
    /// The store within an agent's state directory.
    pub fn new(state_dir: &Path) -> Self {
        Self { dir: state_dir.join("identity") }
    }

    /// The directory that holds the identity.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Reads the identity in use.
    ///
    /// # Errors
    /// There is none, or its files are damaged.
    pub fn load(&self) -> Result<Identity, StoreError> {
        let generation = self.current()?.ok_or_else(|| StoreError::NotEnrolled { dir: self.dir.clone() })?;
        let home = self.dir.join(generation);
        let damaged = |file: &str, e: &dyn std::fmt::Display| StoreError::Damaged {
            path: home.join(file),
            reason: e.to_string(),
        };
        let read = |file: &str| {
            let path = home.join(file);
            fs::read_to_string(&path).map(Zeroizing::new).map_err(io_error("read", &path))
        };
        let enrolment = serde_json::from_str(&read(ENROLMENT)?).map_err(|e| damaged(ENROLMENT, &e))?;
        let ca = CertificateDer::from_pem_slice(read(CA)?.as_bytes()).map_err(|e| damaged(CA, &e))?;
        let chain = CertificateDer::pem_slice_iter(read(CHAIN)?.as_bytes())
            .collect::<Result<Vec<_>, _>>()
            .map_err(|e| damaged(CHAIN, &e))?;
        let key = KeyPair::from_pem(&read(KEY)?).map_err(|e| damaged(KEY, &e))?;
        Identity::new(enrolment, ca, chain, key).map_err(|source| StoreError::NotWhole { path: home, source })
    }

    /// Refuses a machine that is enrolled already.
    ///
    /// # Errors
    /// There is an identity, or something that once was one.
    pub(super) fn ensure_vacant(&self) -> Result<(), StoreError> {
        match self.load() {
            Err(StoreError::NotEnrolled { .. }) => Ok(()),
            Err(other) => Err(other),
            Ok(identity) => {
                let enrolment = identity.enrolment();
                Err(StoreError::AlreadyEnrolled { name: enrolment.name.clone(), agent: enrolment.agent })
            }
        }
    }

    /// Makes this identity the one in use, durably and in one step.
    pub(crate) fn save(&self, identity: &Identity) -> Result<(), StoreError> {
        self.plan_save(identity)?.into_iter().try_for_each(Step::execute)
    }

    fn plan_save(&self, identity: &Identity) -> Result<Vec<Step>, StoreError> {
        let old = self.generations()?;
        let newest = old.iter().filter_map(|name| name[1..].parse::<u64>().ok()).max().unwrap_or(0);
        let generation = format!("g{:06}", newest + 1);
        let home = self.dir.join(&generation);
        let text = |text: String| Zeroizing::new(text.into_bytes());
        let chain: String = identity.chain().iter().map(|der| pem::encode("CERTIFICATE", der)).collect();
        let enrolment = serde_json::to_string_pretty(identity.enrolment())
            .map_err(|e| StoreError::Damaged { path: home.join(ENROLMENT), reason: e.to_string() })?;
        let (current, next) = (self.dir.join(CURRENT), self.dir.join("current.new"));
        let mut steps = vec![
            Step::CreateDirectory(home.clone()),
            Step::Write(home.join(KEY), text(identity.key().serialize_pem())),
            Step::Write(home.join(CHAIN), text(chain)),
            Step::Write(home.join(CA), text(pem::encode("CERTIFICATE", identity.ca()))),
            Step::Write(home.join(ENROLMENT), text(enrolment)),
            Step::SyncDirectory(home),
            Step::Write(next.clone(), text(generation)),
            Step::SyncDirectory(self.dir.clone()),
            Step::Rename(next, current),
            Step::SyncDirectory(self.dir.clone()),
        ];
        // Old keys go once the new one counts: what is not there cannot be stolen.
        steps.extend(old.into_iter().map(|name| Step::RemoveDirectory(self.dir.join(name))));
        Ok(steps)
    }

    fn current(&self) -> Result<Option<String>, StoreError> {
        let path = self.dir.join(CURRENT);
        let name = match fs::read_to_string(&path) {
            Ok(name) => name.trim().to_owned(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(io_error("read", &path)(error)),
        };
        match is_generation(&name) {
            true => Ok(Some(name)),
            false => Err(StoreError::Damaged { path, reason: "it names no generation".to_owned() }),
        }
    }

    fn generations(&self) -> Result<Vec<String>, StoreError> {
        let entries = match fs::read_dir(&self.dir) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(io_error("read", &self.dir)(error)),
        };
        let names = entries.map(|entry| entry.map(|entry| entry.file_name().to_string_lossy().into_owned()));
        let names: Vec<String> = names.collect::<io::Result<_>>().map_err(io_error("read", &self.dir))?;
        Ok(names.into_iter().filter(|name| is_generation(name)).collect())
    }
}

impl Step {
    fn execute(self) -> Result<(), StoreError> {
        match self {
            Self::CreateDirectory(path) => private::create_dir(&path).map_err(io_error("create", &path)),
            Self::Write(path, bytes) => private::create_file(&path, &bytes).map_err(io_error("write", &path)),
            Self::SyncDirectory(path) => private::sync_dir(&path).map_err(io_error("sync", &path)),
            Self::Rename(from, to) => fs::rename(from, &to).map_err(io_error("replace", &to)),
            Self::RemoveDirectory(path) => fs::remove_dir_all(&path).map_err(io_error("remove", &path)),
        }
    }
}

fn is_generation(name: &str) -> bool {
    name.strip_prefix('g').is_some_and(|n| n.len() >= 6 && n.bytes().all(|b| b.is_ascii_digit()))
}

fn io_error(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> StoreError {
    let path = path.to_owned();
    move |source| StoreError::File { doing, path, source }
}

#[cfg(test)]
mod tests {
    use super::super::test_authority::TestAuthority;
    use super::*;

    #[test]
    fn an_identity_is_read_back_as_it_was_kept() {
        let dir = tempfile::tempdir().unwrap();
        let (store, authority) = (IdentityStore::new(dir.path()), TestAuthority::new());
        let identity = authority.identity(1);
        store.save(&identity).unwrap();
        let read = store.load().unwrap();
        assert_eq!(read.enrolment(), identity.enrolment());
        assert_eq!((read.chain(), read.ca()), (identity.chain(), identity.ca()));
        assert_eq!(read.key().serialize_der(), identity.key().serialize_der());
        assert_eq!(read.not_after(), identity.not_after());
    }

    #[cfg(unix)]
    #[test]
    fn nobody_else_can_read_any_file_of_an_identity() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let store = IdentityStore::new(dir.path());
        store.save(&TestAuthority::new().identity(1)).unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&store.dir), 0o700);
        assert_eq!(mode(&store.dir.join(CURRENT)), 0o600);
        let home = store.dir.join(store.current().unwrap().unwrap());
        assert_eq!(mode(&home), 0o700);
        for file in [KEY, CHAIN, CA, ENROLMENT] {
            assert_eq!(mode(&home.join(file)), 0o600, "{file}");
        }
    }

    #[test]
    fn a_crash_after_any_step_of_a_save_leaves_the_old_or_the_new_identity_whole() {
        let authority = TestAuthority::new();
        let (old, new) = (authority.identity(1), authority.identity(1));
        let mut switched = 0;
        for crash_after in 0.. {
            let dir = tempfile::tempdir().unwrap();
            let store = IdentityStore::new(dir.path());
            store.save(&old).unwrap();
            let steps = store.plan_save(&new).unwrap();
            if crash_after > steps.len() {
                assert!(switched > 0);
                break;
            }
            for step in steps.into_iter().take(crash_after) {
                tear_then_execute(step);
            }
            let read = store.load().unwrap();
            let is = |identity: &Identity| read.key().serialize_der() == identity.key().serialize_der();
            assert!(is(&old) || is(&new), "after {crash_after} steps");
            switched += usize::from(is(&new));
            // And life goes on from there.
            let next = authority.identity(1);
            store.save(&next).unwrap();
            assert_eq!(store.load().unwrap().key().serialize_der(), next.key().serialize_der());
            assert_eq!(store.generations().unwrap().len(), 1);
        }
    }

    /// A crash in the middle of a write leaves half a file; the next start must not mind.
    fn tear_then_execute(step: Step) {
        if let Step::Write(path, bytes) = &step {
            fs::write(path, &bytes[..bytes.len() / 2]).unwrap();
        }
        step.execute().unwrap();
    }

    #[test]
    fn a_machine_that_never_enrolled_and_one_whose_files_are_damaged_are_told_apart() {
        let dir = tempfile::tempdir().unwrap();
        let store = IdentityStore::new(dir.path());
        assert!(matches!(store.load(), Err(StoreError::NotEnrolled { .. })));
        store.ensure_vacant().unwrap();

        let authority = TestAuthority::new();
        store.save(&authority.identity(1)).unwrap();
        assert!(matches!(store.ensure_vacant(), Err(StoreError::AlreadyEnrolled { .. })));

        let home = store.dir.join(store.current().unwrap().unwrap());
        let other = authority.identity(1);
        fs::write(home.join(KEY), other.key().serialize_pem()).unwrap();
        let source = CertificateFault::OtherKey;
        assert!(matches!(store.load(), Err(StoreError::NotWhole { source: found, .. }) if found == source));
        for (file, content) in [(KEY, "no key"), (CA, ""), (ENROLMENT, "{"), ("../current", "../../etc")] {
            fs::write(home.join(file), content).unwrap();
            assert!(matches!(store.load(), Err(StoreError::Damaged { .. })), "{file}");
            assert!(store.ensure_vacant().is_err());
        }
    }
}
