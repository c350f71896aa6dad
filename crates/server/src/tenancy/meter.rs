//! What a namespace has used of its limits, as far as this process knows.
//!
//! The number of runs that are not over comes from the store, now and then. In between it grows with what is admitted
//! here and falls with what ends here. A start that is admitted and not yet stored is counted by itself, because a count
//! of the store cannot see it; one that was stored while the store counted is counted once more, until the next count.
//! So with one node the limit is never passed, and with several by no more than the others start between two counts.

use std::sync::{Mutex, MutexGuard, PoisonError};

use quintet_core::time::Time;
use quintet_engine::QuotaExceeded;

use super::model::Quotas;

/// When to come again where runs must end first: the store has been counted anew by then.
const RETRY_AFTER_MS: u64 = 1_000;
/// When to come again where something must be removed first.
const LONG_RETRY_AFTER_MS: u64 = 60_000;

/// Sums of parts of a start are not exact.
const ROUNDING: f64 = 1e-6;

/// What one namespace has used.
#[derive(Debug, Default)]
pub(super) struct Meter(Mutex<Used>);

#[derive(Debug, Default)]
struct Used {
    /// Starts that may be made at once; negative while a large batch is paid off. `None` before the first start.
    tokens: Option<f64>,
    filled_at: Time,
    /// Runs in the store that are not over. One can end before whoever started it hears that it is stored, so there may
    /// be less than none for a moment.
    live: i64,
    /// Runs admitted and not yet stored.
    under_way: u64,
    /// Runs stored since the count that is being made began.
    counting: Option<u64>,
    /// Bytes in the store, by the last measurement.
    bytes: Option<u64>,
    /// Something was admitted since.
    is_changed: bool,
}

/// A meter's opinion about a start.
#[derive(Debug, PartialEq)]
pub(super) enum Verdict {
    Admitted,
    /// It may be wrong until the store is asked again.
    Refused(QuotaExceeded),
    /// Admitted, although nobody has measured yet what is stored.
    Unmeasured,
}

impl Meter {
    /// Whether so many runs may start; counts them if they may.
    pub fn admit(&self, quotas: &Quotas, runs: u64, now: Time) -> Verdict {
        let mut used = self.used();
        let refused = |what, limit, retry_after_ms| {
            Verdict::Refused(QuotaExceeded {
                what,
                limit,
                retry_after_ms,
            })
        };
        if let Some(max) = quotas.max_stored_bytes
            && used.bytes.is_some_and(|bytes| bytes >= max)
        {
            used.is_changed = true;
            return refused("max_stored_bytes", max, LONG_RETRY_AFTER_MS);
        }
        if let Some(max) = quotas.max_live_runs
            && used.unfinished().saturating_add(runs) > max
        {
            return refused("max_live_runs", max, RETRY_AFTER_MS);
        }
        if let Some(rate) = quotas.runs_per_second {
            let burst = burst(quotas, rate);
            let tokens = used.filled(rate, burst, now);
            // More than fit into the bucket go in debt, or they could never go.
            let needed = (runs as f64).min(burst);
            if tokens + ROUNDING < needed {
                let wait_ms = ((needed - tokens - ROUNDING) / rate * 1e3).ceil();
                return refused("runs_per_second", rate.ceil() as u64, wait_ms as u64);
            }
            used.tokens = Some(tokens - runs as f64);
        }
        used.under_way += runs;
        used.is_changed = true;
        if quotas.max_stored_bytes.is_some() && used.bytes.is_none() {
            return Verdict::Unmeasured;
        }
        Verdict::Admitted
    }

    /// Admitted runs did not start.
    pub fn undo(&self, runs: u64) {
        let mut used = self.used();
        used.under_way = used.under_way.saturating_sub(runs);
        used.tokens = used.tokens.map(|tokens| tokens + runs as f64);
    }

    /// Admitted runs are stored.
    pub fn started(&self, runs: u64) {
        let mut used = self.used();
        used.under_way = used.under_way.saturating_sub(runs);
        used.live = used.live.saturating_add_unsigned(runs);
        used.counting = used.counting.map(|stored| stored + runs);
    }

    /// A run is over.
    pub fn ended(&self) {
        let mut used = self.used();
        used.live -= 1;
    }

    /// The store is being counted.
    pub fn begin_count(&self) {
        self.used().counting = Some(0);
    }

    /// It had so many; `None` when it gave no answer.
    pub fn end_count(&self, live: Option<u64>) {
        let mut used = self.used();
        let since = used.counting.take().unwrap_or(0);
        if let Some(live) = live {
            used.live = 0i64.saturating_add_unsigned(live.saturating_add(since));
        }
    }

    /// So much is stored.
    pub fn measured(&self, bytes: u64) {
        self.used().bytes = Some(bytes);
    }

    /// Whether it is known how much is stored.
    pub fn is_measured(&self) -> bool {
        self.used().bytes.is_some()
    }

    /// Whether something was admitted since this was asked.
    pub fn take_changed(&self) -> bool {
        std::mem::take(&mut self.used().is_changed)
    }

    /// Whether forgetting it would permit nothing that it forbids.
    pub fn is_idle(&self, quotas: &Quotas, now: Time) -> bool {
        let mut used = self.used();
        let is_full = quotas.runs_per_second.is_none_or(|rate| {
            let burst = burst(quotas, rate);
            used.filled(rate, burst, now) >= burst
        });
        is_full && used.unfinished() == 0 && used.bytes.is_none()
    }

