//! Trust and control: how this machine becomes an agent and stays one.

mod pem;
pub mod server_address;
pub mod token;
pub mod identity;
pub mod identity_store;
mod pinned;
pub mod enrol;
pub mod credentials;
pub mod renew;
pub(crate) mod ledger;
pub(crate) mod secrets;
pub(crate) mod status;
pub(crate) mod reconcile;
pub(crate) mod questions;

#[cfg(test)]
pub(crate) mod test_authority;
