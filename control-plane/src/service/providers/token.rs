//! A provider's token (RFC 7519), checked: who made it, for whom, when, and that nobody else could have.
//!
//! Only signatures by a private key are taken, with the algorithms listed here, and the key is one that the provider
//! published for just that. So `none` and keys that both sides share cannot occur, whatever the token's head says. A
//! token may be used again until it expires, as bearer tokens may; `access.max_token_age` shortens that.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::jwk::{Jwk, JwkSet, KeyAlgorithm, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey, Header, Validation, decode, decode_header};
use serde_json::{Map, Value};
use towpath_resource::IdentityProviderSpec;

const ALGORITHMS: [(Algorithm, KeyAlgorithm); 4] = [
    (Algorithm::RS256, KeyAlgorithm::RS256),
    (Algorithm::PS256, KeyAlgorithm::PS256),
    (Algorithm::ES256, KeyAlgorithm::ES256),
    (Algorithm::EdDSA, KeyAlgorithm::EdDSA),
];
/// How far clocks may differ, in seconds.
const LEEWAY: i64 = 60;
/// ID tokens and access tokens. A provider signs other things with the same key, such as notices of logout.
const TYPES: [&str; 3] = ["jwt", "at+jwt", "application/at+jwt"];
const MOST_GROUPS: usize = 1_000;
const LONGEST_WORD: usize = 256;

/// What a token says of whom it names.
#[derive(PartialEq, Eq, Debug)]
pub(super) struct Claims {
    pub(super) subject: String,
    pub(super) name: Option<String>,
    pub(super) groups: Vec<String>,
}

/// Why a token is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum TokenFault {
    #[error("it is not a token that is signed as it must be (RS256, PS256, ES256 or EdDSA)")]
    Form,
    #[error("the provider does not publish the key that signed it")]
    UnknownKey,
    #[error("its signature does not hold")]
    Signature,
    #[error("it has expired; log in again")]
    Expired,
    #[error("it is older than this control plane takes tokens; log in again")]
    TooOld,
    #[error("it does not hold yet; compare the clocks")]
    NotYet,
    #[error("it is made for another audience; see the provider's `client_id` and `audiences`")]
    Audience,
    #[error("it lacks the claim `{0}`")]
    Lacks(String),
}

/// Who made the token, as it says itself. Nothing is proved by it.
pub(super) fn claimed_issuer(token: &str) -> Option<String> {
    let mut parts = token.split('.');
    let (Some(_), Some(claims), Some(_), None) = (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return None;
    };
    let claims: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(claims).ok()?).ok()?;
    Some(claims.get("iss")?.as_str()?.to_owned())
}

/// Checks a token against what the provider publishes.
pub(super) fn check(
    token: &str,
    spec: &IdentityProviderSpec,
    keys: &JwkSet,
    max_age: Option<Duration>,
    now: Timestamp,
) -> Result<Claims, TokenFault> {
    let header = decode_header(token).map_err(|_| TokenFault::Form)?;
    let published_as = ALGORITHMS.iter().find(|(taken, _)| *taken == header.alg).ok_or(TokenFault::Form)?.1;
    let is_token = header.typ.as_ref().is_none_or(|typ| TYPES.contains(&typ.to_ascii_lowercase().as_str()));
    if !is_token || header.crit.is_some() {
        return Err(TokenFault::Form);
    }
    let key = find_key(keys, &header, published_as).ok_or(TokenFault::UnknownKey)?;
    let key = DecodingKey::from_jwk(key).map_err(|_| TokenFault::UnknownKey)?;
    let claims =
        decode::<Map<String, Value>>(token, &key, &validation(header.alg, spec)).map_err(fault)?.claims;
    check_age(&claims, max_age, now)?;
    read(&claims, spec)
}

fn validation(algorithm: Algorithm, spec: &IdentityProviderSpec) -> Validation {
    let mut validation = Validation::new(algorithm);
    validation.leeway = LEEWAY.unsigned_abs();
    validation.validate_nbf = true;
    validation.set_issuer(&[&spec.issuer]);
    if spec.audiences.is_empty() {
        validation.set_audience(&[&spec.client_id]);
    } else {
        validation.set_audience(&spec.audiences);
    }
    validation.set_required_spec_claims(&["exp", "iss", "aud"]);
    validation
}

/// The published key that the token names, if it was published for such signatures. A token that names none is taken
/// where there is no choice.
fn find_key<'a>(keys: &'a JwkSet, header: &Header, algorithm: KeyAlgorithm) -> Option<&'a Jwk> {
    let signs = |key: &&Jwk| {
        let common = &key.common;
        let for_signatures =
            common.public_key_use.as_ref().is_none_or(|used| *used == PublicKeyUse::Signature);
        for_signatures && common.key_algorithm.is_none_or(|published| published == algorithm)
    };
    let mut fitting = keys.keys.iter().filter(signs);
    match &header.kid {
        Some(kid) => fitting.find(|key| key.common.key_id.as_ref() == Some(kid)),
        None => fitting.next().filter(|_| fitting.next().is_none()),
    }
}

fn fault(error: jsonwebtoken::errors::Error) -> TokenFault {
    match error.into_kind() {
        ErrorKind::ExpiredSignature => TokenFault::Expired,
        ErrorKind::ImmatureSignature => TokenFault::NotYet,
        ErrorKind::InvalidAudience => TokenFault::Audience,
        ErrorKind::MissingRequiredClaim(claim) => TokenFault::Lacks(claim),
        ErrorKind::InvalidSignature => TokenFault::Signature,
        _ => TokenFault::Form,
    }
}

fn check_age(
    claims: &Map<String, Value>,
    max_age: Option<Duration>,
    now: Timestamp,
) -> Result<(), TokenFault> {
    // Whole seconds or a fraction of one: both are numbers of RFC 7519.
    let issued_at = claims.get("iat").and_then(Value::as_f64);
    let now = now.as_second() as f64;
    let leeway = LEEWAY as f64;
    match (issued_at, max_age) {
        (Some(issued_at), _) if issued_at > now + leeway => Err(TokenFault::NotYet),
        (Some(issued_at), Some(max)) if now - issued_at > max.as_secs_f64() + leeway => {
            Err(TokenFault::TooOld)
        }
        (None, Some(_)) => Err(TokenFault::Lacks("iat".to_owned())),
        _ => Ok(()),
    }
}

fn read(claims: &Map<String, Value>, spec: &IdentityProviderSpec) -> Result<Claims, TokenFault> {
    let word = |claim: &str| claims.get(claim).and_then(Value::as_str).filter(|text| !text.is_empty());
    let short = |text: &&str| text.len() <= LONGEST_WORD;
    let subject = word(&spec.claims.subject).filter(short);
    let subject = subject.ok_or_else(|| TokenFault::Lacks(spec.claims.subject.clone()))?.to_owned();
    let groups = match claims.get(&spec.claims.groups) {
        Some(Value::String(one)) => vec![one.clone()],
        Some(Value::Array(many)) => {
            many.iter().filter_map(Value::as_str).take(MOST_GROUPS).map(str::to_owned).collect()
        }
        _ => Vec::new(),
    };
    Ok(Claims { subject, name: word(&spec.claims.name).filter(short).map(str::to_owned), groups })
}

#[cfg(test)]
mod tests;
