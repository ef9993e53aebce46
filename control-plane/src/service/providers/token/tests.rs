//! Tokens that are forged, foreign or out of time.

use jsonwebtoken::{EncodingKey, encode};
use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_ED25519, PublicKeyData};
use serde_json::json;

use super::*;

const ISSUER: &str = "https://login.example.com";

/// A provider with one key, and what it signs.
struct Signer {
    pair: KeyPair,
    keys: JwkSet,
}

impl Signer {
    fn new() -> Self {
        let pair = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap();
        let keys = keys_of(&pair, json!({ "use": "sig", "alg": "ES256" }));
        Self { pair, keys }
    }

    fn header(&self) -> Header {
        Header { kid: Some("one".to_owned()), ..Header::new(Algorithm::ES256) }
    }

    fn sign_as(&self, header: &Header, claims: &Value) -> String {
        encode(header, claims, &EncodingKey::from_ec_der(&self.pair.serialize_der())).unwrap()
    }

    fn sign(&self, change: Value) -> String {
        self.sign_as(&self.header(), &claims(change))
    }

    fn check(&self, token: &str) -> Result<Claims, TokenFault> {
        check(token, &spec(), &self.keys, None, Timestamp::now())
    }
}

fn keys_of(pair: &KeyPair, more: Value) -> JwkSet {
    // An uncompressed point: 4, then x, then y.
    let point = pair.der_bytes();
    let text = |bytes| URL_SAFE_NO_PAD.encode(bytes);
    let mut key = json!({ "kty": "EC", "crv": "P-256", "kid": "one", "x": text(&point[1..33]), "y": text(&point[33..]) });
    key.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    serde_json::from_value(json!({ "keys": [key] })).unwrap()
}

fn spec() -> IdentityProviderSpec {
    serde_json::from_value(json!({ "issuer": ISSUER, "client_id": "towpath" })).unwrap()
}

fn now() -> i64 {
    Timestamp::now().as_second()
}

/// Good claims with some changed, or left out where the change is null.
fn claims(change: Value) -> Value {
    let mut claims = json!({
        "iss": ISSUER, "aud": "towpath", "sub": "4711", "email": "ada@example.com", "groups": ["ops"],
        "iat": now(), "exp": now() + 600,
    });
    for (claim, value) in change.as_object().unwrap() {
        claims[claim] = value.clone();
    }
    claims.as_object_mut().unwrap().retain(|_, value| !value.is_null());
    claims
}

#[test]
fn a_good_token_says_who_someone_is_and_to_which_groups_they_belong() {
    let signer = Signer::new();
    let token = signer.sign(json!({}));
    assert_eq!(claimed_issuer(&token).as_deref(), Some(ISSUER));
    let (subject, name) = ("4711".to_owned(), Some("ada@example.com".to_owned()));
    assert_eq!(signer.check(&token), Ok(Claims { subject, name, groups: vec!["ops".to_owned()] }));
    let many = signer.sign(json!({ "aud": ["other", "towpath"], "groups": "ops", "email": null }));
    assert_eq!(signer.check(&many).unwrap().groups, ["ops"]);
}

#[test]
fn a_token_out_of_its_time_or_for_others_is_refused() {
    let signer = Signer::new();
    let refused = |change| signer.check(&signer.sign(change)).unwrap_err();
    assert_eq!(refused(json!({ "exp": now() - 120 })), TokenFault::Expired);
    assert!(
        signer.check(&signer.sign(json!({ "exp": now() - 30 }))).is_ok(),
        "clocks may differ by a minute"
    );
    assert_eq!(refused(json!({ "nbf": now() + 120 })), TokenFault::NotYet);
    assert_eq!(refused(json!({ "iat": now() + 120 })), TokenFault::NotYet);
    assert_eq!(refused(json!({ "aud": "another" })), TokenFault::Audience);
    assert_eq!(refused(json!({ "aud": null })), TokenFault::Lacks("aud".to_owned()));
    assert_eq!(refused(json!({ "exp": null })), TokenFault::Lacks("exp".to_owned()));
    assert_eq!(refused(json!({ "sub": null })), TokenFault::Lacks("sub".to_owned()));
    assert_eq!(refused(json!({ "sub": "" })), TokenFault::Lacks("sub".to_owned()));
    assert_eq!(refused(json!({ "iss": "https://evil.example.com" })), TokenFault::Form);
}

