//! Free ports on loopback.

use std::net::{Ipv4Addr, TcpListener, UdpSocket};

use anyhow::{Context, Result};

/// Below the range from which systems take the ports of outgoing connections, so that none of those steps in between
/// the choice of a port and its use.
const RANGE: std::ops::Range<u16> = 20_000..32_000;
const TRIES: usize = 256;

/// A port number that was free for TCP and for UDP a moment ago.
///
/// # Errors
/// None of many tries found one.
pub fn free_port() -> Result<u16> {
    let both = || {
        let port = fastrand::u16(RANGE);
        let _tcp = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).ok()?;
        UdpSocket::bind((Ipv4Addr::LOCALHOST, port)).ok().map(|_| port)
    };
    (0..TRIES).find_map(|_| both()).context("no port on 127.0.0.1 is free for both TCP and UDP")
}
