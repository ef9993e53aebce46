//! Trust and control: how this machine becomes an agent and stays one.

mod os;
mod pem;
pub mod server_address;
pub mod token;
pub mod identity;
pub mod identity_store;
mod pinned;
pub mod enrol;
pub mod credentials;
pub mod renew;

#[cfg(test)]
mod test_authority;
