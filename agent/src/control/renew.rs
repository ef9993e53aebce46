//! Renewal: when two thirds of a certificate's life are over, a new key, a request over the link, and a swap.
//!
//! A machine without clock or I/O but the store's: the link calls it, sends the requests it polls and hands it what
//! comes back. Nothing is swapped in memory before it is durable on disk, and the connection at hand is not touched.

use std::time::{Duration, SystemTime};

use rcgen::KeyPair;
use rustls_pki_types::CertificateDer;

use super::credentials::Credentials;
use super::identity::{CertificateFault, Identity, new_key};
use super::identity_store::{IdentityStore, StoreError};

/// Longest wait before a request that was not answered is sent again.
const MAX_PATIENCE: Duration = Duration::from_secs(60);
/// A lifetime holds this many such waits in its last third, so that short lives in tests renew in time too.
const ATTEMPTS_PER_LIFE: u32 = 30;

/// Keeps an agent's certificate fresh.
pub struct Renewal {
    store: IdentityStore,
    credentials: Credentials,
    pending: Option<Pending>,
}

/// A key that waits for its certificate. It is in memory only: if the process ends, the next one makes another.
struct Pending {
    key: KeyPair,
    csr_der: Vec<u8>,
    ask_again_at: Option<SystemTime>,
}

