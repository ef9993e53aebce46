//! Slows down whoever tries passwords: after a few failures each further try must wait, twice as long each time. Counted
//! by user, known or not, and by address. A try counts as a failure until it has succeeded, so that many at once gain
//! nothing.

use std::collections::HashMap;
use std::hash::Hash;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

/// Failures that cost a user nothing.
const FREE_FOR_USER: u32 = 5;
/// Failures that cost an address nothing: many people may share one.
const FREE_FOR_ADDRESS: u32 = 20;
const LONGEST_WAIT: Duration = Duration::from_secs(15 * 60);
/// Failures are forgotten when none came for so long.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(60 * 60);
/// Users and addresses that are remembered, each.
const REMEMBERED: usize = 10_000;

/// Who failed how often.
#[derive(Default)]
pub(super) struct Throttle(Mutex<Tries>);

#[derive(Default)]
struct Tries {
    users: HashMap<String, Failures>,
    addresses: HashMap<IpAddr, Failures>,
}

#[derive(Clone, Copy)]
struct Failures {
    count: u32,
    last: Instant,
}

impl Failures {
    /// How long another try must wait.
    fn wait(self, free: u32, now: Instant) -> Duration {
        let Some(beyond) = self.count.checked_sub(free) else { return Duration::ZERO };
        let pause = Duration::from_secs(1 << beyond.min(20)).min(LONGEST_WAIT);
        (self.last + pause).saturating_duration_since(now)
    }
}

impl Throttle {
    /// Counts a try, or says how long it must wait.
    ///
    /// # Errors
    /// How long to wait.
    pub(super) fn attempt(&self, user: &str, address: Option<IpAddr>, now: Instant) -> Result<(), Duration> {
        let mut tries = self.0.lock();
        let by_user = tries.users.get(user).map(|known| known.wait(FREE_FOR_USER, now));
        let by_address = address.and_then(|address| tries.addresses.get(&address));
        let by_address = by_address.map(|known| known.wait(FREE_FOR_ADDRESS, now));
        let wait = by_user.max(by_address).unwrap_or_default();
        if !wait.is_zero() {
            return Err(wait);
        }
        count(&mut tries.users, user.to_owned(), now);
        if let Some(address) = address {
            count(&mut tries.addresses, address, now);
        }
        Ok(())
    }

    /// Notes that the last try succeeded. What the address had failed before stays: a thief may own one password.
    pub(super) fn succeeded(&self, user: &str, address: Option<IpAddr>) {
        let mut tries = self.0.lock();
        tries.users.remove(user);
        if let Some(failures) = address.and_then(|address| tries.addresses.get_mut(&address)) {
            failures.count = failures.count.saturating_sub(1);
        }
    }
}

fn count<K: Eq + Hash + Clone>(all: &mut HashMap<K, Failures>, key: K, now: Instant) {
    if all.len() >= REMEMBERED && !all.contains_key(&key) {
        all.retain(|_, known| now.duration_since(known.last) < FORGOTTEN_AFTER);
        let oldest = all.iter().min_by_key(|(_, known)| known.last).map(|(key, _)| key.clone());
        if let Some(oldest) = oldest.filter(|_| all.len() >= REMEMBERED) {
            all.remove(&oldest);
        }
    }
    let known = all.entry(key).or_insert(Failures { count: 0, last: now });
    if now.duration_since(known.last) >= FORGOTTEN_AFTER {
        known.count = 0;
    }
    *known = Failures { count: known.count.saturating_add(1), last: now };
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOME: Option<IpAddr> = Some(IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1)));

    #[test]
    fn after_five_failures_each_try_waits_twice_as_long_as_the_one_before() {
        let (throttle, start) = (Throttle::default(), Instant::now());
        for _ in 0..5 {
            throttle.attempt("ada", HOME, start).unwrap();
        }
        assert_eq!(throttle.attempt("ada", HOME, start), Err(Duration::from_secs(1)));
        assert_eq!(throttle.attempt("bob", HOME, start), Ok(()), "another user is not made to wait");
        let second = start + Duration::from_secs(1);
        throttle.attempt("ada", HOME, second).unwrap();
        assert_eq!(throttle.attempt("ada", HOME, second), Err(Duration::from_secs(2)));
        throttle.succeeded("ada", HOME);
        assert_eq!(throttle.attempt("ada", HOME, second), Ok(()));
    }

    #[test]
    fn an_address_that_tries_one_user_after_another_must_wait_too() {
        let (throttle, now) = (Throttle::default(), Instant::now());
        let tried =
            (0..100).take_while(|n| throttle.attempt(&format!("user-{n}"), HOME, now).is_ok()).count();
        assert_eq!(tried, 20);
        assert_eq!(throttle.attempt("ada", None, now), Ok(()));
    }

    #[test]
    fn no_number_of_names_fills_the_memory_and_no_wait_is_endless() {
        let (throttle, now) = (Throttle::default(), Instant::now());
        for n in 0..REMEMBERED + 100 {
            assert!(throttle.attempt(&format!("user-{n}"), None, now).is_ok());
        }
        assert!(throttle.0.lock().users.len() <= REMEMBERED);
        let tired = Failures { count: 4_000, last: now };
        assert_eq!(tired.wait(5, now), LONGEST_WAIT);
    }
}
