//! A CA for tests, which signs what the control plane would and what it would not.

use std::time::{Duration, SystemTime};

use rcgen::{
    BasicConstraints, CertificateParams, CertificateSigningRequestParams, CertifiedIssuer, DnType,
    ExtendedKeyUsagePurpose, IsCa, KeyPair, KeyUsagePurpose, SanType,
};
use rustls_pki_types::{CertificateDer, CertificateSigningRequestDer};
use towpath_record::{AgentId, ResourceName};

use super::identity::{Enrolment, Identity, new_key};

pub(super) const LIFE: Duration = Duration::from_secs(24 * 60 * 60);

pub(crate) struct TestAuthority {
    issuer: CertifiedIssuer<'static, KeyPair>,
}

impl TestAuthority {
    pub(crate) fn new() -> Self {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, "test CA");
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        Self { issuer: CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap() }
    }

    pub(super) fn certificate(&self) -> CertificateDer<'static> {
        self.issuer.der().clone()
    }

    pub(super) fn sign(&self, csr: &[u8], agent: u8, from: SystemTime) -> Vec<CertificateDer<'static>> {
        self.sign_at_site(csr, agent, "plant", from)
    }

    pub(super) fn sign_at_site(
        &self,
        csr: &[u8],
        agent: u8,
        site: &str,
        from: SystemTime,
    ) -> Vec<CertificateDer<'static>> {
        let request =
            CertificateSigningRequestParams::from_der(&CertificateSigningRequestDer::from(csr)).unwrap();
        let agent = AgentId::from_bytes([agent; 16]);
        let uri = format!("spiffe://towpath.internal/site/{site}/agent/{agent}");
        let mut params = CertificateParams::default();
        params.subject_alt_names = vec![SanType::URI(uri.try_into().unwrap())];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        params.not_before = from.into();
        params.not_after = (from + LIFE).into();
        vec![params.signed_by(&request.public_key, &self.issuer).unwrap().into()]
    }

    pub(super) fn server(&self, name: &str) -> (Vec<CertificateDer<'static>>, KeyPair) {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        let leaf = params.signed_by(&key, &self.issuer).unwrap();
        (vec![leaf.into(), self.certificate()], key)
    }

    pub(crate) fn identity(&self, agent: u8) -> Identity {
        self.identity_at(agent, "127.0.0.1")
    }

    /// The identity of an agent of the control plane at this address.
    pub(crate) fn identity_at(&self, agent: u8, server: &str) -> Identity {
        let (key, csr) = new_key().unwrap();
        let enrolment = Enrolment {
            agent: AgentId::from_bytes([agent; 16]),
            name: ResourceName::new("press-7").unwrap(),
            trust_domain: "towpath.internal".to_owned(),
            server: server.parse().unwrap(),
        };
        Identity::new(enrolment, self.certificate(), self.sign(&csr, agent, SystemTime::now()), key).unwrap()
    }
}
