//! How often someone may ask: per address before it is known who asks, per principal afterwards, and hardest for those
//! who fail to say who they are.
//!
//! Whoever is known passes the limit of failures: a wrong token in one program must not shut out the others behind the
//! same address. A token has 256 random bits, so that this limit saves work rather than tokens.

mod bucket;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::http::{HeaderName, HeaderValue, header};
use axum::response::Response;
use parking_lot::Mutex;
use towpath_catalog::Actor;

use super::problem::Refused;
use super::problem_type::ProblemType;
use super::settings::RateSettings;
use bucket::{Buckets, Pace, Verdict};

const LIMIT: HeaderName = HeaderName::from_static("ratelimit");
const POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");

/// How often everyone has asked. Cheap to clone.
#[derive(Clone)]
pub(super) struct Rates(Arc<Inner>);

struct Inner {
    addresses: Mutex<Buckets<IpAddr>>,
    principals: Mutex<Buckets<Actor>>,
    failures: Mutex<Buckets<IpAddr>>,
    /// The header that says what holds for a principal.
    policy: HeaderValue,
}

/// What is left to a principal, for the headers of the answer.
#[derive(Clone, Copy, Debug)]
pub(super) struct Left(Verdict);

impl Rates {
    pub(super) fn new(settings: &RateSettings) -> Self {
        let pace = |per_second: u32| {
            let per_second = f64::from(per_second.max(1));
            Pace { per_second, burst: per_second * f64::from(settings.burst_seconds.max(1)) }
        };
        let of_principals = pace(settings.per_principal);
        let seconds = settings.burst_seconds.max(1);
        let policy = format!("\"principal\";q={};w={seconds}", of_principals.burst as u64);
        Self(Arc::new(Inner {
            addresses: Mutex::new(Buckets::new(pace(settings.per_address))),
            principals: Mutex::new(Buckets::new(of_principals)),
            failures: Mutex::new(Buckets::new(pace(settings.failures_per_address))),
            policy: HeaderValue::from_str(&policy).expect("numbers are plain text"),
        }))
    }

    /// Lets a request of an address pass, before it is known who asks.
    pub(super) fn of_address(&self, address: Option<IpAddr>) -> Result<(), Refused> {
        let Some(address) = address else { return Ok(()) };
        let verdict = self.0.addresses.lock().take(&network(address), Instant::now());
        if verdict.passes { Ok(()) } else { Err(refused(verdict, "from your address")) }
    }

    /// Notes that an address failed to say who asks. What it is told once it failed too often does not even say that.
    pub(super) fn failed(&self, address: Option<IpAddr>) -> Result<(), Refused> {
        let Some(address) = address else { return Ok(()) };
        let verdict = self.0.failures.lock().take(&network(address), Instant::now());
        if verdict.passes { Ok(()) } else { Err(refused(verdict, "without a valid token from your address")) }
    }

    /// Lets a request of someone known pass.
    pub(super) fn of_principal(&self, actor: &Actor) -> Result<Left, Refused> {
        let verdict = self.0.principals.lock().take(actor, Instant::now());
        if verdict.passes {
            return Ok(Left(verdict));
        }
        let (name, value) = limit_header(verdict);
        Err(refused(verdict, "from you").header(name, value).header(POLICY, self.0.policy.clone()))
    }

    /// Tells a principal what is left.
    pub(super) fn tell(&self, left: Left, response: &mut Response) {
        let (name, value) = limit_header(left.0);
        response.headers_mut().insert(name, value);
        response.headers_mut().insert(POLICY, self.0.policy.clone());
    }
}

/// Who holds an IPv6 address holds its whole network of 64 bits.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(six) => {
            let bits = six.to_bits() & !u128::from(u64::MAX);
            IpAddr::V6(bits.into())
        }
        four => four,
    }
}

fn limit_header(verdict: Verdict) -> (HeaderName, HeaderValue) {
    let text = format!("\"principal\";r={};t={}", verdict.remaining, whole_seconds(verdict.wait));
    (LIMIT, HeaderValue::from_str(&text).expect("numbers are plain text"))
}

fn refused(verdict: Verdict, whose: &str) -> Refused {
    let seconds = whole_seconds(verdict.wait).max(1);
    let detail = format!("too many requests came {whose}; try again in {seconds} s");
    Refused::new(ProblemType::RateLimited, detail).header(header::RETRY_AFTER, HeaderValue::from(seconds))
}

fn whole_seconds(wait: Duration) -> u64 {
    wait.as_secs() + u64::from(wait.subsec_nanos() > 0)
}