#[test]
fn a_token_is_taken_no_longer_than_the_configuration_says() {
    let signer = Signer::new();
    let hour = Some(Duration::from_secs(3_600));
    let old = signer.sign(json!({ "iat": now() - 4_000 }));
    assert_eq!(check(&old, &spec(), &signer.keys, hour, Timestamp::now()), Err(TokenFault::TooOld));
    assert!(signer.check(&old).is_ok());
    let undated = signer.sign(json!({ "iat": null }));
    let lacks = Err(TokenFault::Lacks("iat".to_owned()));
    assert_eq!(check(&undated, &spec(), &signer.keys, hour, Timestamp::now()), lacks);
}

#[test]
fn a_token_without_signature_or_with_one_by_a_shared_key_is_refused() {
    let signer = Signer::new();
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let body = part(&claims(json!({})));
    for alg in ["none", "None", "NONE", "nOnE"] {
        for signature in ["", "AAAA"] {
            let token =
                format!("{}.{body}.{signature}", part(&json!({ "alg": alg, "typ": "JWT", "kid": "one" })));
            assert_eq!(signer.check(&token), Err(TokenFault::Form), "{alg}");
        }
    }
    // The public key, in each of its forms, as if it were a secret that both sides share.
    let public = signer.pair.public_key_pem();
    for secret in [public.as_bytes(), public.trim().as_bytes(), signer.pair.der_bytes()] {
        let header = Header { kid: Some("one".to_owned()), ..Header::new(Algorithm::HS256) };
        let token = encode(&header, &claims(json!({})), &EncodingKey::from_secret(secret)).unwrap();
        assert_eq!(signer.check(&token), Err(TokenFault::Form));
    }
}

#[test]
fn a_key_that_the_provider_does_not_publish_for_this_signs_nothing() {
    let (signer, other) = (Signer::new(), Signer::new());
    assert_eq!(signer.check(&other.sign(json!({}))), Err(TokenFault::Signature));
    let unknown = Header { kid: Some("two".to_owned()), ..signer.header() };
    assert_eq!(signer.check(&signer.sign_as(&unknown, &claims(json!({})))), Err(TokenFault::UnknownKey));
    let nameless = Header { kid: None, ..signer.header() };
    assert!(signer.check(&signer.sign_as(&nameless, &claims(json!({})))).is_ok(), "there is no choice");
    let token = signer.sign(json!({}));
    for more in [json!({ "use": "enc" }), json!({ "alg": "ES384" })] {
        let keys = keys_of(&signer.pair, more);
        assert_eq!(check(&token, &spec(), &keys, None, Timestamp::now()), Err(TokenFault::UnknownKey));
    }
    // A key that the token brings along itself counts for nothing.
    let jwk = Some(other.keys.keys[0].clone());
    let brought = other.sign_as(&Header { jwk, ..other.header() }, &claims(json!({})));
    assert_eq!(signer.check(&brought), Err(TokenFault::Signature));
}

#[test]
fn a_changed_token_and_what_is_no_token_are_refused() {
    let signer = Signer::new();
    let token = signer.sign(json!({}));
    let mut parts: Vec<_> = token.split('.').map(str::to_owned).collect();
    parts[1] = URL_SAFE_NO_PAD.encode(claims(json!({ "sub": "root" })).to_string());
    assert_eq!(signer.check(&parts.join(".")), Err(TokenFault::Signature));
    for typ in ["logout+jwt", "secevent+jwt"] {
        let header = Header { typ: Some(typ.to_owned()), ..signer.header() };
        assert_eq!(
            signer.check(&signer.sign_as(&header, &claims(json!({})))),
            Err(TokenFault::Form),
            "{typ}"
        );
    }
    let critical = Header { crit: Some(vec!["b64".to_owned()]), ..signer.header() };
    assert_eq!(signer.check(&signer.sign_as(&critical, &claims(json!({})))), Err(TokenFault::Form));
    for text in ["", ".", "..", "a.b.c", &token[..token.len() / 2]] {
        assert!(signer.check(text).is_err(), "{text}");
    }
    assert_eq!(claimed_issuer("a.b.c"), None);
    assert_eq!(claimed_issuer(&format!("{token}.x")), None);
}

#[test]
fn ed25519_is_taken_too() {
    let pair = KeyPair::generate_for(&PKCS_ED25519).unwrap();
    let x = URL_SAFE_NO_PAD.encode(pair.der_bytes());
    let keys = json!({ "keys": [{ "kty": "OKP", "crv": "Ed25519", "kid": "one", "x": x }] });
    let keys: JwkSet = serde_json::from_value(keys).unwrap();
    let header = Header { kid: Some("one".to_owned()), ..Header::new(Algorithm::EdDSA) };
    let token =
        encode(&header, &claims(json!({})), &EncodingKey::from_ed_der(&pair.serialize_der())).unwrap();
    assert!(check(&token, &spec(), &keys, None, Timestamp::now()).is_ok());
}
