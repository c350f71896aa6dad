//! The circuit of one backend, as a machine that is told what happened and when.
//!
//! *Closed*, calls go out. *Open*, none does; only its health is asked, with growing pauses. When that is good, the circuit
//! is *half-open*: one call goes out, all others wait for what comes of it. Any answer closes the circuit, a failure of
//! the kind that dead backends cause opens it again. A trial that takes long holds the others up only for a while: good
//! health closes the circuit then.

use quintet_core::time::Time;
use serde::Serialize;

/// Whether calls go out to a backend.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Circuit {
    /// They do.
    Closed,
    /// None does.
    Open,
    /// One does, to see what comes of it.
    HalfOpen,
}

impl Circuit {
    /// As in the API.
    pub const fn as_str(self) -> &'static str {
        match self {
            Circuit::Closed => "closed",
            Circuit::Open => "open",
            Circuit::HalfOpen => "half_open",
        }
    }
}

/// What a call that wants to go out may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Admission {
    /// Go.
    Pass,
    /// Go, as the one that shows whether others may.
    Trial,
    /// Wait until something changes, and for so many milliseconds at most; then ask for its health, and again here.
    Wait(u64),
    /// Do not go; the next probe is due after so many milliseconds.
    Refused(u64),
}

/// When the circuit changes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    pub failures_to_open: u32,
    pub probe_min_ms: u64,
    pub probe_max_ms: u64,
    pub trial_ms: u64,
}

#[derive(Debug)]
pub(super) struct Breaker {
    limits: Limits,
    circuit: Circuit,
    since: Time,
    has_been_healthy: bool,
    /// Failures in a row, of the kind that dead backends cause.
    failures: u32,
    /// When the call that tries a half-open circuit went out.
    trial_since: Option<Time>,
    /// Before the next probe.
    pause_ms: u64,
    probe_at: Time,
}

impl Breaker {
    pub fn new(limits: Limits, now: Time) -> Self {
        Self {
            limits,
            circuit: Circuit::Closed,
            since: now,
            has_been_healthy: false,
            failures: 0,
            trial_since: None,
            pause_ms: limits.probe_min_ms,
            probe_at: now,
        }
    }

    pub fn circuit(&self) -> Circuit {
        self.circuit
    }

    /// Since when the circuit is what it is.
    pub fn since(&self) -> Time {
        self.since
    }

    /// It was healthy at some time that this process has not seen.
    pub fn trust(&mut self) {
        self.has_been_healthy = true;
    }

    pub fn has_been_healthy(&self) -> bool {
        self.has_been_healthy
    }

    /// Whether a call may go out. Who gets [`Admission::Trial`] must tell how it ended.
    pub fn admit(&mut self, now: Time) -> Admission {
        match (self.circuit, self.trial_since) {
            (Circuit::Closed, _) => Admission::Pass,
            (Circuit::Open, _) => Admission::Refused(self.probe_at.ms_since(now)),
            (Circuit::HalfOpen, None) => {
                self.trial_since = Some(now);
                Admission::Trial
            }
            (Circuit::HalfOpen, Some(since)) => {
                Admission::Wait(self.limits.trial_ms.saturating_sub(now.ms_since(since)))
            }
        }
    }

    /// A call was answered, well or badly.
    pub fn answered(&mut self, now: Time) {
        self.failures = 0;
        match self.circuit {
            Circuit::HalfOpen => self.close(now),
            // A call that went out earlier says little about now: the probe does.
            Circuit::Open | Circuit::Closed => {}
        }
    }

    /// A call failed as calls to a dead backend do, although the backend says that it is healthy.
    pub fn failed(&mut self, now: Time) {
        self.failures = self.failures.saturating_add(1);
        match self.circuit {
            Circuit::HalfOpen => self.open(now),
            Circuit::Closed if self.failures >= self.limits.failures_to_open => self.open(now),
            Circuit::Closed | Circuit::Open => {}
        }
    }

    /// The call that tried a half-open circuit ended in a way that says nothing.
    pub fn trial_abandoned(&mut self) {
        self.trial_since = None;
    }

    /// Its health was asked, and is good.
    pub fn healthy(&mut self, now: Time) {
        self.has_been_healthy = true;
        match (self.circuit, self.trial_since) {
            (Circuit::Open, _) => self.turn(Circuit::HalfOpen, now),
            (Circuit::HalfOpen, Some(since)) if now.ms_since(since) >= self.limits.trial_ms => self.close(now),
            (Circuit::HalfOpen | Circuit::Closed, _) => {}
        }
    }

    /// Its health was asked, and is bad.
    pub fn unhealthy(&mut self, now: Time) {
        match self.circuit {
            Circuit::Closed if !self.has_been_healthy => {}
            Circuit::Closed | Circuit::HalfOpen => self.open(now),
            Circuit::Open => {}
        }
    }

    /// Milliseconds before the next probe, which is due if the circuit is open; each is longer than the one before.
    pub fn next_pause_ms(&mut self, now: Time) -> Option<u64> {
        if self.circuit != Circuit::Open {
            return None;
        }
        let pause_ms = self.pause_ms;
        self.probe_at = now.plus_ms(pause_ms);
        self.pause_ms = (pause_ms * 2).min(self.limits.probe_max_ms);
        Some(pause_ms)
    }

