//! The control plane's own certificate: signed at start, and again whenever two thirds of its life are over.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::sync::Arc;
use std::time::SystemTime;

use parking_lot::RwLock;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls_pki_types::ServerName;

use super::ca::{CaError, CertificateAuthority, SERVER_CERTIFICATE_LIFE};
use super::clock::Clock;
use super::os;

/// The name every client verifies, whatever address it dialled.
pub const SERVER_NAME: &str = "control.towpath.internal";

/// Hands the current certificate to each handshake.
pub struct ServerCertificate {
    ca: Arc<CertificateAuthority>,
    names: Vec<String>,
    clock: Clock,
    current: RwLock<Current>,
}

struct Current {
    key: Arc<CertifiedKey>,
    renew_at: SystemTime,
}

impl ServerCertificate {
    /// Signs a certificate for [`SERVER_NAME`], this machine and the `configured` DNS names and addresses.
    ///
    /// # Errors
    /// The CA cannot sign it.
    pub fn issue(
        ca: Arc<CertificateAuthority>,
        configured: &[String],
        clock: Clock,
    ) -> Result<Self, CaError> {
        let names = names(configured);
        let current = RwLock::new(Current::sign(&ca, &names, clock())?);
        Ok(Self { ca, names, clock, current })
    }

    fn current(&self) -> Arc<CertifiedKey> {
        let now = (self.clock)();
        {
            let current = self.current.read();
            if now < current.renew_at {
                return current.key.clone();
            }
        }
        let mut current = self.current.write();
        if now >= current.renew_at {
            match Current::sign(&self.ca, &self.names, now) {
                Ok(renewed) => *current = renewed,
                // The old one is good for another third of its life; the next handshake tries again.
                Err(error) => tracing::error!(%error, "cannot renew the server's certificate"),
            }
        }
        current.key.clone()
    }
}

impl ResolvesServerCert for ServerCertificate {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.current())
    }
}

impl std::fmt::Debug for ServerCertificate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ServerCertificate({})", self.names.join(", "))
    }
}

impl Current {
    fn sign(ca: &CertificateAuthority, names: &[String], now: SystemTime) -> Result<Self, CaError> {
        let key = Arc::new(ca.sign_server(names, now)?);
        Ok(Self { key, renew_at: now + SERVER_CERTIFICATE_LIFE * 2 / 3 })
    }
}

/// What the machine is called may be no DNS name at all; such a name is left out, since a client could not ask for it.
fn names(configured: &[String]) -> Vec<String> {
    let own = [
        SERVER_NAME.to_owned(),
        "localhost".to_owned(),
        Ipv4Addr::LOCALHOST.to_string(),
        Ipv6Addr::LOCALHOST.to_string(),
        os::host_name(),
    ];
    let mut names: Vec<String> = Vec::new();
    for name in own.into_iter().chain(configured.iter().cloned()) {
        if ServerName::try_from(name.as_str()).is_ok() && !names.contains(&name) {
            names.push(name);
        }
    }
    names
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};
    use std::time::Duration;

    use super::super::identity::TrustDomain;
    use super::*;

    const DAY: u64 = 24 * 60 * 60;

    #[test]
    fn the_certificate_is_kept_until_two_thirds_of_its_life_and_then_renewed_without_a_restart() {
        let dir = tempfile::tempdir().unwrap();
        let begin = SystemTime::now();
        let ca = CertificateAuthority::open_or_create(dir.path(), TrustDomain::default(), begin).unwrap();
        let elapsed = Arc::new(AtomicU64::new(0));
        let clock: Clock = {
            let elapsed = elapsed.clone();
            Arc::new(move || begin + Duration::from_secs(elapsed.load(Ordering::Relaxed)))
        };
        let server = ServerCertificate::issue(Arc::new(ca), &[], clock).unwrap();
        let first = server.current();
        elapsed.store(59 * DAY, Ordering::Relaxed);
        assert_eq!(server.current().cert, first.cert);
        elapsed.store(61 * DAY, Ordering::Relaxed);
        let second = server.current();
        assert_ne!(second.cert, first.cert);
        assert_eq!(server.current().cert, second.cert);
    }

    #[test]
    fn every_way_to_reach_this_machine_is_named_once_and_nonsense_is_left_out() {
        let configured = ["control.example.com".to_owned(), "localhost".to_owned(), "not a name".to_owned()];
        let names = names(&configured);
        for expected in [SERVER_NAME, "localhost", "127.0.0.1", "::1", "control.example.com"] {
            assert_eq!(names.iter().filter(|name| *name == expected).count(), 1, "{expected}");
        }
        assert!(!names.contains(&"not a name".to_owned()));
    }
}
