//! Trust and control: who an agent is, and how it comes in.

pub mod clock;
mod os;
pub mod identity;
pub mod request;
pub mod ca;
pub mod server_certificate;
pub mod verifier;
pub mod tls;
pub mod token;
pub mod bearer;
pub(crate) mod key_file;
pub(crate) mod secret;
pub mod enrol;
pub mod ledger;
pub(crate) mod turned_away;
pub(crate) mod desired;
pub(crate) mod policies;
pub mod observed;
pub mod audit_key;
pub(crate) mod audit;
pub mod export;
