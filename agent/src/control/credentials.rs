//! The identity in use, and the TLS configuration made of it. A renewal swaps both at once: connections made before
//! go on, new ones show the new certificate.

use std::sync::Arc;

use parking_lot::RwLock;
use rustls::client::Resumption;
use rustls::crypto::aws_lc_rs;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};

use super::identity::Identity;

/// The name that the control plane's certificate must carry, whatever address was dialled.
pub const SERVER_NAME: &str = "control.towpath.internal";

/// What the link calls itself in ALPN.
pub const LINK_ALPN: &[u8] = b"towpath/1";

/// TLS for the link: shows this identity, trusts its CA only, TLS 1.3, neither resumption nor 0-RTT, so that every
/// connection proves on both sides who is there.
///
/// # Errors
/// The key or a certificate is not usable.
pub fn agent_tls(identity: &Identity) -> Result<ClientConfig, rustls::Error> {
    let mut roots = RootCertStore::empty();
    roots.add(identity.ca().clone())?;
    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(identity.key().serialize_der()));
    let mut config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_root_certificates(roots)
        .with_client_auth_cert(identity.chain().to_vec(), key)?;
    config.alpn_protocols = vec![LINK_ALPN.to_vec()];
    config.resumption = Resumption::disabled();
    config.enable_early_data = false;
    Ok(config)
}

/// The credentials that new connections use. Clones see the same ones.
#[derive(Clone, Debug)]
pub struct Credentials(Arc<RwLock<Current>>);

#[derive(Clone, Debug)]
struct Current {
    identity: Arc<Identity>,
    tls: Arc<ClientConfig>,
}

impl Credentials {
    /// Begins with this identity.
    ///
    /// # Errors
    /// TLS cannot use its key or certificate.
    pub fn new(identity: Identity) -> Result<Self, rustls::Error> {
        Ok(Self(Arc::new(RwLock::new(Current::new(identity)?))))
    }

    /// The identity in use.
    pub fn identity(&self) -> Arc<Identity> {
        self.0.read().identity.clone()
    }

    /// The TLS configuration for the next connection.
    pub fn tls(&self) -> Arc<ClientConfig> {
        self.0.read().tls.clone()
    }

    pub(super) fn replace(&self, identity: Identity) -> Result<(), rustls::Error> {
        let next = Current::new(identity)?;
        *self.0.write() = next;
        Ok(())
    }
}

impl Current {
    fn new(identity: Identity) -> Result<Self, rustls::Error> {
        let tls = Arc::new(agent_tls(&identity)?);
        Ok(Self { identity: Arc::new(identity), tls })
    }
}
