//! What the clock does: retries that are due, waits that are over, time limits that are passed.

use super::{Decision, StepError};
use crate::apply::IllegalEvent;
use crate::effect::Effect;
use crate::event::Event;
use crate::machine::StepStatus;
use crate::outcome::{Failure, Token};
use crate::plan::Timeouts;
use crate::state::{Class, DUE_TIMER, Hold, Node, RUN_TIMER};
use crate::time::Time;

impl Decision<'_, '_> {
    /// Fires everything that is due. Timers in the future stay; a tick that comes too early does nothing.
    pub(super) fn tick(&mut self) -> Result<(), StepError> {
        if self.state.status.is_terminal() {
            return Ok(());
        }
        while let Some(&(at, n)) = self.state.timers.first() {
            if at > self.cx.now || self.state.status.is_terminal() {
                break;
            }
            match n {
                RUN_TIMER => {
                    self.run_timed_out()?;
                    break;
                }
                DUE_TIMER => self.emit(Event::RunDue)?,
                n => self.fire(n)?,
            }
        }
        Ok(())
    }

    fn fire(&mut self, n: u32) -> Result<(), IllegalEvent> {
        let node = &self.state.nodes[n as usize];
        let step = &self.state.plan.spec.steps[node.step as usize];
        match (node.status, node.hold) {
            (StepStatus::WaitingForRetry, _) => self.emit(Event::RetryDue { n }),
            (StepStatus::InProgress, Hold::Timer) => {
                self.emit(Event::WaitElapsed { n })?;
                self.judge_items(n)
            }
            (StepStatus::Enqueued, _) => {
                let limit = step.timeouts.queue_ms.unwrap_or(0);
                self.out.effects.push(Effect::Dequeue { node: n });
                self.fail(
                    n,
                    Failure::permanent("queue_timeout", format!("not taken within {limit} ms")),
                )
            }
            (_, Hold::Approval) => {
                let limit = step.timeouts.approval_ms.unwrap_or(0);
                let comment = Some(format!("nobody answered within {limit} ms"));
                let go_on = super::control::goes_on(step);
                self.emit(Event::ApprovalRejected {
                    n,
                    by: None,
                    comment,
                    go_on,
                })
            }
            _ => self.attempt_timed_out(n),
        }
    }

    fn attempt_timed_out(&mut self, n: u32) -> Result<(), IllegalEvent> {
        let node = &self.state.nodes[n as usize];
        let timeouts = self.state.plan.spec.steps[node.step as usize].timeouts;
        let token = Token {
            run: self.state.id,
            node: n,
            attempt: node.attempt,
        };
        let failure = if is_outlasted(node, &timeouts, self.cx.now) {
            outlasted(&timeouts)
        } else if node.close_by.is_some_and(|at| at <= self.cx.now) {
            overrun(&timeouts)
        } else {
            silence(&timeouts)
        };
        self.out.effects.push(Effect::CancelAttempt(token));
        self.attempt_failed(token, failure)
    }

    fn run_timed_out(&mut self) -> Result<(), IllegalEvent> {
        self.cancel_attempts();
        self.dequeue_all();
        let limit_ms = self.state.plan.spec.settings.timeout_ms.unwrap_or(0);
        self.emit(Event::RunTimedOut { limit_ms })
    }

    /// Tells the executors of everything under way to stop.
    pub(super) fn cancel_attempts(&mut self) {
        if self.state.count(Class::Claimed) == 0 {
            return;
        }
        let run = self.state.id;
        let claimed = self
            .state
            .nodes
            .iter()
            .enumerate()
            .filter(|(_, node)| node.is_claimed());
        let tokens = claimed.map(|(n, node)| Token {
            run,
            node: n as u32,
            attempt: node.attempt,
        });
        self.out.effects.extend(tokens.map(Effect::CancelAttempt));
    }
}

/// Whether the attempts have had all the time that there was for them together.
fn is_outlasted(node: &Node, timeouts: &Timeouts, now: Time) -> bool {
    let taken_ms = now.ms_since(node.started_at.unwrap_or(now));
    timeouts
        .total_ms
        .is_some_and(|total_ms| node.spent_ms.saturating_add(taken_ms) >= total_ms)
}

/// What is recorded of a step whose attempts together took too long.
pub(super) fn outlasted(timeouts: &Timeouts) -> Failure {
    let limit = timeouts.total_ms.unwrap_or(0);
    Failure::permanent("timeout", format!("timed out after {limit} ms in all"))
}

/// What is recorded of an attempt that took too long.
pub(super) fn overrun(timeouts: &Timeouts) -> Failure {
    let limit = timeouts.attempt_ms.unwrap_or(0);
    Failure::new("timeout", format!("timed out after {limit} ms"))
}

/// What is recorded of an attempt that gave no sign of life.
pub(super) fn silence(timeouts: &Timeouts) -> Failure {
    let limit = timeouts.heartbeat_ms.unwrap_or(0);
    Failure::new("heartbeat_timeout", format!("no heartbeat for {limit} ms"))
}
