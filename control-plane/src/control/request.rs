//! Requests for a certificate, as agents send them: PKCS#10, signed with the key that is to be certified.

use rcgen::SubjectPublicKeyInfo;
use x509_parser::prelude::{FromDer, X509CertificationRequest};

/// A request for a P-256 key has some 200 bytes; what is much larger is not parsed.
const MAX_REQUEST_BYTES: usize = 8 << 10;

/// A request whose signature proves that its sender holds the private key.
#[derive(Debug)]
pub struct CertificateRequest {
    key: SubjectPublicKeyInfo,
}

/// Why a request for a certificate is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    /// The request is too large to be one.
    #[error("the certificate request has {0} bytes; at most {MAX_REQUEST_BYTES} are allowed")]
    TooLarge(usize),
    /// The bytes are not a PKCS#10 request.
    #[error("the certificate request cannot be read: {0}")]
    Unreadable(String),
    /// The signature is not of the key in the request.
    #[error("the certificate request was changed after it was signed, or its sender does not hold the key")]
    Signature,
    /// The key is of a kind that is not accepted.
    #[error("the certificate request is for another kind of key than ECDSA P-256 or P-384")]
    KeyKind,
}

impl CertificateRequest {
    /// Checks that the bytes are a request for a kind of key we accept, signed by that key. The names it asks for are
    /// not looked at: a certificate says what the CA knows, not what the agent wishes.
    ///
    /// # Errors
    /// [`RequestError`] says what is wrong with the request.
    pub fn from_der(der: &[u8]) -> Result<Self, RequestError> {
        if der.len() > MAX_REQUEST_BYTES {
            return Err(RequestError::TooLarge(der.len()));
        }
        let unreadable = |e: &dyn std::fmt::Display| RequestError::Unreadable(e.to_string());
        let (rest, request) = X509CertificationRequest::from_der(der).map_err(|e| unreadable(&e))?;
        if !rest.is_empty() {
            return Err(unreadable(&"bytes follow its end"));
        }
        let key = SubjectPublicKeyInfo::from_der(request.certification_request_info.subject_pki.raw)
            .map_err(|_| RequestError::KeyKind)?;
        let accepted = [&rcgen::PKCS_ECDSA_P256_SHA256, &rcgen::PKCS_ECDSA_P384_SHA384];
        if !accepted.contains(&rcgen::PublicKeyData::algorithm(&key)) {
            return Err(RequestError::KeyKind);
        }
        request.verify_signature().map_err(|_| RequestError::Signature)?;
        Ok(Self { key })
    }

    pub(super) fn key(&self) -> &SubjectPublicKeyInfo {
        &self.key
    }
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair, PublicKeyData};

    use super::*;

    fn request(key: &KeyPair) -> Vec<u8> {
        let params = CertificateParams::new(vec!["plant".to_owned()]).unwrap();
        params.serialize_request(key).unwrap().der().to_vec()
    }

    #[test]
    fn a_request_is_taken_for_the_key_that_signed_it() {
        let key = KeyPair::generate().unwrap();
        let taken = CertificateRequest::from_der(&request(&key)).unwrap();
        assert_eq!(taken.key().subject_public_key_info(), key.subject_public_key_info());
    }

    #[test]
    fn a_changed_bit_is_refused_in_the_signed_part_and_never_certifies_another_key() {
        let key = KeyPair::generate().unwrap();
        let der = request(&key);
        let signed = X509CertificationRequest::from_der(&der).unwrap().1.certification_request_info.raw;
        let begin = signed.as_ptr() as usize - der.as_ptr() as usize;
        for position in 0..der.len() {
            for bit in 0..8 {
                let mut changed = der.clone();
                changed[position] ^= 1 << bit;
                // The few bits of the outer shell that a lenient parser passes over change nothing.
                if let Ok(taken) = CertificateRequest::from_der(&changed) {
                    assert_eq!(taken.key().subject_public_key_info(), key.subject_public_key_info());
                    assert!(
                        !(begin..begin + signed.len()).contains(&position),
                        "bit {bit} of byte {position}"
                    );
                }
            }
        }
    }

    #[test]
    fn a_request_that_is_cut_short_is_refused_wherever_the_cut_is() {
        let der = request(&KeyPair::generate().unwrap());
        for end in 0..der.len() {
            assert!(CertificateRequest::from_der(&der[..end]).is_err(), "cut at {end}");
        }
    }

    #[test]
    fn a_request_for_a_key_that_its_sender_does_not_hold_is_refused() {
        let (own, other) = (KeyPair::generate().unwrap(), KeyPair::generate().unwrap());
        let mut der = request(&own);
        let own_key = own.public_key_raw();
        let at = der.windows(own_key.len()).position(|window| window == own_key).unwrap();
        der[at..at + own_key.len()].copy_from_slice(other.public_key_raw());
        assert_eq!(CertificateRequest::from_der(&der).unwrap_err(), RequestError::Signature);
    }

    #[test]
    fn weak_oversized_and_trailing_requests_are_refused() {
        let ed25519 = KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap();
        assert_eq!(CertificateRequest::from_der(&request(&ed25519)).unwrap_err(), RequestError::KeyKind);
        let oversized = vec![0x30; MAX_REQUEST_BYTES + 1];
        assert!(matches!(CertificateRequest::from_der(&oversized), Err(RequestError::TooLarge(_))));
        let mut trailing = request(&KeyPair::generate().unwrap());
        trailing.push(0);
        assert!(CertificateRequest::from_der(&trailing).unwrap_err().to_string().contains("follow its end"));
    }
}