    fn used(&self) -> MutexGuard<'_, Used> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Used {
    fn unfinished(&self) -> u64 {
        let runs = self.live.saturating_add_unsigned(self.under_way);
        u64::try_from(runs).unwrap_or(0)
    }

    /// Fills the bucket up to now.
    fn filled(&mut self, rate: f64, burst: f64, now: Time) -> f64 {
        let tokens = match self.tokens {
            None => burst,
            Some(tokens) => (tokens + now.ms_since(self.filled_at) as f64 / 1e3 * rate).min(burst),
        };
        self.tokens = Some(tokens);
        // Milliseconds are counted whole: what is left of one counts the next time.
        if self.filled_at == Time(0) {
            self.filled_at = now;
        } else {
            self.filled_at = self.filled_at.plus_ms(now.ms_since(self.filled_at));
        }
        tokens
    }
}

fn burst(quotas: &Quotas, rate: f64) -> f64 {
    quotas.burst.map_or_else(|| rate.ceil(), f64::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> Time {
        Time(1_000_000_000).plus_ms(ms)
    }

    fn refused(verdict: &Verdict) -> Option<(&'static str, u64)> {
        match verdict {
            Verdict::Refused(exceeded) => Some((exceeded.what, exceeded.retry_after_ms)),
            _ => None,
        }
    }

    #[test]
    fn a_bucket_gives_its_burst_at_once_and_then_its_rate() {
        let quotas = Quotas {
            runs_per_second: Some(2.0),
            burst: Some(3),
            ..Quotas::default()
        };
        let meter = Meter::default();
        for _ in 0..3 {
            assert_eq!(meter.admit(&quotas, 1, at(0)), Verdict::Admitted);
        }
        assert_eq!(refused(&meter.admit(&quotas, 1, at(0))), Some(("runs_per_second", 500)));
        assert_eq!(refused(&meter.admit(&quotas, 1, at(499))), Some(("runs_per_second", 1)));
        assert_eq!(meter.admit(&quotas, 1, at(500)), Verdict::Admitted);
        meter.undo(1);
        assert_eq!(meter.admit(&quotas, 1, at(500)), Verdict::Admitted);
        let admitted = (0..10_000).filter(|ms| meter.admit(&quotas, 1, at(500 + ms)) == Verdict::Admitted);
        assert_eq!(admitted.count(), 19);
    }

    #[test]
    fn a_batch_larger_than_the_bucket_needs_a_full_one_and_is_paid_off() {
        let quotas = Quotas {
            runs_per_second: Some(10.0),
            ..Quotas::default()
        };
        let meter = Meter::default();
        assert_eq!(meter.admit(&quotas, 30, at(0)), Verdict::Admitted);
        assert_eq!(
            refused(&meter.admit(&quotas, 1, at(0))),
            Some(("runs_per_second", 2_100))
        );
        assert_eq!(meter.admit(&quotas, 1, at(2_100)), Verdict::Admitted);
        assert!(refused(&meter.admit(&quotas, 30, at(2_200))).is_some());
        assert_eq!(meter.admit(&quotas, 30, at(3_200)), Verdict::Admitted);
    }

    #[test]
    fn runs_count_from_admission_to_their_end_and_a_count_of_the_store_puts_it_right() {
        let quotas = Quotas {
            max_live_runs: Some(3),
            ..Quotas::default()
        };
        let meter = Meter::default();
        assert_eq!(meter.admit(&quotas, 2, at(0)), Verdict::Admitted);
        meter.started(2);
        assert_eq!(meter.admit(&quotas, 1, at(0)), Verdict::Admitted);
        assert_eq!(refused(&meter.admit(&quotas, 1, at(0))), Some(("max_live_runs", 1_000)));
        // The store cannot see what is not stored yet, and may miss what is stored while it counts.
        meter.begin_count();
        meter.started(1);
        meter.end_count(Some(1));
        assert_eq!(meter.admit(&quotas, 1, at(0)), Verdict::Admitted);
        assert!(refused(&meter.admit(&quotas, 1, at(0))).is_some());
        meter.undo(1);
        meter.ended();
        assert_eq!(meter.admit(&quotas, 2, at(0)), Verdict::Admitted);
        meter.begin_count();
        meter.end_count(None);
        assert!(refused(&meter.admit(&quotas, 1, at(0))).is_some());
    }

    #[test]
    fn a_run_that_ends_before_its_start_is_known_leaves_room() {
        let quotas = Quotas {
            max_live_runs: Some(1),
            ..Quotas::default()
        };
        let meter = Meter::default();
        for _ in 0..3 {
            assert_eq!(meter.admit(&quotas, 1, at(0)), Verdict::Admitted);
            meter.ended();
            meter.started(1);
        }
    }

    #[test]
    fn nothing_starts_while_too_much_is_stored() {
        let quotas = Quotas {
            max_stored_bytes: Some(100),
            ..Quotas::default()
        };
        let meter = Meter::default();
        assert_eq!(meter.admit(&quotas, 1, at(0)), Verdict::Unmeasured);
        meter.measured(99);
        assert_eq!(meter.admit(&quotas, 1, at(0)), Verdict::Admitted);
        assert!(meter.take_changed());
        meter.measured(100);
        assert_eq!(
            refused(&meter.admit(&quotas, 1, at(0))),
            Some(("max_stored_bytes", 60_000))
        );
        assert!(
            meter.take_changed(),
            "it is measured again, or it would never be permitted"
        );
    }
}
