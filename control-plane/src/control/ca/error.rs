//! Why the CA cannot be used.

use std::io;
use std::path::{Path, PathBuf};

use super::super::identity::TrustDomain;

/// Why the CA cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CaError {
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
    /// The key is gone while its certificate is there.
    #[error(
        "the CA key {} is missing beside its certificate; restore it from the backup, \
         or remove the certificate too and enrol every agent again", path.display()
    )]
    KeyMissing {
        /// Where the key should be.
        path: PathBuf,
    },
    /// A file holds something else than a key or certificate in PEM.
    #[error("{} is damaged: {reason}; restore it from the backup", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The configuration names another trust domain than the certificate.
    #[error(
        "the CA in {} is of another trust domain than `{configured}`; set the trust domain it was made with",
        path.display()
    )]
    OtherTrustDomain {
        /// The certificate.
        path: PathBuf,
        /// The trust domain that the configuration names.
        configured: TrustDomain,
    },
    /// The cryptographic library refused.
    #[error("cannot make {what}")]
    Crypto {
        /// What was to be made.
        what: &'static str,
        /// What it said.
        #[source]
        source: rcgen::Error,
    },
    /// The operating system gives no random bytes.
    #[error("the operating system gives no random bytes")]
    Random(#[source] getrandom::Error),
    /// The TLS library does not take the key.
    #[error("the TLS library does not take the server's key")]
    Tls(#[source] rustls::Error),
}

pub(super) fn io_error(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> CaError {
    let path = path.to_owned();
    move |source| CaError::File { doing, path, source }
}

pub(super) fn crypto_error(what: &'static str) -> impl Fn(rcgen::Error) -> CaError {
    move |source| CaError::Crypto { what, source }
}
