//! Certificates for peers and for bare quinn: a CA and two leaves, made anew in each run.

use std::path::{Path, PathBuf};

use anyhow::Result;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};

/// The files of one side.
#[derive(Clone, Debug)]
pub(crate) struct Side {
    pub(crate) name: String,
    pub(crate) certificate: PathBuf,
    pub(crate) key: PathBuf,
    pub(crate) ca: PathBuf,
}

/// Makes a CA and a certificate for each name, all as PEM files in `folder`.
pub(crate) fn make(folder: &Path, names: [&str; 2]) -> Result<[Side; 2]> {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.distinguished_name.push(DnType::CommonName, "bench CA");
    let ca = CertifiedIssuer::self_signed(params, KeyPair::generate()?)?;
    let ca_file = folder.join("ca.pem");
    std::fs::write(&ca_file, ca.pem())?;
    let side = |name: &str| -> Result<Side> {
        let key = KeyPair::generate()?;
        let mut params = CertificateParams::new([name.to_owned(), "127.0.0.1".to_owned()])?;
        params.distinguished_name.push(DnType::CommonName, name);
        let certificate = params.signed_by(&key, &ca)?;
        let of = |ending: &str| folder.join(format!("{name}.{ending}"));
        std::fs::write(of("pem"), certificate.pem())?;
        std::fs::write(of("key"), key.serialize_pem())?;
        Ok(Side { name: name.to_owned(), certificate: of("pem"), key: of("key"), ca: ca_file.clone() })
    };
    Ok([side(names[0])?, side(names[1])?])
}
