//! Who may hold a link.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use rcgen::{CertificateParams, ExtendedKeyUsagePurpose, Issuer, KeyPair, SanType};
use rustls::crypto::aws_lc_rs;
use rustls::server::danger::ClientCertVerifier;
use rustls::{CertificateError, Error, HandshakeKind};
use rustls_pki_types::{CertificateDer, UnixTime};
use towpath_control::control::ca::{AGENT_CERTIFICATE_LIFE, AgentCertificate, CertificateAuthority};
use towpath_control::control::identity::PeerIdentity;
use towpath_control::control::request::CertificateRequest;
use towpath_control::control::tls::{https_tls, server_tls};
use towpath_control::control::verifier::{AgentVerifier, Revocations, Revoked};

use crate::handshake::{client, shake, stranger};
use crate::{Installation, plant, request};

fn certify(ca: &CertificateAuthority, key: &KeyPair, agent: u8) -> AgentCertificate {
    let request = CertificateRequest::from_der(&request(key)).unwrap();
    ca.sign_agent(&request, &plant(agent), AGENT_CERTIFICATE_LIFE, SystemTime::now()).unwrap()
}

fn verifier(ca: &CertificateAuthority, revocations: &Revocations) -> AgentVerifier {
    AgentVerifier::new(ca, revocations.clone(), Arc::new(aws_lc_rs::default_provider())).unwrap()
}

fn verify(verifier: &AgentVerifier, certificate: &CertificateDer<'_>, at: SystemTime) -> Result<(), Error> {
    let now = UnixTime::since_unix_epoch(at.duration_since(SystemTime::UNIX_EPOCH).unwrap());
    verifier.verify_client_cert(certificate, &[], now).map(|_| ())
}

/// Signs with the installation's own CA key what its code would never sign.
fn rogue(
    installation: &Installation,
    uris: &[&str],
    usage: ExtendedKeyUsagePurpose,
) -> CertificateDer<'static> {
    let pem = std::fs::read_to_string(installation._dir.path().join("ca.key.pem")).unwrap();
    let ca_key = KeyPair::from_pem(&pem).unwrap();
    let issuer = Issuer::from_ca_cert_der(installation.ca.certificate(), ca_key).unwrap();
    let mut params = CertificateParams::new(vec!["plant.example".to_owned()]).unwrap();
    params.subject_alt_names.extend(uris.iter().map(|uri| SanType::URI((*uri).try_into().unwrap())));
    params.extended_key_usages = vec![usage];
    params.signed_by(&KeyPair::generate().unwrap(), &issuer).unwrap().into()
}

#[test]
fn an_agent_with_our_certificate_is_let_in_and_known_by_name() {
    let installation = Installation::new();
    let (key, ca) = (KeyPair::generate().unwrap(), &installation.ca);
    let certificate = certify(ca, &key, 1);
    let server = server_tls(ca, installation.server.clone(), Revocations::default()).unwrap();
    let mut config = client(ca.certificate(), std::slice::from_ref(&certificate.der), &key);
    config.alpn_protocols = vec![b"towpath/1".to_vec()];

    let (server, _client) = shake(&Arc::new(server), &Arc::new(config)).unwrap();

    let shown = &server.peer_certificates().unwrap()[0];
    let peer = PeerIdentity::from_certificate(shown, ca.trust_domain()).unwrap();
    assert_eq!(
        peer,
        PeerIdentity {
            agent: plant(1).agent,
            site: plant(1).site,
            serial: certificate.serial,
            not_after: certificate.not_after
        }
    );
    assert_eq!(server.alpn_protocol(), Some(&b"towpath/1"[..]));
    assert_eq!(server.protocol_version(), Some(rustls::ProtocolVersion::TLSv1_3));
}

#[test]
fn a_stranger_without_a_certificate_may_use_https_but_not_the_link() {
    let installation = Installation::new();
    let ca = &installation.ca;
    let link = server_tls(ca, installation.server.clone(), Revocations::default()).unwrap();
    let https = https_tls(installation.server.clone()).unwrap();
    let stranger = Arc::new(stranger(ca.certificate()));
    assert_eq!(shake(&Arc::new(link), &stranger).unwrap_err(), Error::NoCertificatesPresented);
    let (_, client) = shake(&Arc::new(https), &stranger).unwrap();
    // The CA travels along, for those who know only its hash.
    assert_eq!(client.peer_certificates().unwrap().last().unwrap(), ca.certificate());
}

#[test]
fn a_forged_ca_of_the_same_name_opens_nothing() {
    let (real, forged) = (Installation::new(), Installation::new());
    let key = KeyPair::generate().unwrap();
    let certificate = certify(&forged.ca, &key, 1);
    let server = Arc::new(server_tls(&real.ca, real.server.clone(), Revocations::default()).unwrap());
    let chain = [certificate.der.clone(), forged.ca.certificate().clone()];
    let intruder = Arc::new(client(real.ca.certificate(), &chain, &key));
    let error = shake(&server, &intruder).unwrap_err();
    assert!(matches!(error, Error::InvalidCertificate(_)), "{error:?}");
    // And the other way round: an agent of the real installation does not talk to the forged server.
    let forged_server = Arc::new(https_tls(forged.server.clone()).unwrap());
    let agent = Arc::new(stranger(real.ca.certificate()));
    let error = shake(&forged_server, &agent).unwrap_err();
    assert!(matches!(error, Error::InvalidCertificate(_)), "{error:?}");
}

