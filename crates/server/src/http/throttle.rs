//! Counts wrong credentials per address, and stops answering them in detail after a few.
//!
//! Keys have 256 random bits, so guessing is hopeless anyway; this keeps a guesser from filling the log and tells a
//! client with an old key that it is the problem. A right key is served whatever its address did before, so nobody can
//! lock others out behind the same proxy.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};

use quintet_core::time::Time;

/// Failures that are answered 401 before 429 begins.
const FAILURES: u32 = 10;
const WINDOW_MS: u64 = 5 * 60 * 1000;
/// Addresses remembered; beyond it the oldest knowledge is dropped.
const ADDRESSES: usize = 10_000;

/// Who failed how often lately.
#[derive(Debug, Default)]
pub(super) struct Throttle {
    failures: Mutex<HashMap<IpAddr, (u32, Time)>>,
}

impl Throttle {
    /// Counts a failure; says how many seconds to wait when there were too many.
    pub fn failed(&self, address: IpAddr, now: Time) -> Option<u64> {
        let mut failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        if failures.len() >= ADDRESSES && !failures.contains_key(&address) {
            failures.retain(|_, (_, since)| now.ms_since(*since) < WINDOW_MS);
            if failures.len() >= ADDRESSES {
                failures.clear();
            }
        }
        let (count, since) = failures.entry(address).or_insert((0, now));
        if now.ms_since(*since) >= WINDOW_MS {
            (*count, *since) = (0, now);
        }
        *count = count.saturating_add(1);
        let left_ms = WINDOW_MS.saturating_sub(now.ms_since(*since));
        (*count > FAILURES).then(|| left_ms.div_ceil(1000).max(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_eleventh_failure_within_five_minutes_is_told_to_wait_and_others_are_not() {
        let throttle = Throttle::default();
        let (one, other): (IpAddr, IpAddr) = ([127, 0, 0, 1].into(), [127, 0, 0, 2].into());
        for _ in 0..FAILURES {
            assert_eq!(throttle.failed(one, Time(0)), None);
        }
        assert_eq!(throttle.failed(one, Time(0).plus_ms(60_000)), Some(240));
        assert_eq!(throttle.failed(other, Time(0)), None);
        assert_eq!(throttle.failed(one, Time(0).plus_ms(WINDOW_MS)), None, "a new window");
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let throttle = Throttle::default();
        for number in 0..(ADDRESSES as u32 + 10) {
            throttle.failed(IpAddr::from(number.to_be_bytes()), Time(0));
        }
        assert!(throttle.failures.lock().expect("lock").len() <= ADDRESSES);
    }
}