    fn open(&mut self, now: Time) {
        self.turn(Circuit::Open, now);
        self.probe_at = now.plus_ms(self.pause_ms);
    }

    fn close(&mut self, now: Time) {
        self.turn(Circuit::Closed, now);
        self.failures = 0;
        self.pause_ms = self.limits.probe_min_ms;
    }

    fn turn(&mut self, circuit: Circuit, now: Time) {
        self.circuit = circuit;
        self.since = now;
        self.trial_since = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits {
        failures_to_open: 3,
        probe_min_ms: 1_000,
        probe_max_ms: 10_000,
        trial_ms: 2_000,
    };

    fn at(ms: u64) -> Time {
        Time(0).plus_ms(ms)
    }

    fn healthy() -> Breaker {
        let mut breaker = Breaker::new(LIMITS, at(0));
        breaker.healthy(at(0));
        breaker
    }

    fn half_open() -> Breaker {
        let mut breaker = healthy();
        breaker.unhealthy(at(1));
        breaker.healthy(at(2));
        assert_eq!(breaker.circuit(), Circuit::HalfOpen);
        breaker
    }

    #[test]
    fn a_backend_that_was_never_healthy_holds_no_work() {
        let mut breaker = Breaker::new(LIMITS, at(0));
        breaker.unhealthy(at(1));
        assert_eq!(
            (breaker.circuit(), breaker.admit(at(2))),
            (Circuit::Closed, Admission::Pass)
        );
        breaker.healthy(at(3));
        breaker.unhealthy(at(4));
        assert_eq!((breaker.circuit(), breaker.since()), (Circuit::Open, at(4)));
    }

    #[test]
    fn failures_open_it_only_in_a_row() {
        let mut breaker = healthy();
        breaker.failed(at(1));
        breaker.failed(at(2));
        breaker.answered(at(3));
        breaker.failed(at(4));
        breaker.failed(at(5));
        assert_eq!(breaker.circuit(), Circuit::Closed);
        breaker.failed(at(6));
        assert_eq!(breaker.circuit(), Circuit::Open);
        assert_eq!(breaker.admit(at(106)), Admission::Refused(900));
    }

    #[test]
    fn half_open_lets_one_call_through_and_its_answer_closes() {
        let mut breaker = half_open();
        assert_eq!(breaker.admit(at(10)), Admission::Trial);
        assert_eq!(breaker.admit(at(510)), Admission::Wait(1_500));
        breaker.answered(at(600));
        assert_eq!(
            (breaker.circuit(), breaker.admit(at(601))),
            (Circuit::Closed, Admission::Pass)
        );
    }

    #[test]
    fn a_failed_trial_opens_it_again_at_once() {
        let mut breaker = half_open();
        assert_eq!(breaker.admit(at(10)), Admission::Trial);
        breaker.failed(at(11));
        assert_eq!(breaker.circuit(), Circuit::Open);
    }

    #[test]
    fn an_abandoned_trial_leaves_the_turn_to_the_next_call() {
        let mut breaker = half_open();
        assert_eq!(breaker.admit(at(10)), Admission::Trial);
        breaker.trial_abandoned();
        assert_eq!(
            (breaker.circuit(), breaker.admit(at(11))),
            (Circuit::HalfOpen, Admission::Trial)
        );
    }

    #[test]
    fn a_trial_that_takes_long_holds_others_up_only_while_health_is_not_known_to_be_good() {
        let mut breaker = half_open();
        assert_eq!(breaker.admit(at(10)), Admission::Trial);
        breaker.healthy(at(1_000));
        assert_eq!(breaker.circuit(), Circuit::HalfOpen);
        assert_eq!(breaker.admit(at(2_010)), Admission::Wait(0));
        breaker.healthy(at(2_011));
        assert_eq!(breaker.circuit(), Circuit::Closed);
    }

    #[test]
    fn probes_come_in_growing_pauses_until_it_closes() {
        let mut breaker = healthy();
        assert_eq!(breaker.next_pause_ms(at(0)), None);
        breaker.unhealthy(at(0));
        let pauses: Vec<_> = (0..6).filter_map(|_| breaker.next_pause_ms(at(0))).collect();
        assert_eq!(pauses, [1_000, 2_000, 4_000, 8_000, 10_000, 10_000]);
        breaker.healthy(at(1));
        assert_eq!(breaker.next_pause_ms(at(1)), None);
        breaker.unhealthy(at(2));
        assert_eq!(breaker.next_pause_ms(at(2)), Some(10_000), "it was never closed");
        breaker.healthy(at(3));
        breaker.admit(at(3));
        breaker.answered(at(4));
        breaker.unhealthy(at(5));
        assert_eq!(breaker.next_pause_ms(at(5)), Some(1_000));
    }

    #[test]
    fn a_late_answer_of_an_earlier_call_does_not_close_an_open_circuit() {
        let mut breaker = healthy();
        breaker.unhealthy(at(1));
        breaker.answered(at(2));
        assert_eq!(breaker.circuit(), Circuit::Open);
    }
}
