//! Who an agent is: what the CA writes into its certificate, and how a peer's certificate is read.
//!
//! The name is a SPIFFE id, `spiffe://<trust domain>/site/<site>/agent/<agent id>`, the only URI among the
//! certificate's names (<https://github.com/spiffe/spiffe/blob/main/standards/X509-SVID.md>).

use std::fmt;
use std::str::FromStr;
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};
use towpath_record::{AgentId, ResourceName};
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer, X509Certificate};

const SERIAL_BYTES: usize = 16;

/// The name under which one installation of Towpath vouches for its agents, such as `towpath.example.com`.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TrustDomain(String);

/// What a certificate vouches for.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct AgentIdentity {
    /// The agent.
    pub agent: AgentId,
    /// The site it stands at.
    pub site: ResourceName,
}

/// A certificate's number: 16 random bytes, the first between `40` and `7f` so that DER neither pads nor shortens it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Serial([u8; SERIAL_BYTES]);

/// An agent at the other end of a connection, as its certificate names it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PeerIdentity {
    /// The agent.
    pub agent: AgentId,
    /// The site it stands at.
    pub site: ResourceName,
    /// The number of the certificate shown.
    pub serial: Serial,
    /// When that certificate ends.
    pub not_after: SystemTime,
}

/// Why a certificate does not name an agent of ours.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IdentityError {
    /// The bytes are not a certificate.
    #[error("the certificate cannot be read: {0}")]
    Unreadable(String),
    /// There is no URI, or more than one.
    #[error("the certificate has {0} URIs among its names where exactly one must name the agent")]
    NotOneUri(usize),
    /// The URI is of another installation.
    #[error("the certificate names `{uri}`, which is not of trust domain `{expected}`")]
    OtherTrustDomain {
        /// What the certificate says.
        uri: String,
        /// The trust domain of this installation.
        expected: TrustDomain,
    },
    /// The URI is ours but names no agent.
    #[error("the certificate names `{0}`, which is not of the form spiffe://…/site/<site>/agent/<agent id>")]
    NotAnAgent(String),
    /// The serial is not one that our CA gives.
    #[error("the serial `{0}` is not 16 bytes as this CA numbers its certificates")]
    Serial(String),
    /// The text is no trust domain.
    #[error("trust domain `{0}` is not valid: use at most 255 lower-case letters, digits, `.`, `-` and `_`")]
    TrustDomain(String),
}

impl TrustDomain {
    /// Checks the text and takes it as a trust domain.
    ///
    /// # Errors
    /// The text has other characters than SPIFFE allows, or none.
    pub fn new(text: impl Into<String>) -> Result<Self, IdentityError> {
        let text = text.into();
        let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'.' | b'-' | b'_');
        if (1..=255).contains(&text.len()) && text.bytes().all(allowed) {
            Ok(Self(text))
        } else {
            Err(IdentityError::TrustDomain(text))
        }
    }

    /// The domain as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The SPIFFE id of the domain itself, which its CA carries.
    pub(super) fn uri(&self) -> String {
        format!("spiffe://{}", self.0)
    }
}

impl Default for TrustDomain {
    fn default() -> Self {
        Self("towpath.internal".to_owned())
    }
}

impl AgentIdentity {
    /// The SPIFFE id of this agent.
    pub fn uri(&self, domain: &TrustDomain) -> String {
        format!("{}/site/{}/agent/{}", domain.uri(), self.site, self.agent)
    }

    /// Reads a SPIFFE id of this trust domain.
    ///
    /// # Errors
    /// The id is of another domain or does not name an agent.
    pub fn from_uri(uri: &str, domain: &TrustDomain) -> Result<Self, IdentityError> {
        let path =
            uri.strip_prefix(&domain.uri()).and_then(|rest| rest.strip_prefix('/')).ok_or_else(|| {
                IdentityError::OtherTrustDomain { uri: uri.to_owned(), expected: domain.clone() }
            })?;
        let identity = match *path.split('/').collect::<Vec<_>>() {
            ["site", site, "agent", agent] => {
                ResourceName::new(site).ok().zip(agent.parse().ok()).map(|(site, agent)| Self { agent, site })
            }
            _ => None,
        };
        // One agent has one spelling: a UUID in upper case or braces would parse, and name the same agent.
        identity
            .filter(|identity| identity.uri(domain) == uri)
            .ok_or_else(|| IdentityError::NotAnAgent(uri.to_owned()))
    }
}

impl Serial {
    pub(super) fn from_random(mut bytes: [u8; SERIAL_BYTES]) -> Self {
        bytes[0] = (bytes[0] & 0x3f) | 0x40;
        Self(bytes)
    }