#[test]
fn a_certificate_counts_from_five_minutes_before_it_was_signed_until_its_end() {
    let installation = Installation::new();
    let verifier = verifier(&installation.ca, &Revocations::default());
    let now = SystemTime::now();
    let certificate = certify(&installation.ca, &KeyPair::generate().unwrap(), 1);
    let minutes = |n: u64| Duration::from_secs(60 * n);
    assert_eq!(verify(&verifier, &certificate.der, now - minutes(4)), Ok(()));
    assert_eq!(verify(&verifier, &certificate.der, now + AGENT_CERTIFICATE_LIFE - minutes(1)), Ok(()));
    for (at, fault) in
        [(now - minutes(6), "NotValidYet"), (now + AGENT_CERTIFICATE_LIFE + minutes(1), "Expired")]
    {
        let error = verify(&verifier, &certificate.der, at).unwrap_err();
        assert!(format!("{error:?}").contains(fault), "{error:?}");
    }
}

#[test]
fn a_certificate_of_our_ca_that_names_no_agent_or_serves_another_use_is_refused() {
    let installation = Installation::new();
    let verifier = verifier(&installation.ca, &Revocations::default());
    let agent = plant(1).uri(installation.ca.trust_domain());
    let other = plant(2).uri(installation.ca.trust_domain());
    let refused = |uris: &[&str], usage, reason: &str| {
        let error = verify(&verifier, &rogue(&installation, uris, usage), SystemTime::now()).unwrap_err();
        assert!(format!("{error:?}").contains(reason), "{uris:?}: {error:?}");
    };
    refused(&[], ExtendedKeyUsagePurpose::ClientAuth, "NotOneUri(0)");
    refused(&[&agent, &other], ExtendedKeyUsagePurpose::ClientAuth, "NotOneUri(2)");
    refused(&["spiffe://elsewhere/site/a/agent/b"], ExtendedKeyUsagePurpose::ClientAuth, "OtherTrustDomain");
    refused(&["spiffe://towpath.internal/admin"], ExtendedKeyUsagePurpose::ClientAuth, "NotAnAgent");
    refused(&[&agent], ExtendedKeyUsagePurpose::ServerAuth, "InvalidPurpose");
}

#[test]
fn an_agent_cannot_pose_as_the_control_plane() {
    let installation = Installation::new();
    let key = KeyPair::generate().unwrap();
    let certificate = certify(&installation.ca, &key, 1);
    let private = rustls_pki_types::PrivatePkcs8KeyDer::from(key.serialize_der()).into();
    let posing = rustls::ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der], private)
        .unwrap();
    let error = shake(&Arc::new(posing), &Arc::new(stranger(installation.ca.certificate()))).unwrap_err();
    assert!(matches!(error, Error::InvalidCertificate(_)), "{error:?}");
}

#[test]
fn a_revoked_agent_is_refused_at_once_and_cannot_resume_its_way_back() {
    let installation = Installation::new();
    let (key, ca) = (KeyPair::generate().unwrap(), &installation.ca);
    let certificate = certify(ca, &key, 1);
    let revocations = Revocations::default();
    let server = Arc::new(server_tls(ca, installation.server.clone(), revocations.clone()).unwrap());
    // One client configuration throughout: it would remember a session ticket if it were given one.
    let agent = Arc::new(client(ca.certificate(), std::slice::from_ref(&certificate.der), &key));
    shake(&server, &agent).unwrap();
    let (again, _) = shake(&server, &agent).unwrap();
    assert_eq!(again.handshake_kind(), Some(HandshakeKind::Full));

    revocations.revoke_agent(plant(1).agent);

    assert_eq!(shake(&server, &agent).unwrap_err(), CertificateError::Revoked.into());
    let renewed = certify(ca, &key, 1);
    let agent_renewed = Arc::new(client(ca.certificate(), &[renewed.der], &key));
    assert_eq!(shake(&server, &agent_renewed).unwrap_err(), CertificateError::Revoked.into());
    let other = certify(ca, &key, 2);
    shake(&server, &Arc::new(client(ca.certificate(), &[other.der], &key))).unwrap();
}

#[test]
fn a_single_certificate_can_be_revoked_and_a_list_replaced() {
    let installation = Installation::new();
    let revocations = Revocations::default();
    let verifier = verifier(&installation.ca, &revocations);
    let key = KeyPair::generate().unwrap();
    let (stolen, good) = (certify(&installation.ca, &key, 1), certify(&installation.ca, &key, 1));
    revocations.revoke_certificate(stolen.serial);
    let now = SystemTime::now();
    assert_eq!(verify(&verifier, &stolen.der, now), Err(CertificateError::Revoked.into()));
    assert_eq!(verify(&verifier, &good.der, now), Ok(()));
    revocations.replace(Revoked::default());
    assert_eq!(verify(&verifier, &stolen.der, now), Ok(()));
}

#[test]
fn a_peer_that_offers_only_tls_1_2_is_turned_away() {
    let installation = Installation::new();
    let server = https_tls(installation.server.clone()).unwrap();
    let mut roots = rustls::RootCertStore::empty();
    roots.add(installation.ca.certificate().clone()).unwrap();
    let old = rustls::ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_protocol_versions(&[&rustls::version::TLS12])
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let error = shake(&Arc::new(server), &Arc::new(old)).unwrap_err();
    assert!(matches!(error, Error::PeerIncompatible(_)), "{error:?}");
}
