//! Answers of executors. Every one is fenced twice: by the attempt's number, for what is not under way under exactly
//! this number changes nothing; and by its deadline, for from that instant on only the clock may end the attempt. A
//! refusal says which of the fences it met, and what had happened instead.

use std::collections::HashSet;
use std::sync::Arc;

use serde::Serialize;
use sha2::{Digest as _, Sha256};

use super::{Decision, StepError, clock};
use crate::apply::IllegalEvent;
use crate::command::Rejected;
use crate::effect::Effect;
use crate::event::Event;
use crate::machine::StepStatus;
use crate::outcome::{Failure, Outcome, Success, Token};
use crate::plan::Digest;
use crate::state::Node;
use crate::time::Time;

/// How an attempt ended that is no longer under way.
enum End<'n> {
    /// By this answer of its executor.
    Answered(Answer<'n>),
    /// By the clock.
    Expired,
    /// Some other way: it was lost, called off or settled by hand; or it is too long ago to be told.
    Elsewise,
}

/// An answer that was recorded.
#[derive(Serialize)]
#[serde(rename_all = "snake_case")]
enum Answer<'n> {
    Succeeded(&'n Success),
    Failed(&'n Failure),
}

impl Answer<'_> {
    /// SHA-256 of its compact JSON.
    fn digest(&self) -> Digest {
        let json = serde_json::to_vec(self).unwrap_or_default();
        Digest(Sha256::digest(&json).into())
    }
}

impl Decision<'_, '_> {
    /// Lets through what comes under the attempt under way, and in time.
    fn fence(&self, token: Token) -> Result<(), Rejected> {
        let Some(node) = self.state.nodes.get(token.node as usize) else {
            return Err(Rejected::UnknownStep(format!("#{}", token.node)));
        };
        let (attempt, current, status) = (token.attempt, node.attempt, node.status);
        if attempt == 0 || attempt > current {
            return Err(Rejected::NeverIssued { attempt, current });
        }
        if attempt < current {
            return Err(Rejected::Superseded {
                attempt,
                current,
                status,
            });
        }
        if node.is_claimed() {
            // Late is late, also while nobody has looked at the clock yet: otherwise it would be chance whether the
            // answer or the clock comes first, and two who look at different times would disagree.
            return match node.timer {
                Some(deadline) if deadline <= self.cx.now => Err(Rejected::Expired { attempt, status }),
                _ => Ok(()),
            };
        }
        Err(match self.last_end(node) {
            End::Answered(answer) => Rejected::Recorded {
                attempt,
                status,
                outcome: answer.digest(),
            },
            End::Expired => Rejected::Expired { attempt, status },
            End::Elsewise => Rejected::Superseded {
                attempt,
                current,
                status,
            },
        })
    }

