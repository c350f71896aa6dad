//! A call under way, as the figures and the circuit see it.

use std::sync::Arc;

use quintet_core::outcome::Outcome;
use quintet_core::time::Time;

use super::Member;
use crate::backend::figures::Calls;
use crate::backend::wire::Presence;

/// A call under way. Dropped without an end when the attempt is called off.
pub(in crate::backend) struct Pass {
    member: Arc<Member>,
    began: Time,
    is_trial: bool,
    was_away: bool,
    is_counted: bool,
}

impl Pass {
    /// One that the circuit has admitted, and that is counted among those in flight already.
    pub(super) fn new(member: &Arc<Member>, is_trial: bool) -> Self {
        Self {
            member: Arc::clone(member),
            began: member.clock.now(),
            is_trial,
            was_away: false,
            is_counted: false,
        }
    }

    /// What the call says about the backend; it may go on.
    pub async fn learn(&mut self, presence: Presence) {
        self.was_away = presence != Presence::There;
        let says_nothing = matches!(presence, Presence::Silent(_));
        self.member.learn(presence).await;
        if says_nothing {
            self.leave_trial();
        }
        self.is_trial = false;
    }

    /// The call is over.
    pub fn close(mut self, outcome: &Outcome) {
        let was_away = self.was_away;
        self.count(|calls| match outcome {
            Outcome::Succeeded(_) => calls.succeeded += 1,
            Outcome::Failed(_) if was_away => calls.unavailable += 1,
            Outcome::Failed(_) => calls.failed += 1,
        });
    }

    fn count(&mut self, count: impl FnOnce(&mut Calls)) {
        if std::mem::replace(&mut self.is_counted, true) {
            return;
        }
        let ms = self.member.clock.now().ms_since(self.began);
        let mut state = self.member.state();
        state.in_flight -= 1;
        state.calls.seconds += ms as f64 / 1_000.0;
        count(&mut state.calls);
    }

    fn leave_trial(&mut self) {
        if std::mem::replace(&mut self.is_trial, false) {
            self.member.state().breaker.trial_abandoned();
            self.member.announce();
        }
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        self.count(|calls| calls.abandoned += 1);
        self.leave_trial();
    }
}
