//! What lets agents notice at once that the control plane was restarted: QUIC's stateless reset (RFC 9000,
//! section 10.3). An endpoint answers packets of connections it knows nothing of with a token that only it could
//! have made; the key of these tokens is kept, so that the next process can make those of the one before.

use std::path::Path;

use quinn::crypto::{CryptoError, HmacKey};
use quinn::{ConnectionId, ConnectionIdGenerator};

use crate::control::key_file;

const FILE: &str = "link-reset.key";
const KEY_BYTES: usize = 32;
const CONNECTION_ID_BYTES: usize = 8;

/// Makes stateless reset tokens: keyed BLAKE3 of the connection's identity.
pub(crate) struct ResetKey([u8; KEY_BYTES]);

impl ResetKey {
    /// Reads the key, or makes it.
    ///
    /// # Errors
    /// The file cannot be read or written, or is not a key.
    pub(crate) fn open_or_create(data_dir: &Path) -> anyhow::Result<Self> {
        let lost = "delete it: a new one is made, and agents notice the next restart a little later";
        key_file::open_or_create(&data_dir.join(FILE), lost).map(Self)
    }
}

impl HmacKey for ResetKey {
    fn sign(&self, data: &[u8], signature_out: &mut [u8]) {
        signature_out.copy_from_slice(blake3::keyed_hash(&self.0, data).as_bytes());
    }

    fn signature_len(&self) -> usize {
        blake3::OUT_LEN
    }

    fn verify(&self, data: &[u8], signature: &[u8]) -> Result<(), CryptoError> {
        // Comparing with a BLAKE3 hash takes the same time wherever the first difference is.
        let is_it = <[u8; blake3::OUT_LEN]>::try_from(signature)
            .is_ok_and(|signature| blake3::keyed_hash(&self.0, data) == signature);
        if is_it { Ok(()) } else { Err(CryptoError) }
    }
}

/// Random identities. Unlike quinn's own they carry no mark of the process, so that packets for those of the process
/// before are answered with a reset and not ignored.
pub(crate) struct RandomIds;

impl ConnectionIdGenerator for RandomIds {
    fn generate_cid(&mut self) -> ConnectionId {
        let mut id = [0; CONNECTION_ID_BYTES];
        getrandom::fill(&mut id).expect("without random bytes there was no TLS that brought us here");
        ConnectionId::new(&id)
    }

    fn cid_len(&self) -> usize {
        CONNECTION_ID_BYTES
    }

    fn cid_lifetime(&self) -> Option<std::time::Duration> {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_process_makes_the_tokens_of_the_one_before() {
        let dir = tempfile::tempdir().unwrap();
        let [before, after] = [(); 2].map(|()| ResetKey::open_or_create(dir.path()).unwrap());
        let mut token = [0; blake3::OUT_LEN];
        before.sign(b"connection", &mut token);
        assert!(after.verify(b"connection", &token).is_ok());
        assert!(after.verify(b"another", &token).is_err());
        std::fs::write(dir.path().join(FILE), "short").unwrap();
        assert!(ResetKey::open_or_create(dir.path()).is_err());
    }
}
