//! A TLS handshake between two configurations, in memory.

use std::sync::Arc;

use rcgen::KeyPair;
use rustls::client::Resumption;
use rustls::crypto::aws_lc_rs;
use rustls::{
    ClientConfig, ClientConnection, ConnectionCommon, RootCertStore, ServerConfig, ServerConnection,
};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName};
use towpath_control::control::server_certificate::SERVER_NAME;

/// Shakes hands and exchanges a few bytes, so that everything a server says after the handshake is heard.
pub(crate) fn shake(
    server: &Arc<ServerConfig>,
    client: &Arc<ClientConfig>,
) -> Result<(ServerConnection, ClientConnection), rustls::Error> {
    let mut server = ServerConnection::new(server.clone())?;
    let name = ServerName::try_from(SERVER_NAME).unwrap();
    let mut client = ClientConnection::new(client.clone(), name)?;
    while client.is_handshaking() || server.is_handshaking() || client.wants_write() || server.wants_write() {
        carry(&mut client, &mut server)?;
        carry(&mut server, &mut client)?;
    }
    Ok((server, client))
}

/// A client that trusts `ca` and shows `chain`.
pub(crate) fn client(
    ca: &CertificateDer<'static>,
    chain: &[CertificateDer<'static>],
    key: &KeyPair,
) -> ClientConfig {
    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let mut config = builder(ca).with_client_auth_cert(chain.to_vec(), key).unwrap();
    config.resumption = Resumption::in_memory_sessions(8);
    config
}

/// A client that trusts `ca` and shows nothing.
pub(crate) fn stranger(ca: &CertificateDer<'static>) -> ClientConfig {
    builder(ca).with_no_client_auth()
}

fn builder(
    ca: &CertificateDer<'static>,
) -> rustls::ConfigBuilder<ClientConfig, rustls::client::WantsClientCert> {
    let mut roots = RootCertStore::empty();
    roots.add(ca.clone()).unwrap();
    ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_protocol_versions(rustls::ALL_VERSIONS)
        .unwrap()
        .with_root_certificates(roots)
}

fn carry<A, B>(from: &mut ConnectionCommon<A>, to: &mut ConnectionCommon<B>) -> Result<(), rustls::Error> {
    let mut wire = Vec::new();
    while from.wants_write() {
        from.write_tls(&mut wire).unwrap();
    }
    let mut unread = &wire[..];
    while !unread.is_empty() {
        to.read_tls(&mut unread).unwrap();
        to.process_new_packets()?;
    }
    Ok(())
}
