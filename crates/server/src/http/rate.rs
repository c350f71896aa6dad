//! How many requests each caller may send.
//!
//! One number per caller: the time at which everything that it has sent would be paid for at its rate. A request moves it on
//! by the time that one costs; a caller whose number is further ahead than a burst is worth has to wait. A caller who has
//! paid for everything is like one who never came, and is forgotten. Callers without a key are not counted: on a server that
//! needs keys they get nothing, and on one that needs none everybody is at home.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use quintet_core::time::Time;

use super::Caller;
use crate::config::Limits;

/// A caller as the limits know it: what it was recognised by.
pub(super) type Who = Arc<str>;

/// Under what a caller's requests are counted; nothing where it showed no key.
pub(super) fn account(caller: &Caller) -> Option<Who> {
    (!caller.is_anonymous() && !caller.is_unknown()).then(|| caller.account().into())
}

/// Callers remembered before those that may be forgotten are looked for.
const KEPT: usize = 1024;
/// Callers remembered at all; beyond it everybody begins anew.
const MOST: usize = 100_000;
const SECOND_US: i64 = 1_000_000;

/// Who has sent how much.
#[derive(Debug)]
pub(super) struct Rates {
    /// What a request costs, in microseconds; 0 where there is no limit.
    cost_us: i64,
    /// How far ahead of the time a caller may be.
    burst_us: i64,
    paid_until: Mutex<Ledger>,
}

#[derive(Debug, Default)]
struct Ledger {
    of: HashMap<Who, Time>,
    /// How many there were when it was swept last.
    swept: usize,
}

impl Rates {
    pub fn new(limits: &Limits) -> Self {
        let rate = i64::from(limits.requests_per_second);
        let cost_us = if rate == 0 { 0 } else { (SECOND_US / rate).max(1) };
        Self {
            cost_us,
            burst_us: cost_us.saturating_mul(i64::from(limits.request_burst.max(1))),
            paid_until: Mutex::default(),
        }
    }

    /// Counts a request; in how many seconds to come again, where it is one too many.
    pub fn admit(&self, who: &Who, now: Time) -> Result<(), u64> {
        if self.cost_us == 0 {
            return Ok(());
        }
        let mut ledger = self.paid_until.lock().unwrap_or_else(PoisonError::into_inner);
        ledger.sweep(now);
        let paid_until = ledger.of.entry(Arc::clone(who)).or_insert(now);
        let next = Time((*paid_until).max(now).0.saturating_add(self.cost_us));
        let over_us = next.0.saturating_sub(now.0).saturating_sub(self.burst_us);
        if over_us > 0 {
            return Err(over_us.unsigned_abs().div_ceil(SECOND_US.unsigned_abs()));
        }
        *paid_until = next;
        Ok(())
    }
}

impl Ledger {
    fn sweep(&mut self, now: Time) {
        if self.of.len() < (2 * self.swept).max(KEPT) {
            return;
        }
        self.of.retain(|_, paid_until| *paid_until > now);
        if self.of.len() >= MOST {
            self.of.clear();
        }
        self.swept = self.of.len();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rates(requests_per_second: u32, request_burst: u32) -> Rates {
        Rates::new(&Limits {
            requests_per_second,
            request_burst,
            ..Limits::default()
        })
    }

    fn who(name: &str) -> Who {
        name.into()
    }

    #[test]
    fn a_burst_is_let_in_and_then_as_many_as_the_rate_says() {
        let (rates, start) = (rates(100, 200), Time(1_000_000));
        for _ in 0..200 {
            assert_eq!(rates.admit(&who("a"), start), Ok(()));
        }
        assert_eq!(rates.admit(&who("a"), start), Err(1));
        assert_eq!(rates.admit(&who("b"), start), Ok(()), "others have their own");
        let later = start.plus_ms(50);
        let admitted = (0..100).filter(|_| rates.admit(&who("a"), later).is_ok()).count();
        assert_eq!(admitted, 5);
        let much_later = start.plus_ms(60_000);
        let admitted = (0..1_000)
            .filter(|_| rates.admit(&who("a"), much_later).is_ok())
            .count();
        assert_eq!(admitted, 200, "no more is saved up than a burst");
    }

    #[test]
    fn without_a_rate_everything_is_let_in() {
        let rates = rates(0, 1);
        assert!((0..10_000).all(|_| rates.admit(&who("a"), Time(0)).is_ok()));
    }

    #[test]
    fn a_slow_rate_says_how_long_to_wait() {
        let rates = rates(1, 1);
        assert_eq!(rates.admit(&who("a"), Time(0)), Ok(()));
        assert_eq!(rates.admit(&who("a"), Time(0)), Err(1));
        assert_eq!(rates.admit(&who("a"), Time(0).plus_ms(999)), Err(1));
        assert_eq!(rates.admit(&who("a"), Time(0).plus_ms(1_000)), Ok(()));
    }

    #[test]
    fn callers_who_have_paid_are_forgotten_and_the_others_are_bounded() {
        let rates = rates(1, 1);
        for nth in 0..10_000 {
            let _ = rates.admit(&who(&nth.to_string()), Time(0).plus_ms(10 * nth));
        }
        // Of one request each, a second is paid for in a second: about a hundred owe something at a time.
        assert!(rates.paid_until.lock().unwrap().of.len() <= 2 * KEPT);
        for nth in 0..2 * MOST {
            let _ = rates.admit(&who(&format!("x{nth}")), Time(0));
        }
        assert!(rates.paid_until.lock().unwrap().of.len() <= MOST);
    }
}
