//! Where the control plane is.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The port of a control plane that was not told another, on TCP for HTTPS and on UDP for the link.
pub const DEFAULT_PORT: u16 = 7443;

/// A host name or address, and a port: `control.example.com`, `10.0.0.7:7443`, `[fd00::7]:7443`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ServerAddress {
    host: String,
    port: u16,
}

/// Why a text is not an address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not the address of a control plane: {reason}; write HOST or HOST:PORT")]
pub struct AddressError {
    text: String,
    reason: &'static str,
}

impl ServerAddress {
    /// The host name or IP address, without brackets.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port, the same on TCP and UDP.
    pub fn port(&self) -> u16 {
        self.port
    }
}

impl FromStr for ServerAddress {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let fault = |reason| AddressError { text: text.to_owned(), reason };
        if text.contains("://") || text.contains('/') {
            return Err(fault("it is a URL"));
        }
        let (host, port) = match text.strip_prefix('[') {
            Some(rest) => {
                let (host, rest) = rest.split_once(']').ok_or_else(|| fault("a `]` is missing"))?;
                host.parse::<std::net::Ipv6Addr>()
                    .map_err(|_| fault("what is in brackets is no IPv6 address"))?;
                (host, (!rest.is_empty()).then_some(rest.strip_prefix(':').unwrap_or("")))
            }
            // More than one colon outside of brackets is an IPv6 address without port.
            None if text.parse::<std::net::Ipv6Addr>().is_ok() => (text, None),
            None => match text.split_once(':') {
                Some((host, port)) => (host, Some(port)),
                None => (text, None),
            },
        };
        if host.is_empty() {
            return Err(fault("the host is missing"));
        }
        let port = match port.map(str::parse) {
            None => DEFAULT_PORT,
            Some(Ok(port)) if port != 0 => port,
            Some(_) => return Err(fault("the port is not a number from 1 to 65535")),
        };
        Ok(Self { host: host.to_owned(), port })
    }
}

impl fmt::Display for ServerAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.host.contains(':') {
            true => write!(f, "[{}]:{}", self.host, self.port),
            false => write!(f, "{}:{}", self.host, self.port),
        }
    }
}

impl TryFrom<String> for ServerAddress {
    type Error = AddressError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<ServerAddress> for String {
    fn from(address: ServerAddress) -> Self {
        address.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_read_in_every_usual_spelling_and_written_in_one() {
        for (text, written) in [
            ("control.example.com", "control.example.com:7443"),
            ("control.example.com:443", "control.example.com:443"),
            ("10.0.0.7", "10.0.0.7:7443"),
            ("fd00::7", "[fd00::7]:7443"),
            ("[fd00::7]", "[fd00::7]:7443"),
            ("[fd00::7]:443", "[fd00::7]:443"),
        ] {
            let address: ServerAddress = text.parse().unwrap();
            assert_eq!(address.to_string(), written);
            assert_eq!(address.to_string().parse::<ServerAddress>().unwrap(), address);
        }
    }

    #[test]
    fn what_is_no_address_is_refused_with_the_reason() {
        for (text, reason) in [
            ("https://control", "URL"),
            ("control:", "port"),
            ("control:0", "port"),
            ("control:65536", "port"),
            (":7443", "host"),
            ("[fd00::7", "]"),
            ("[control]:7443", "IPv6"),
            ("[fd00::7]x", "port"),
        ] {
            let error = text.parse::<ServerAddress>().unwrap_err().to_string();
            assert!(error.contains(reason), "{text}: {error}");
        }
    }
}
