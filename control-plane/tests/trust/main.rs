//! Trust: who comes in, who stays out, and what a certificate says.
#![allow(clippy::unwrap_used, reason = "a stage that cannot be set fails the test there")]

mod handshake;
mod link;
mod enrolment;

use std::sync::Arc;
use std::time::SystemTime;

use rcgen::{CertificateParams, KeyPair};
use towpath_control::control::ca::CertificateAuthority;
use towpath_control::control::clock::system_clock;
use towpath_control::control::identity::{AgentIdentity, TrustDomain};
use towpath_control::control::server_certificate::ServerCertificate;
use towpath_record::{AgentId, ResourceName};

/// An installation's CA and the directory that goes away with it.
struct Installation {
    ca: Arc<CertificateAuthority>,
    server: Arc<ServerCertificate>,
    _dir: tempfile::TempDir,
}

impl Installation {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let ca = Arc::new(
            CertificateAuthority::open_or_create(dir.path(), TrustDomain::default(), SystemTime::now())
                .unwrap(),
        );
        let server = Arc::new(ServerCertificate::issue(ca.clone(), &[], system_clock()).unwrap());
        Self { ca, server, _dir: dir }
    }
}

fn plant(agent: u8) -> AgentIdentity {
    AgentIdentity { agent: AgentId::from_bytes([agent; 16]), site: ResourceName::new("plant").unwrap() }
}

fn request(key: &KeyPair) -> Vec<u8> {
    // The names an agent asks for are its wishes, and ignored.
    let wishes = vec!["control.towpath.internal".to_owned()];
    CertificateParams::new(wishes).unwrap().serialize_request(key).unwrap().der().to_vec()
}