    /// The bytes of the number, most significant first.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl PeerIdentity {
    /// Reads who a certificate names. The certificate's signature is not looked at: that is the TLS verifier's work,
    /// which was done before a connection shows its peer's certificate.
    ///
    /// # Errors
    /// The certificate does not name exactly one agent of this trust domain.
    pub fn from_certificate(der: &[u8], domain: &TrustDomain) -> Result<Self, IdentityError> {
        let unreadable = |e: &dyn fmt::Display| IdentityError::Unreadable(e.to_string());
        let (_, certificate) = X509Certificate::from_der(der).map_err(|e| unreadable(&e))?;
        let names = certificate.subject_alternative_name().map_err(|e| unreadable(&e))?;
        let uris: Vec<&str> = names
            .iter()
            .flat_map(|names| &names.value.general_names)
            .filter_map(|name| match name {
                GeneralName::URI(uri) => Some(*uri),
                _ => None,
            })
            .collect();
        let [uri] = *uris else { return Err(IdentityError::NotOneUri(uris.len())) };
        let not_after = u64::try_from(certificate.validity().not_after.timestamp()).unwrap_or(0);
        let AgentIdentity { agent, site } = AgentIdentity::from_uri(uri, domain)?;
        Ok(Self {
            agent,
            site,
            serial: hex::encode(certificate.raw_serial()).parse()?,
            not_after: SystemTime::UNIX_EPOCH + Duration::from_secs(not_after),
        })
    }
}

impl From<PeerIdentity> for AgentIdentity {
    fn from(peer: PeerIdentity) -> Self {
        Self { agent: peer.agent, site: peer.site }
    }
}

impl TryFrom<String> for TrustDomain {
    type Error = IdentityError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        Self::new(text)
    }
}

impl From<TrustDomain> for String {
    fn from(domain: TrustDomain) -> Self {
        domain.0
    }
}

impl fmt::Display for TrustDomain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for Serial {
    type Err = IdentityError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut bytes = [0; SERIAL_BYTES];
        match hex::decode_to_slice(text, &mut bytes) {
            Ok(()) => Ok(Self(bytes)),
            Err(_) => Err(IdentityError::Serial(text.to_owned())),
        }
    }
}

impl TryFrom<String> for Serial {
    type Error = IdentityError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<Serial> for String {
    fn from(serial: Serial) -> Self {
        serial.to_string()
    }
}

impl fmt::Display for Serial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for Serial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Serial({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AGENT: &str = "01890a5d-ac96-774b-bcce-b302099a8057";

    fn read(uri: &str) -> Result<AgentIdentity, IdentityError> {
        AgentIdentity::from_uri(uri, &TrustDomain::default())
    }

    #[test]
    fn an_agent_is_read_back_from_the_uri_it_was_given() {
        let identity =
            AgentIdentity { agent: AGENT.parse().unwrap(), site: ResourceName::new("plant").unwrap() };
        let uri = identity.uri(&TrustDomain::default());
        assert_eq!(uri, format!("spiffe://towpath.internal/site/plant/agent/{AGENT}"));
        assert_eq!(read(&uri).unwrap(), identity);
    }

    #[test]
    fn a_uri_that_is_not_spelled_exactly_as_ours_names_nobody() {
        let foreign = |uri: String| {
            assert!(matches!(read(&uri), Err(IdentityError::OtherTrustDomain { .. })), "{uri}");
        };
        foreign(format!("spiffe://other.example/site/plant/agent/{AGENT}"));
        foreign(format!("spiffe://towpath.internal.example/site/plant/agent/{AGENT}"));
        foreign(format!("https://towpath.internal/site/plant/agent/{AGENT}"));
        for path in [
            String::new(),
            format!("site/plant/agent/{AGENT}/"),
            format!("site/plant/agent/{}", AGENT.to_uppercase()),
            format!("site/plant/agent/{}", AGENT.replace('-', "")),
            format!("site/../agent/{AGENT}"),
            format!("site//agent/{AGENT}"),
            "site/plant/agent/plant-1".to_owned(),
        ] {
            let uri = format!("spiffe://towpath.internal/{path}");
            assert!(matches!(read(&uri), Err(IdentityError::NotAnAgent(_))), "{uri}");
        }
    }

    #[test]
    fn a_trust_domain_cannot_smuggle_a_path() {
        for text in ["", "a/site/x", "Towpath", "a b", "a:443"] {
            assert!(TrustDomain::new(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_serial_survives_its_text_whatever_bytes_were_drawn() {
        for first in 0..=u8::MAX {
            let serial = Serial::from_random([first; 16]);
            assert!((0x40..0x80).contains(&serial.as_bytes()[0]));
            assert_eq!(serial.to_string().parse::<Serial>().unwrap(), serial);
        }
        assert!("00ff".parse::<Serial>().is_err());
    }
}