    /// How the last attempt of a step run ended, as far as the step run still shows it: the next attempt, a reset and a
    /// person's hand take the place of what was recorded.
    fn last_end<'n>(&self, node: &'n Node) -> End<'n> {
        match node.status {
            StepStatus::Complete => match &node.success {
                Some(success) if !is_settled_by_hand(node) => End::Answered(Answer::Succeeded(success)),
                _ => End::Elsewise,
            },
            StepStatus::WaitingForRetry | StepStatus::Error => match &node.failure {
                Some(failure) if node.ready_at <= node.started_at => self.judge(node, failure),
                _ => End::Elsewise,
            },
            StepStatus::Pending
            | StepStatus::Enqueued
            | StepStatus::InProgress
            | StepStatus::EnqueuedForOrchestration
            | StepStatus::EnqueuedAsErrorForOrchestration
            | StepStatus::Cancelled
            | StepStatus::ResolvedManually
            | StepStatus::Skipped => End::Elsewise,
        }
    }

    /// A failure may also be what was found about an attempt that did not answer.
    fn judge<'n>(&self, node: &Node, failure: &'n Failure) -> End<'n> {
        let timeouts = &self.state.plan.spec.steps[node.step as usize].timeouts;
        let by_clock = [clock::overrun, clock::outlasted, clock::silence];
        if by_clock.iter().any(|recorded| *failure == recorded(timeouts)) {
            End::Expired
        } else if *failure == lost_too_often(node.lost) {
            End::Elsewise
        } else {
            End::Answered(Answer::Failed(failure))
        }
    }

    /// Whether this very answer was the one that ended the attempt.
    fn is_recorded(&self, token: Token, outcome: &Outcome) -> bool {
        let node = self.state.nodes.get(token.node as usize);
        let Some(node) = node.filter(|node| node.attempt == token.attempt && !node.is_claimed()) else {
            return false;
        };
        match (self.last_end(node), outcome) {
            (End::Answered(Answer::Succeeded(recorded)), Outcome::Succeeded(success)) => recorded == success,
            (End::Answered(Answer::Failed(recorded)), Outcome::Failed(failure)) => recorded == failure,
            _ => false,
        }
    }

    /// An answer counts once. The same answer again is no fault of the executor's, which may not have heard that
    /// the first one arrived: it changes nothing, and is told that all is well.
    pub(super) fn complete(&mut self, token: Token, outcome: Outcome) -> Result<(), StepError> {
        if let Err(refused) = self.fence(token) {
            return if self.is_recorded(token, &outcome) {
                Ok(())
            } else {
                Err(refused.into())
            };
        }
        match outcome {
            Outcome::Succeeded(success) => {
                let success = Arc::new(success);
                self.emit(Event::StepSucceeded {
                    n: token.node,
                    a: token.attempt,
                    success,
                })?;
                self.judge_items(token.node)?;
            }
            Outcome::Failed(failure) => self.attempt_failed(token, failure)?,
        }
        Ok(())
    }

    /// Retries if the policy allows, fails for good if not.
    pub(super) fn attempt_failed(&mut self, token: Token, failure: Failure) -> Result<(), IllegalEvent> {
        let (n, a) = (token.node, token.attempt);
        let node = &self.state.nodes[n as usize];
        let made = node.tries + 1;
        let plan = Arc::clone(&self.state.plan);
        let policy = &plan.spec.steps[node.step as usize].retry;
        let failure = Arc::new(failure);
        if policy.allows(made, &failure) && !self.state.is_tripped() && !self.state.stopped {
            let random = self.cx.ids.next_bits() as u64;
            let at = self.cx.now.plus_ms(policy.delay_ms(made, &failure, random));
            let node = &self.state.nodes[n as usize];
            let spent_ms = node.spent_ms + at.ms_since(node.started_at.unwrap_or(at));
            let total_ms = plan.spec.steps[node.step as usize].timeouts.total_ms;
            if total_ms.is_none_or(|total_ms| spent_ms < total_ms) {
                return self.emit(Event::StepRetrying { n, a, failure, at });
            }
        }
        self.emit(Event::StepFailed { n, a, failure })?;
        self.judge_items(n)
    }

    pub(super) fn heartbeat(
        &mut self,
        token: Token,
        progress: Option<f64>,
        message: Option<String>,
    ) -> Result<(), StepError> {
        self.fence(token)?;
        let step = self.state.nodes[token.node as usize].step as usize;
        let limit = self.state.plan.spec.steps[step].timeouts.heartbeat_ms;
        let beat_by = limit.map(|ms| self.cx.now.plus_ms(ms));
        let progress = progress
            .filter(|progress| progress.is_finite())
            .map(|progress| progress.clamp(0.0, 100.0));
        if beat_by.is_some() || progress.is_some() || message.is_some() {
            self.emit(Event::StepProgressed {
                n: token.node,
                a: token.attempt,
                beat_by,
                progress,
                message,
            })?;
        }
        Ok(())
    }

    /// Somebody outside has it: it is not lost with the process that handed it out.
    pub(super) fn accept(&mut self, token: Token) -> Result<(), StepError> {
        self.fence(token)?;
        let node = &self.state.nodes[token.node as usize];
        if !node.is_outside() {
            let limit = self.state.plan.spec.steps[node.step as usize].timeouts.heartbeat_ms;
            self.emit(Event::AttemptAccepted {
                n: token.node,
                a: token.attempt,
                beat_by: limit.map(|ms| self.cx.now.plus_ms(ms)),
            })?;
        }
        Ok(())
    }

    /// An executor that has a free slot takes a step that waited for one.
    pub(super) fn claim(&mut self, n: u32) -> Result<(), StepError> {
        self.must_be_live()?;
        let Some(node) = self.state.nodes.get(n as usize) else {
            return Err(Rejected::UnknownStep(format!("#{n}")).into());
        };
        if node.status != StepStatus::Enqueued {
            return Err(Rejected::WrongStepStatus {
                step: self.state.name_of(n),
                status: node.status,
            }
            .into());
        }
        if self.state.is_halted() {
            return Err(Rejected::Held.into());
        }
        let plan = Arc::clone(&self.state.plan);
        self.out.effects.push(Effect::Dequeue { node: n });
        self.hand_out(&plan, n)?;
        Ok(())
    }

    /// What dead processes held is made again under a new attempt number, up to a limit: a step that takes
    /// its process down with it each time must not do so for ever.
    pub(super) fn recover(&mut self, alive: &[u64], held: &HashSet<Token>, as_of: Time) -> Result<(), StepError> {
        if self.state.claims() == 0 {
            return Ok(());
        }
        let plan = Arc::clone(&self.state.plan);
        for n in 0..self.state.nodes.len() as u32 {
            let node = &self.state.nodes[n as usize];
            let token = Token {
                run: self.state.id,
                node: n,
                attempt: node.attempt,
            };
            let is_held = if node.owner == self.cx.owner {
                alive.contains(&node.owner) && held.contains(&token)
            } else {
                alive.contains(&node.owner) || node.started_at.is_some_and(|at| at >= as_of)
            };
            if !node.is_claimed() || node.is_outside() || is_held {
                continue;
            }
            let (a, limit) = (node.attempt, plan.spec.steps[node.step as usize].retry.max_lost);
            if node.lost < limit {
                self.emit(Event::AttemptLost { n, a })?;
                continue;
            }
            let failure = Arc::new(lost_too_often(node.lost));
            self.emit(Event::StepFailed { n, a, failure })?;
            self.judge_items(n)?;
        }
        Ok(())
    }
}

/// Nothing but its time tells what a person settled from what an attempt did; that of an approval before the attempt is
/// earlier.
fn is_settled_by_hand(node: &Node) -> bool {
    node.approval
        .as_ref()
        .is_some_and(|note| Some(note.at) == node.ended_at)
}

fn lost_too_often(lost: u32) -> Failure {
    let message = format!(
        "{} attempts in a row were lost with the process that made them",
        lost + 1
    );
    Failure::permanent("lost", message)
}
