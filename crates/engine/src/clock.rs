//! Where time, ids and incarnations come from. The real sources are here; simulations bring their own.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::time::{SystemTime, UNIX_EPOCH};

use quintet_core::id::IdSource;
use quintet_core::time::Time;

/// A source of time.
pub trait Clock: Send + Sync + 'static {
    /// The present time.
    fn now(&self) -> Time;
}

/// The machine's clock.
#[derive(Debug, Default, Clone, Copy)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[allow(
        clippy::disallowed_methods,
        reason = "this is the one place that reads the machine's clock"
    )]
    fn now(&self) -> Time {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Time(i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
    }
}

/// Time-ordered ids: 48 bits of milliseconds, then random bits that grow within a millisecond.
#[derive(Debug)]
pub struct TimeOrderedIds<C> {
    clock: C,
    random: u64,
    last: u128,
}

impl<C: Clock> TimeOrderedIds<C> {
    /// Ids seeded with the operating system's randomness.
    pub fn new(clock: C) -> Self {
        Self::seeded(clock, random_u64())
    }

    /// Ids that follow from a seed.
    pub fn seeded(clock: C, seed: u64) -> Self {
        Self {
            clock,
            random: seed,
            last: 0,
        }
    }

    fn random(&mut self) -> u64 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.random;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}

impl<C: Clock> IdSource for TimeOrderedIds<C> {
    fn next_bits(&mut self) -> u128 {
        let ms = u128::from(self.clock.now().as_ms().unsigned_abs()) & ((1 << 48) - 1);
        let random = (u128::from(self.random()) << 16) | u128::from(self.random() & 0xffff);
        let fresh = (ms << 80) | (random >> 1);
        // The clock may stand still or step back; ids must not.
        let step = 1 + u128::from(self.random() & 0xff_ffff);
        self.last = if fresh > self.last { fresh } else { self.last + step };
        self.last
    }
}

/// 64 bits of the operating system's randomness.
pub fn random_u64() -> u64 {
    RandomState::new().build_hasher().finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Still;
    impl Clock for Still {
        fn now(&self) -> Time {
            Time(1_700_000_000_000_000)
        }
    }

    #[test]
    fn ids_grow_while_the_clock_stands_still_and_differ_in_their_low_bits() {
        let mut ids = TimeOrderedIds::seeded(Still, 7);
        let drawn: Vec<u128> = (0..10_000).map(|_| ids.next_bits()).collect();
        assert!(drawn.windows(2).all(|pair| pair[0] < pair[1]));
        let low: std::collections::HashSet<u16> = drawn.iter().map(|bits| *bits as u16).collect();
        assert!(low.len() > 5_000, "retry jitter draws from the low bits: {}", low.len());
    }
}
