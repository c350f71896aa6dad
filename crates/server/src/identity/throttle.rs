//! Counts wrong credentials per address and per key, and stops answering them in detail after a few.
//!
//! Keys have 256 random bits, so guessing is hopeless anyway; this keeps a guesser from filling the log and tells a
//! client with an old key that it is the problem. Counting by key as well finds the guesser that has many addresses. A
//! right key is served whatever its address did before, so nobody can lock others out behind the same proxy.

use std::collections::HashMap;
use std::hash::Hash;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, PoisonError};

use quintet_core::time::Time;

/// Failures that are answered 401 before 429 begins.
const FAILURES: u32 = 10;
const WINDOW_MS: u64 = 5 * 60 * 1000;
/// Addresses, and keys, remembered; beyond it the oldest knowledge is dropped.
const REMEMBERED: usize = 10_000;

/// Who failed how often lately.
#[derive(Debug, Default)]
pub struct Throttle {
    addresses: Mutex<Failures<IpAddr>>,
    keys: Mutex<Failures<Arc<str>>>,
}

type Failures<T> = HashMap<T, (u32, Time)>;

impl Throttle {
    /// Counts a failure of this address, and of the key whose id was used; says how many seconds to wait when there were
    /// too many.
    pub fn failed(&self, address: IpAddr, key: Option<&Arc<str>>, now: Time) -> Option<u64> {
        let by_address = count(&self.addresses, household(address), now);
        let by_key = key.and_then(|key| count(&self.keys, Arc::clone(key), now));
        by_address.max(by_key)
    }
}

/// A client with one IPv6 address usually has the whole block of 2^64.
fn household(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V6(v6) if v6.to_ipv4_mapped().is_none() => {
            let block = u128::from(v6) >> 64 << 64;
            IpAddr::V6(Ipv6Addr::from(block))
        }
        other => other,
    }
}

fn count<T: Hash + Eq>(failures: &Mutex<Failures<T>>, who: T, now: Time) -> Option<u64> {
    let mut failures = failures.lock().unwrap_or_else(PoisonError::into_inner);
    if failures.len() >= REMEMBERED && !failures.contains_key(&who) {
        failures.retain(|_, (_, since)| now.ms_since(*since) < WINDOW_MS);
        if failures.len() >= REMEMBERED {
            failures.clear();
        }
    }
    let (count, since) = failures.entry(who).or_insert((0, now));
    if now.ms_since(*since) >= WINDOW_MS {
        (*count, *since) = (0, now);
    }
    *count = count.saturating_add(1);
    let left_ms = WINDOW_MS.saturating_sub(now.ms_since(*since));
    (*count > FAILURES).then(|| left_ms.div_ceil(1000).max(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_eleventh_failure_within_five_minutes_is_told_to_wait_and_others_are_not() {
        let throttle = Throttle::default();
        let (one, other): (IpAddr, IpAddr) = ([127, 0, 0, 1].into(), [127, 0, 0, 2].into());
        for _ in 0..FAILURES {
            assert_eq!(throttle.failed(one, None, Time(0)), None);
        }
        assert_eq!(throttle.failed(one, None, Time(0).plus_ms(60_000)), Some(240));
        assert_eq!(throttle.failed(other, None, Time(0)), None);
        assert_eq!(
            throttle.failed(one, None, Time(0).plus_ms(WINDOW_MS)),
            None,
            "a new window"
        );
    }

    #[test]
    fn a_key_that_is_guessed_at_from_many_addresses_is_throttled_too() {
        let (throttle, key) = (Throttle::default(), Arc::from("abc"));
        for number in 0..FAILURES {
            let address = IpAddr::from(number.to_be_bytes());
            assert_eq!(throttle.failed(address, Some(&key), Time(0)), None);
        }
        let address = IpAddr::from([9, 9, 9, 9]);
        assert_eq!(throttle.failed(address, Some(&key), Time(0)), Some(300));
        assert_eq!(throttle.failed(address, Some(&Arc::from("other")), Time(0)), None);
    }

    #[test]
    fn addresses_of_one_block_of_ipv6_count_together() {
        let throttle = Throttle::default();
        let address = |text: &str| text.parse::<IpAddr>().expect("address");
        for number in 0..FAILURES {
            throttle.failed(address(&format!("2001:db8::{number}")), None, Time(0));
        }
        assert!(throttle.failed(address("2001:db8::ffff"), None, Time(0)).is_some());
        assert!(throttle.failed(address("2001:db8:0:1::1"), None, Time(0)).is_none());
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let throttle = Throttle::default();
        for number in 0..(REMEMBERED as u32 + 10) {
            throttle.failed(IpAddr::from(number.to_be_bytes()), None, Time(0));
        }
        assert!(throttle.addresses.lock().expect("lock").len() <= REMEMBERED);
    }
}