/// Why a certificate was not renewed. The one in use stays in use.
#[derive(Debug, thiserror::Error)]
pub enum RenewError {
    /// No key could be made.
    #[error("cannot make a key for the next certificate")]
    Key(#[source] rcgen::Error),
    /// The control plane sent a certificate without being asked.
    #[error("the control plane sent a certificate that this agent did not ask for; it is ignored")]
    Unasked,
    /// The certificate is not for us.
    #[error("the control plane sent a certificate that this agent cannot use")]
    Certificate(#[from] CertificateFault),
    /// The new identity cannot be kept.
    #[error("the next identity cannot be kept")]
    Store(#[from] StoreError),
    /// TLS does not take the new identity.
    #[error("TLS does not take the new certificate")]
    Tls(#[source] rustls::Error),
}

impl Renewal {
    /// Renews what is in these credentials, keeping it in the store.
    pub fn new(store: IdentityStore, credentials: Credentials) -> Self {
        Self { store, credentials, pending: None }
    }

    /// When [`Self::poll_request`] has something to send next.
    pub fn poll_timeout(&self) -> SystemTime {
        match &self.pending {
            Some(Pending { ask_again_at: Some(at), .. }) => *at,
            Some(_) => SystemTime::UNIX_EPOCH,
            None => due(&self.credentials.identity()),
        }
    }

    /// The request to send over the link now, if any. A request that stays unanswered comes again, for the same key.
    ///
    /// # Errors
    /// No key could be made.
    pub fn poll_request(&mut self, now: SystemTime) -> Result<Option<Vec<u8>>, RenewError> {
        if now < self.poll_timeout() {
            return Ok(None);
        }
        let patience = patience(&self.credentials.identity());
        let pending = match &mut self.pending {
            Some(pending) => pending,
            vacant => {
                let (key, csr_der) = new_key().map_err(RenewError::Key)?;
                vacant.insert(Pending { key, csr_der, ask_again_at: None })
            }
        };
        pending.ask_again_at = Some(now + patience);
        Ok(Some(pending.csr_der.clone()))
    }

    /// The link is gone, and with it the answer to what was asked: the next link is asked at once.
    pub fn handle_disconnected(&mut self) {
        if let Some(pending) = &mut self.pending {
            pending.ask_again_at = None;
        }
    }

    /// Takes the answer: checks it, makes it durable, then puts it in use for new connections.
    ///
    /// # Errors
    /// The certificate is not for the key that was asked for or not for this agent, or it cannot be kept. The old
    /// identity stays in use and the request comes again.
    pub fn handle_renewed(
        &mut self,
        chain: Vec<CertificateDer<'static>>,
        now: SystemTime,
    ) -> Result<(), RenewError> {
        let pending = self.pending.as_ref().ok_or(RenewError::Unasked)?;
        let key = KeyPair::try_from(pending.key.serialize_der()).map_err(RenewError::Key)?;
        let next = self.credentials.identity().renewed(chain, key, now)?;
        self.store.save(&next)?;
        self.credentials.replace(next).map_err(RenewError::Tls)?;
        self.pending = None;
        Ok(())
    }
}

impl std::fmt::Debug for Renewal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Renewal").field("pending", &self.pending.is_some()).finish_non_exhaustive()
    }
}

fn due(identity: &Identity) -> SystemTime {
    identity.not_before() + life(identity) * 2 / 3
}

fn patience(identity: &Identity) -> Duration {
    (life(identity) / ATTEMPTS_PER_LIFE).clamp(Duration::from_secs(1), MAX_PATIENCE)
}

fn life(identity: &Identity) -> Duration {
    identity.not_after().duration_since(identity.not_before()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::super::test_authority::TestAuthority;
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    struct Bench {
        authority: TestAuthority,
        store: IdentityStore,
        credentials: Credentials,
        renewal: Renewal,
        dir: tempfile::TempDir,
    }

    impl Bench {
        fn new() -> Self {
            let dir = tempfile::tempdir().unwrap();
            let (authority, store) = (TestAuthority::new(), IdentityStore::new(dir.path()));
            let identity = authority.identity(1);
            store.save(&identity).unwrap();
            let credentials = Credentials::new(identity).unwrap();
            let renewal = Renewal::new(store.clone(), credentials.clone());
            Self { authority, store, credentials, renewal, dir }
        }

        fn due(&self) -> SystemTime {
            self.renewal.poll_timeout()
        }

        fn ask(&mut self, now: SystemTime) -> Vec<u8> {
            self.renewal.poll_request(now).unwrap().expect("a request is due")
        }
    }

    #[test]
    fn a_renewal_begins_at_two_thirds_of_the_life_and_ends_with_a_new_pair_in_use_and_on_disk() {
        let mut bench = Bench::new();
        let (before, old_tls) = (bench.credentials.identity(), bench.credentials.tls());
        let due = bench.due();
        let life = before.not_after().duration_since(before.not_before()).unwrap();
        assert_eq!(due.duration_since(before.not_before()).unwrap(), life * 2 / 3);
        assert!(bench.renewal.poll_request(due - MINUTE).unwrap().is_none());

        let csr = bench.ask(due);
        let chain = bench.authority.sign(&csr, 1, due);
        bench.renewal.handle_renewed(chain.clone(), due).unwrap();

        let after = bench.credentials.identity();
        assert_eq!(after.chain(), chain);
        assert_ne!(after.key().serialize_der(), before.key().serialize_der());
        assert_eq!(bench.store.load().unwrap().chain(), chain);
        assert!(!std::sync::Arc::ptr_eq(&old_tls, &bench.credentials.tls()));
        assert!(bench.due() > due);
        assert!(bench.renewal.poll_request(due + MINUTE).unwrap().is_none());
    }

    #[test]
    fn a_request_that_stays_unanswered_comes_again_for_the_same_key_and_at_once_on_a_new_link() {
        let mut bench = Bench::new();
        let now = bench.due();
        let first = bench.ask(now);
        assert!(bench.renewal.poll_request(now + MINUTE / 2).unwrap().is_none());
        assert_eq!(bench.ask(now + MINUTE), first);
        assert!(bench.renewal.poll_request(now + MINUTE).unwrap().is_none());
        bench.renewal.handle_disconnected();
        assert_eq!(bench.ask(now + MINUTE), first);
    }

    #[test]
    fn a_certificate_that_is_not_exactly_ours_changes_nothing() {
        let mut bench = Bench::new();
        let now = bench.due();
        let unasked = bench.authority.identity(1).chain().to_vec();
        assert!(matches!(bench.renewal.handle_renewed(unasked.clone(), now), Err(RenewError::Unasked)));

        let csr = bench.ask(now);
        let expired = now - 100 * 24 * 60 * MINUTE;
        let answers = [
            (vec![], "there is no certificate"),
            (unasked, "another key"),
            (bench.authority.sign(&csr, 2, now), "/agent/"),
            (bench.authority.sign_at_site(&csr, 1, "office", now), "/site/plant/"),
            (TestAuthority::new().sign(&csr, 1, now), "does not vouch"),
            (bench.authority.sign(&csr, 1, expired), "does not vouch"),
        ];
        for (chain, reason) in answers {
            match bench.renewal.handle_renewed(chain, now) {
                Err(RenewError::Certificate(fault)) => assert!(fault.to_string().contains(reason), "{fault}"),
                other => panic!("{reason}: {other:?}"),
            }
        }
        let kept = bench.store.load().unwrap();
        assert_eq!(kept.chain(), bench.credentials.identity().chain());
        bench.renewal.handle_renewed(bench.authority.sign(&csr, 1, now), now).unwrap();
    }

    #[test]
    fn an_identity_that_cannot_be_kept_is_not_used_and_the_request_comes_again() {
        let mut bench = Bench::new();
        let now = bench.due();
        let csr = bench.ask(now);
        let before = bench.credentials.identity();
        let answer = bench.authority.sign(&csr, 1, now);
        // A file where the directory should be stands for any fault of the disk.
        let blocked = bench.dir.path().join("blocked");
        std::fs::write(&blocked, "in the way").unwrap();
        bench.renewal.store = IdentityStore::new(&blocked);
        assert!(matches!(bench.renewal.handle_renewed(answer.clone(), now), Err(RenewError::Store(_))));
        assert_eq!(bench.credentials.identity().chain(), before.chain());
        bench.renewal.store = bench.store.clone();
        assert_eq!(bench.ask(now + MINUTE), csr);
        bench.renewal.handle_renewed(answer, now).unwrap();
        assert_eq!(bench.store.load().unwrap().chain(), bench.credentials.identity().chain());
    }
}
