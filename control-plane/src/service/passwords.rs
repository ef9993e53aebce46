//! Passwords: Argon2id with the parameters that OWASP recommends (19 MiB, 2 passes, 1 lane). Each hash costs memory and
//! a processor, so few are made at once, few wait for it, and none holds up other work.
//!
//! The hashes stand in events, and events are exported. So that nobody can guess passwords by them elsewhere, a secret
//! goes into each hash that never leaves this machine: the pepper, in `passwords.key`. Whoever loses it sets the
//! passwords anew.

use std::path::Path;
use std::sync::{Arc, OnceLock};

use argon2::{Algorithm, Argon2, Params, PasswordHasher, PasswordVerifier, Version};
use tokio::sync::Semaphore;
use towpath_catalog::PasswordHash;
use towpath_resource::api::{LONGEST_PASSWORD, SHORTEST_PASSWORD};
use zeroize::Zeroizing;

use super::Refusal;
use crate::control::key_file;

/// Hashes that are made at once.
const AT_ONCE: usize = 2;
/// Those that wait for it. More are turned away.
const MOST_WAITING: usize = 32;
const SALT_BYTES: usize = 16;

/// The secret that goes into every hash of a password.
#[derive(Clone)]
pub struct Pepper(Zeroizing<[u8; 32]>);

/// Makes and checks the hashes of passwords.
pub(super) struct Passwords {
    pepper: Pepper,
    at_once: Arc<Semaphore>,
    waiting: Arc<Semaphore>,
}

impl Pepper {
    /// Reads it from the data directory, or makes it.
    ///
    /// # Errors
    /// Its file cannot be read or written, or is not a key.
    pub fn open_or_create(data_dir: &Path) -> anyhow::Result<Self> {
        let lost = "restore it from a backup; without it, users need new passwords: delete it, then `towpath user password NAME`";
        key_file::open_or_create(&data_dir.join("passwords.key"), lost).map(|key| Self(Zeroizing::new(key)))
    }

    fn argon2(&self) -> Argon2<'_> {
        Argon2::new_with_secret(&*self.0, Algorithm::Argon2id, Version::V0x13, Params::DEFAULT)
            .expect("32 bytes are not too long a secret")
    }
}

impl Passwords {
    pub(super) fn new(pepper: Pepper) -> Self {
        let (at_once, waiting) = (Semaphore::new(AT_ONCE), Semaphore::new(MOST_WAITING));
        Self { pepper, at_once: Arc::new(at_once), waiting: Arc::new(waiting) }
    }

    /// The hash of a new password for someone.
    pub(super) async fn hash(&self, user: &str, password: String) -> Result<PasswordHash, Refusal> {
        let password = Zeroizing::new(password);
        let length = password.chars().count();
        if !(SHORTEST_PASSWORD..=LONGEST_PASSWORD).contains(&length) {
            return Err(Refusal::invalid(format!(
                "the password has {length} characters; it may have {SHORTEST_PASSWORD} to {LONGEST_PASSWORD}"
            )));
        }
        if password.to_lowercase().contains(user) {
            return Err(Refusal::invalid("the password contains the user's name; choose another"));
        }
        let pepper = self.pepper.clone();
        self.run(move || hash(&pepper, &password)).await?
    }

    /// Whether this is the password. Where there is no user, as much work is done for nothing.
    pub(super) async fn is_right(
        &self,
        known: Option<PasswordHash>,
        password: String,
    ) -> Result<bool, Refusal> {
        let password = Zeroizing::new(password);
        let pepper = self.pepper.clone();
        self.run(move || {
            let exists = known.is_some();
            let against = known.map_or_else(|| decoy(&pepper), Ok)?;
            Ok(pepper.argon2().verify_password(password.as_bytes(), against.0.as_str()).is_ok() && exists)
        })
        .await?
    }

    async fn run<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T, Refusal> {
        let busy = || Refusal::TooMany("too many logins at once; try again in a few seconds".to_owned());
        let waiting = self.waiting.clone().try_acquire_owned().map_err(|_| busy())?;
        let permit = self.at_once.clone().acquire_owned().await.map_err(|_| Refusal::Stopping)?;
        drop(waiting);
        let done = tokio::task::spawn_blocking(move || {
            let answer = work();
            // Given up only now: a request that is dropped must not let another begin beside its work.
            drop(permit);
            answer
        });
        done.await.map_err(|_| Refusal::Stopping)
    }
}

fn hash(pepper: &Pepper, password: &str) -> Result<PasswordHash, Refusal> {
    let mut salt = [0; SALT_BYTES];
    let failed = |error: String| Refusal::Unavailable(format!("the password cannot be hashed: {error}"));
    getrandom::fill(&mut salt).map_err(|error| failed(error.to_string()))?;
    let hash = pepper.argon2().hash_password_with_salt(password.as_bytes(), &salt);
    hash.map(|hash| PasswordHash(hash.to_string())).map_err(|error| failed(error.to_string()))
}

/// The hash of a password that nobody has.
fn decoy(pepper: &Pepper) -> Result<PasswordHash, Refusal> {
    static DECOY: OnceLock<PasswordHash> = OnceLock::new();
    match DECOY.get() {
        Some(known) => Ok(known.clone()),
        None => {
            let made = hash(pepper, "no one's password")?;
            Ok(DECOY.get_or_init(|| made).clone())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn passwords() -> Passwords {
        Passwords::new(Pepper(Zeroizing::new([7; 32])))
    }

    #[tokio::test]
    async fn a_password_is_known_by_its_hash_which_is_salted_and_argon2id() {
        let passwords = passwords();
        let one = passwords.hash("ada", "correct horse battery".to_owned()).await.unwrap();
        let two = passwords.hash("ada", "correct horse battery".to_owned()).await.unwrap();
        assert_ne!(one.0, two.0);
        assert!(one.0.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{}", one.0);
        assert!(passwords.is_right(Some(one.clone()), "correct horse battery".to_owned()).await.unwrap());
        assert!(!passwords.is_right(Some(one.clone()), "correct horse batterz".to_owned()).await.unwrap());
        let elsewhere = Passwords::new(Pepper(Zeroizing::new([8; 32])));
        let right = "correct horse battery".to_owned();
        assert!(!elsewhere.is_right(Some(one), right).await.unwrap(), "without the pepper nobody can tell");
        assert!(!passwords.is_right(None, "no one's password".to_owned()).await.unwrap());
        assert_eq!(format!("{two:?}"), "PasswordHash(…)");
    }

    #[tokio::test]
    async fn a_short_password_or_one_with_the_name_in_it_is_refused() {
        let passwords = passwords();
        for bad in ["short", "IamAdaLovelace", &"x".repeat(257)] {
            assert!(passwords.hash("ada", bad.to_owned()).await.is_err(), "{bad}");
        }
    }
}
