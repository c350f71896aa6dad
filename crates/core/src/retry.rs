//! When a failed attempt is tried again.
//!
//! One policy per step, counted once: `max_attempts` is the total, however the face at hand spells it.
//! Delays are computed from numbers that were handed in; the jitter's randomness too.

use serde::{Deserialize, Serialize};

use crate::outcome::Failure;

/// Longest wait that a receiver's `Retry-After` can ask for, in milliseconds.
pub const RETRY_AFTER_CAP_MS: u64 = 3_600_000;

/// How the delay grows from one attempt to the next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Backoff {
    /// The same delay each time.
    #[default]
    Fixed,
    /// Doubled each time.
    Exponential,
}

/// Retry policy of a step.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RetryPolicy {
    /// Attempts in total, at least 1.
    pub max_attempts: u32,
    /// Growth of the delay.
    pub backoff: Backoff,
    /// Delay before the second attempt, in milliseconds.
    pub delay_ms: u64,
    /// Upper bound of the delay, in milliseconds.
    pub max_delay_ms: u64,
    /// Share of the delay that is random, in percent: 0 is none, 100 is full jitter.
    pub jitter_percent: u8,
    /// Protocol codes that end the step at once.
    pub non_retryable_codes: Vec<u16>,
    /// Failure kinds that end the step at once.
    pub non_retryable_kinds: Vec<String>,
    /// Attempts that may be lost to dying processes before the step fails. They do not count as attempts made.
    pub max_lost: u32,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self {
            max_attempts: 1,
            backoff: Backoff::Fixed,
            delay_ms: 250,
            max_delay_ms: 3_600_000,
            jitter_percent: 0,
            non_retryable_codes: Vec::new(),
            non_retryable_kinds: Vec::new(),
            max_lost: 10,
        }
    }
}

impl RetryPolicy {
    /// Whether a further attempt is allowed after `made` attempts, the last of which ended in `failure`.
    pub fn allows(&self, made: u32, failure: &Failure) -> bool {
        made < self.max_attempts
            && failure.retryable != Some(false)
            && !failure
                .code
                .is_some_and(|code| self.non_retryable_codes.contains(&code))
            && !failure
                .kind
                .as_ref()
                .is_some_and(|kind| self.non_retryable_kinds.contains(kind))
    }

    /// Milliseconds to wait before the next attempt, `made` attempts having been made (from 1).
    /// `random` is any uniformly distributed number. A receiver's wish to wait longer is honoured, capped.
    pub fn delay_ms(&self, made: u32, failure: &Failure, random: u64) -> u64 {
        let doublings = match self.backoff {
            Backoff::Fixed => 0,
            Backoff::Exponential => made.saturating_sub(1).min(63),
        };
        let base = self.delay_ms.saturating_mul(1 << doublings).min(self.max_delay_ms);
        let jitter = base.saturating_mul(u64::from(self.jitter_percent.min(100))) / 100;
        let shortened = if jitter == 0 {
            base
        } else {
            base - random % (jitter + 1)
        };
        let asked = failure.retry_after_ms.unwrap_or(0).min(RETRY_AFTER_CAP_MS);
        shortened.max(asked)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(backoff: Backoff) -> RetryPolicy {
        RetryPolicy {
            max_attempts: 4,
            backoff,
            delay_ms: 100,
            max_delay_ms: 300,
            ..RetryPolicy::default()
        }
    }

    #[test]
    fn exponential_delay_doubles_up_to_the_cap() {
        let failure = Failure::default();
        let delays: Vec<u64> = (1..5)
            .map(|made| policy(Backoff::Exponential).delay_ms(made, &failure, 7))
            .collect();
        assert_eq!(delays, [100, 200, 300, 300]);
        assert_eq!(policy(Backoff::Fixed).delay_ms(3, &failure, 7), 100);
    }

    #[test]
    fn retry_after_lengthens_but_never_shortens_and_is_capped() {
        let asks = |ms| Failure {
            retry_after_ms: Some(ms),
            ..Failure::default()
        };
        assert_eq!(policy(Backoff::Fixed).delay_ms(1, &asks(5_000), 0), 5_000);
        assert_eq!(policy(Backoff::Fixed).delay_ms(1, &asks(5), 0), 100);
        assert_eq!(
            policy(Backoff::Fixed).delay_ms(1, &asks(u64::MAX), 0),
            RETRY_AFTER_CAP_MS
        );
    }

    #[test]
    fn full_jitter_stays_between_zero_and_the_delay() {
        let policy = RetryPolicy {
            jitter_percent: 100,
            ..policy(Backoff::Fixed)
        };
        let delays: Vec<u64> = (0..500)
            .map(|random| policy.delay_ms(1, &Failure::default(), random))
            .collect();
        assert!(delays.iter().all(|delay| *delay <= 100));
        assert!(delays.contains(&0) && delays.contains(&100));
    }

    #[test]
    fn permanent_failures_and_listed_codes_end_at_once() {
        let policy = RetryPolicy {
            non_retryable_codes: vec![404],
            non_retryable_kinds: vec!["blocked".into()],
            ..policy(Backoff::Fixed)
        };
        assert!(policy.allows(3, &Failure::new("x", "m")));
        assert!(!policy.allows(4, &Failure::new("x", "m")));
        assert!(!policy.allows(1, &Failure::permanent("x", "m")));
        assert!(!policy.allows(1, &Failure::new("blocked", "m")));
        assert!(!policy.allows(
            1,
            &Failure {
                code: Some(404),
                ..Failure::default()
            }
        ));
    }

    #[test]
    fn huge_settings_do_not_overflow() {
        let policy = RetryPolicy {
            max_attempts: u32::MAX,
            backoff: Backoff::Exponential,
            delay_ms: u64::MAX,
            max_delay_ms: u64::MAX,
            jitter_percent: 255,
            ..RetryPolicy::default()
        };
        assert!(policy.delay_ms(u32::MAX, &Failure::default(), u64::MAX) > u64::MAX / 2);
    }
}
