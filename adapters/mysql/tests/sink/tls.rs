//! The connection is protected as the configuration says.

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use serde_json::{Value, json};
use towpath_adapter_api::{AdapterError, RouteKey};
use towpath_adapter_conformance::servers::MariaDbServer;
use towpath_record::RouteId;

use crate::{connect, factory};

const SETTINGS: &[&str] = &["ssl-cert=../server.crt", "ssl-key=../server.key", "ssl-ca=../ours.pem"];

fn authority() -> CertifiedIssuer<'static, KeyPair> {
    let mut params = CertificateParams::new(vec![]).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

/// A certificate for a name, and its key.
fn certificate(name: &str, authority: &CertifiedIssuer<'static, KeyPair>) -> (String, String) {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
    // OpenSSL takes a certificate that is named as its authority for one that signed itself.
    params.distinguished_name.push(DnType::CommonName, name);
    (params.signed_by(&key, authority).unwrap().pem(), key.serialize_pem())
}

async fn open(url: String, tls: Value) -> Result<(), AdapterError> {
    let route = RouteKey { route: RouteId::from_bytes([1; 16]), replay: 0 };
    (factory().build)(&json!({ "url": url, "tls": tls }))?.open(&route).await.map(drop)
}

#[tokio::test]
async fn a_certificate_counts_only_if_a_named_authority_signed_it_for_this_server() {
    let (ours, other) = (authority(), authority());
    let (crt, key) = certificate("127.0.0.1", &ours);
    let files = [("server.crt", &*crt), ("server.key", &*key), ("ours.pem", &*ours.pem())];
    let server = MariaDbServer::start_with(SETTINGS, &files).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let (good, bad) = (folder.path().join("ours.pem"), folder.path().join("other.pem"));
    std::fs::write(&good, ours.pem()).unwrap();
    std::fs::write(&bad, other.pem()).unwrap();

    let url = server.url("towpath");
    for mode in ["require", "prefer"] {
        open(url.clone(), json!({ "mode": mode, "ca": good })).await.unwrap();
        let refused = open(url.clone(), json!({ "mode": mode, "ca": bad })).await.unwrap_err();
        assert!(refused.message.contains("certificate"), "{refused}");
        let elsewhere = url.replace("127.0.0.1", "localhost");
        let refused = open(elsewhere, json!({ "mode": mode, "ca": good })).await.unwrap_err();
        assert!(refused.message.contains("not valid for name"), "{refused}");
    }
    open(url.clone(), json!({ "mode": "disable" })).await.unwrap();
    let missing = open(url.clone(), json!({ "ca": folder.path().join("absent.pem") })).await.unwrap_err();
    assert!(missing.message.contains("tls.ca"), "{missing}");

    // A user that must show a certificate is let in with one and refused without.
    let mut admin = connect(&server, "towpath").await.unwrap();
    let require = "CREATE USER safe@127.0.0.1 IDENTIFIED BY 'safe' REQUIRE X509";
    mysql_async::prelude::Queryable::query_drop(&mut admin, require).await.unwrap();
    let grant = "GRANT ALL ON towpath.* TO safe@127.0.0.1";
    mysql_async::prelude::Queryable::query_drop(&mut admin, grant).await.unwrap();
    let (crt, key) = certificate("agent", &ours);
    let (crt_path, key_path) = (folder.path().join("agent.crt"), folder.path().join("agent.key"));
    std::fs::write(&crt_path, crt).unwrap();
    std::fs::write(&key_path, key).unwrap();
    let safe = url.replace("towpath:towpath@", "safe:safe@");
    let shown = json!({ "mode": "require", "ca": good, "certificate": crt_path, "key": key_path });
    open(safe.clone(), shown).await.unwrap();
    open(safe, json!({ "mode": "require", "ca": good })).await.unwrap_err();
}

#[tokio::test]
async fn a_server_without_tls_is_refused_where_tls_is_required() {
    let server = MariaDbServer::start_with(&["skip-ssl"], &[]).unwrap();
    let refused = open(server.url("towpath"), json!({ "mode": "require" })).await.unwrap_err();
    assert!(refused.message.contains("no TLS"), "{refused}");
    open(server.url("towpath"), json!({ "mode": "prefer" })).await.unwrap();
}
