//! Where time, ids and incarnations come from. The real sources are here; simulations bring their own.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use quintet_core::id::IdSource;
use quintet_core::time::Time;

/// A source of time.
pub trait Clock: Send + Sync + 'static {
    /// The present time.
    fn now(&self) -> Time;

    /// A store that many share said that it is `there` by its clock; it was asked at `asked_at` by this one. A clock
    /// that goes by the store follows it.
    fn follow(&self, there: Time, asked_at: Time) {
        let _ = (there, asked_at);
    }
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

/// The clock of a store that many share, as this process knows it: the store's last answer, and the time that has
/// passed since by the machine's monotonic clock. So all nodes agree to within half a round trip, whatever their own
/// clocks say, and a jump of one machine's clock moves nothing.
#[derive(Debug)]
pub struct StoreClock {
    anchor: std::time::Instant,
    /// Microseconds since 1970 at the anchor.
    base: AtomicI64,
    /// The last time that was told: time does not go back, unless the store's does by more than a little.
    last: AtomicI64,
    has_followed: AtomicBool,
}

/// Microseconds that time stands still for rather than go back.
const STAND_STILL_MICROS: i64 = 1_000_000;
/// Microseconds of a round trip beyond which an answer says too little about the time.
const SLOW_MICROS: i64 = 500_000;

impl Default for StoreClock {
    #[allow(
        clippy::disallowed_methods,
        reason = "this is the one place that reads the machine's monotonic clock"
    )]
    fn default() -> Self {
        Self {
            anchor: std::time::Instant::now(),
            base: AtomicI64::new(SystemClock.now().0),
            last: AtomicI64::new(0),
            has_followed: AtomicBool::new(false),
        }
    }
}

impl StoreClock {
    fn since_anchor(&self) -> i64 {
        i64::try_from(self.anchor.elapsed().as_micros()).unwrap_or(i64::MAX)
    }
}

impl Clock for StoreClock {
    fn now(&self) -> Time {
        let now = self.base.load(Ordering::Acquire).saturating_add(self.since_anchor());
        Time(self.last.fetch_max(now, Ordering::AcqRel).max(now))
    }

    fn follow(&self, there: Time, asked_at: Time) {
        let is_first = !self.has_followed.swap(true, Ordering::AcqRel);
        let since = self.since_anchor();
        let here = self.base.load(Ordering::Acquire).saturating_add(since);
        let round_trip = here.saturating_sub(asked_at.0).max(0);
        if round_trip >= SLOW_MICROS && !is_first {
            return;
        }
        let now = there.0.saturating_add(round_trip.min(SLOW_MICROS) / 2);
        self.base.store(now - since, Ordering::Release);
        let ahead = self.last.load(Ordering::Acquire).saturating_sub(now);
        if is_first || ahead > STAND_STILL_MICROS {
            if !is_first {
                tracing::warn!(seconds = ahead / 1_000_000, "the store's clock was set back");
            }
            self.last.store(now, Ordering::Release);
        }
    }
}

/// Time-ordered ids: 48 bits of milliseconds, then random bits that grow within a millisecond.
#[derive(Debug)]
pub struct TimeOrderedIds<C> {
    clock: C,
    random: Source,
    last: u128,
}

/// Where the part of an id comes from that is not time.
enum Source {
    /// The operating system, a block at a time: from the ids that somebody has seen, others cannot be computed.
    System { block: Box<[u8; BLOCK]>, used: usize },
    /// A seed, for what must happen again in the same way.
    Seed(u64),
}

impl std::fmt::Debug for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // What comes next is nobody's business.
        f.write_str("Source")
    }
}

/// Bytes asked of the operating system at a time.
const BLOCK: usize = 4096;

impl Source {
    fn next(&mut self) -> u64 {
        match self {
            Self::System { block, used } => {
                if *used == BLOCK {
                    getrandom::fill(&mut block[..]).expect("the operating system gives randomness");
                    *used = 0;
                }
                let bytes = block[*used..*used + 8].try_into();
                *used += 8;
                u64::from_ne_bytes(bytes.unwrap_or_default())
            }
            Self::Seed(state) => {
                *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
                let mut mixed = *state;
                mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
                mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
                mixed ^ (mixed >> 31)
            }
        }
    }
}

impl<C: Clock> TimeOrderedIds<C> {
    /// Ids of the operating system's randomness.
    pub fn new(clock: C) -> Self {
        let source = Source::System {
            block: Box::new([0; BLOCK]),
            used: BLOCK,
        };
        Self {
            clock,
            random: source,
            last: 0,
        }
    }

    /// Ids that follow from a seed.
    pub fn seeded(clock: C, seed: u64) -> Self {
        Self {
            clock,
            random: Source::Seed(seed),
            last: 0,
        }
    }

    fn random(&mut self) -> u64 {
        self.random.next()
    }
}

impl<C: Clock + ?Sized> Clock for std::sync::Arc<C> {
    fn now(&self) -> Time {
        C::now(self)
    }

    fn follow(&self, there: Time, asked_at: Time) {
        C::follow(self, there, asked_at);
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

    #[test]
    fn a_clock_goes_by_the_store_and_not_by_the_machine() {
        let clock = StoreClock::default();
        let there = Time(1_000_000_000_000);
        let before = clock.now();
        clock.follow(there, before);
        let ms_off = clock.now().ms_since(there);
        assert!(ms_off < 600, "{ms_off}");
        // A little back: it stands still. Far back: it goes along.
        let stands_at = clock.now();
        clock.follow(Time(there.0 - 500_000), stands_at);
        assert!(clock.now() >= stands_at);
        clock.follow(Time(there.0 - 600_000_000), clock.now());
        assert!(clock.now() < Time(there.0 - 500_000_000));
    }

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

    #[test]
    fn the_systems_randomness_is_used_once() {
        let mut ids = TimeOrderedIds::new(Still);
        let drawn: Vec<u64> = (0..3 * BLOCK / 8).map(|_| ids.random()).collect();
        let different: std::collections::HashSet<&u64> = drawn.iter().collect();
        assert_eq!(different.len(), drawn.len());
    }
}
