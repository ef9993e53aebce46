//! Both connections of the source, the session and the one that rows and changes come by, are protected and prove who
//! connects as the configuration says.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Result, ensure};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use serde_json::{Value, json};
use towpath_adapter_api::{AdapterError, ErrorKind};
use towpath_adapter_conformance::servers::PostgresServer;
use towpath_record::Position;

use crate::harness::{Database, QUIET, read, shown, start};

const SETTINGS: &[&str] = &[
    "wal_level=logical",
    "ssl=on",
    "ssl_cert_file=../server.crt",
    "ssl_key_file=../server.key",
    "ssl_ca_file=../ca.crt",
    "hba_file=../hba.conf",
];
/// `reader` has no password but a certificate; `towpath` needs both over TLS.
const RULES: &str = "local all all trust\nhostssl all reader 127.0.0.1/32 cert\n\
     hostssl all towpath 127.0.0.1/32 scram-sha-256 clientcert=verify-ca\n\
     hostnossl all towpath 127.0.0.1/32 scram-sha-256\n";

type Authority = CertifiedIssuer<'static, KeyPair>;

fn authority() -> Result<Authority> {
    let mut params = CertificateParams::new(vec![])?;
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    Ok(CertifiedIssuer::self_signed(params, KeyPair::generate()?)?)
}

/// A certificate of a user and its key, as files.
fn certificate(folder: &Path, name: &str, of: &Authority) -> Result<Value> {
    let (key, mut params) = (KeyPair::generate()?, CertificateParams::new(vec![])?);
    params.distinguished_name.push(DnType::CommonName, "reader");
    let (cert_file, key_file) = (folder.join(format!("{name}.crt")), folder.join(format!("{name}.key")));
    std::fs::write(&cert_file, params.signed_by(&key, of)?.pem())?;
    std::fs::write(&key_file, key.serialize_pem())?;
    Ok(json!({ "mode": "require", "ca": folder.join("ca.crt"), "certificate": cert_file, "key": key_file }))
}

async fn refused(config: &Value) -> Result<AdapterError> {
    match start(config, &Position::default())?.next(QUIET).await {
        Ok(emission) => anyhow::bail!("it is not refused: {emission:?}"),
        Err(error) => error.downcast(),
    }
}

#[tokio::test]
async fn a_user_is_known_by_a_certificate_with_or_without_a_password() -> Result<()> {
    let (ours, folder) = (authority()?, tempfile::tempdir()?);
    let key = KeyPair::generate()?;
    let server = CertificateParams::new(vec!["127.0.0.1".to_owned()])?.signed_by(&key, &ours)?.pem();
    std::fs::write(folder.path().join("ca.crt"), ours.pem())?;
    let files = [
        ("server.crt", &*server),
        ("server.key", &*key.serialize_pem()),
        ("ca.crt", &*ours.pem()),
        ("hba.conf", RULES),
    ];
    let server = Arc::new(PostgresServer::start_with(SETTINGS, &files)?);
    let sql =
        "CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (1); CREATE ROLE reader LOGIN REPLICATION;
        GRANT SELECT ON t TO reader; CREATE PUBLICATION shown FOR TABLE t";
    let database = Database::new(&server, "protected", sql).await?;
    let url = server.url("protected").replace("towpath:towpath", "reader");
    let as_reader = |tls: Value| {
        database.config(&json!({ "url": url, "tls": tls, "publication": "shown", "slot": "by_certificate" }))
    };
    let tls = certificate(folder.path(), "good", &ours)?;
    let copied = read(&as_reader(tls.clone()), &Position::default()).await?;
    ensure!(shown(&copied)? == ["read: 1"], "{:?}", shown(&copied)?);
    // With a password, and a certificate of anyone whom the authority knows.
    let both = database.config(&json!({ "tls": tls, "publication": "shown", "slot": "by_both" }));
    ensure!(shown(&read(&both, &Position::default()).await?)? == ["read: 1"]);

    let without = json!({ "mode": "require", "ca": folder.path().join("ca.crt") });
    let error = refused(&as_reader(without)).await?;
    ensure!(error.kind == ErrorKind::Permission && error.message.contains("certificate"), "{error}");
    let other = certificate(folder.path(), "other", &authority()?)?;
    refused(&as_reader(other)).await?;
    let mut swapped = certificate(folder.path(), "swapped", &ours)?;
    swapped["key"] = json!(folder.path().join("good.key"));
    let error = refused(&as_reader(swapped)).await?;
    ensure!(error.kind == ErrorKind::Config && error.message.contains("tls.key"), "{error}");
    Ok(())
}
