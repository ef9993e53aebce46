//! The connection is protected as the configuration says.

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use serde_json::{Value, json};
use towpath_adapter_api::{AdapterError, RouteKey};
use towpath_adapter_conformance::servers::PostgresServer;
use towpath_record::RouteId;

use crate::factory;

const SETTINGS: &[&str] = &["ssl=on", "ssl_cert_file=../server.crt", "ssl_key_file=../server.key"];

fn authority() -> CertifiedIssuer<'static, KeyPair> {
    let mut params = CertificateParams::new(vec![]).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

async fn open(server: &PostgresServer, tls: Value) -> Result<(), AdapterError> {
    let config = json!({ "url": server.url("postgres"), "tls": tls });
    let route = RouteKey { route: RouteId::from_bytes([1; 16]), replay: 0 };
    (factory().build)(&config)?.open(&route).await.map(drop)
}

#[tokio::test]
async fn a_certificate_counts_only_if_a_named_authority_signed_it() {
    let (ours, other) = (authority(), authority());
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
    let certificate = params.signed_by(&key, &ours).unwrap().pem();
    let files = [("server.crt", &*certificate), ("server.key", &*key.serialize_pem())];
    let server = PostgresServer::start_with(SETTINGS, &files).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let (good, bad) = (folder.path().join("ours.pem"), folder.path().join("other.pem"));
    std::fs::write(&good, ours.pem()).unwrap();
    std::fs::write(&bad, other.pem()).unwrap();

    for mode in ["require", "prefer"] {
        open(&server, json!({ "mode": mode, "ca": good })).await.unwrap();
        let refused = open(&server, json!({ "mode": mode, "ca": bad })).await.unwrap_err();
        assert!(refused.message.contains("certificate"), "{refused}");
    }
    open(&server, json!({ "mode": "disable" })).await.unwrap();
    // The certificate of a client is read, and shown to a server that asks for none.
    let (cert, secret) = (folder.path().join("client.pem"), folder.path().join("client.key"));
    std::fs::write(&cert, &certificate).unwrap();
    std::fs::write(&secret, key.serialize_pem()).unwrap();
    let tls = json!({ "mode": "require", "ca": good, "certificate": cert, "key": secret });
    open(&server, tls).await.unwrap();
    let tls = json!({ "mode": "require", "ca": good, "certificate": good, "key": secret });
    let foreign = open(&server, tls).await.unwrap_err();
    assert!(foreign.message.contains("tls.key"), "{foreign}");
    let missing = open(&server, json!({ "ca": folder.path().join("absent.pem") })).await.unwrap_err();
    assert!(missing.message.contains("tls.ca"), "{missing}");
}

#[tokio::test]
async fn a_server_without_tls_is_refused_where_tls_is_required() {
    let server = PostgresServer::start().unwrap();
    assert!(open(&server, json!({ "mode": "require" })).await.is_err());
    open(&server, json!({ "mode": "prefer" })).await.unwrap();
}
