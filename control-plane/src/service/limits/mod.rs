//! How often someone may ask: per address before it is known who asks, per principal afterwards, and hardest for those
//! who fail to say who they are. The same for every interface.
//!
//! Whoever is known passes the limit of failures: a wrong token in one program must not shut out the others behind the
//! same address. A token has 256 random bits, so that this limit saves work rather than tokens.

mod bucket;

use std::net::IpAddr;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use towpath_catalog::Actor;

use crate::api::RateSettings;
use bucket::{Buckets, Pace, Verdict};

/// How often everyone has asked.
pub(super) struct Limits {
    addresses: Mutex<Buckets<IpAddr>>,
    principals: Mutex<Buckets<Actor>>,
    failures: Mutex<Buckets<IpAddr>>,
    quota: Quota,
}

/// What a principal may ask.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Quota {
    /// So many requests at once, after a pause.
    pub requests: u64,
    /// In so many seconds.
    pub seconds: u32,
}

/// What is left to a principal.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Left {
    /// How many more may come at once.
    pub requests: u64,
    /// When there is more.
    pub more_in: Duration,
    /// Of what.
    pub of: Quota,
}

/// Someone asks too often.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("too many requests came {whose}; try again in {} s", self.seconds())]
pub struct Limited {
    whose: &'static str,
    /// When the next request is taken.
    pub wait: Duration,
    /// What is left to the principal, if it is one who asks too often.
    pub left: Option<Left>,
}

impl Limited {
    /// When the next request is taken, in whole seconds, which is at least one.
    pub fn seconds(&self) -> u64 {
        whole_seconds(self.wait).max(1)
    }
}

impl Limits {
    pub(super) fn new(settings: &RateSettings) -> Self {
        let seconds = settings.burst_seconds.max(1);
        let pace = |per_second: u32| {
            let per_second = f64::from(per_second.max(1));
            Pace { per_second, burst: per_second * f64::from(seconds) }
        };
        let of_principals = pace(settings.per_principal);
        Self {
            addresses: Mutex::new(Buckets::new(pace(settings.per_address))),
            principals: Mutex::new(Buckets::new(of_principals)),
            failures: Mutex::new(Buckets::new(pace(settings.failures_per_address))),
            quota: Quota { requests: of_principals.burst as u64, seconds },
        }
    }

    /// Lets a request of an address pass, before it is known who asks.
    pub(super) fn of_address(&self, address: Option<IpAddr>) -> Result<(), Limited> {
        passes(&self.addresses, address, "from your address")
    }

    /// Notes that an address failed to say who asks. What it is told once it failed too often does not even say that.
    pub(super) fn failed(&self, address: Option<IpAddr>) -> Result<(), Limited> {
        passes(&self.failures, address, "without a valid token from your address")
    }

    /// How many requests of someone known can come at once.
    pub(super) fn at_once(&self) -> u64 {
        self.quota.requests
    }

    /// Lets a request of someone known pass.
    pub(super) fn of_principal(&self, actor: &Actor) -> Result<Left, Limited> {
        let verdict = self.principals.lock().take(actor, Instant::now());
        let left = Left { requests: verdict.remaining, more_in: verdict.wait, of: self.quota };
        limited(verdict, "from you", Some(left)).map(|()| left)
    }
}

fn passes(
    buckets: &Mutex<Buckets<IpAddr>>,
    address: Option<IpAddr>,
    whose: &'static str,
) -> Result<(), Limited> {
    let Some(address) = address else { return Ok(()) };
    limited(buckets.lock().take(&network(address), Instant::now()), whose, None)
}

fn limited(verdict: Verdict, whose: &'static str, left: Option<Left>) -> Result<(), Limited> {
    if verdict.passes { Ok(()) } else { Err(Limited { whose, wait: verdict.wait, left }) }
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

/// Whole seconds, rounded up.
pub(crate) fn whole_seconds(wait: Duration) -> u64 {
    wait.as_secs() + u64::from(wait.subsec_nanos() > 0)
}
