//! Free ports on loopback.

use std::net::{Ipv4Addr, TcpListener, UdpSocket};

use anyhow::{Context, Result};

/// A port number that was free for TCP and for UDP a moment ago.
///
/// # Errors
/// None of many tries found one.
pub fn free_port() -> Result<u16> {
    let both = || {
        let tcp = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).ok()?;
        let port = tcp.local_addr().ok()?.port();
        UdpSocket::bind((Ipv4Addr::LOCALHOST, port)).ok().map(|_| port)
    };
    (0..64).find_map(|_| both()).context("no port on 127.0.0.1 is free for both TCP and UDP")
}
