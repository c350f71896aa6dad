//! Answers of executors. Every one is fenced by the attempt's token: what is not under way under exactly
//! this attempt number is refused and changes nothing.

use std::collections::HashSet;
use std::sync::Arc;

use super::{Decision, StepError};
use crate::apply::IllegalEvent;
use crate::command::Rejected;
use crate::effect::Effect;
use crate::event::Event;
use crate::machine::StepStatus;
use crate::outcome::{Failure, Outcome, Token};
use crate::state::Class;

impl Decision<'_, '_> {
    fn fence(&self, token: Token) -> Result<(), Rejected> {
        let Some(node) = self.state.nodes.get(token.node as usize) else {
            return Err(Rejected::UnknownStep(format!("#{}", token.node)));
        };
        if node.is_claimed() && node.attempt == token.attempt {
            return Ok(());
        }
        Err(Rejected::Superseded {
            attempt: token.attempt,
            current: node.attempt,
            status: node.status,
        })
    }

    pub(super) fn complete(&mut self, token: Token, outcome: Outcome) -> Result<(), StepError> {
        self.fence(token)?;
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
            return self.emit(Event::StepRetrying { n, a, failure, at });
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
    pub(super) fn recover(&mut self, alive: &[u64], held: &HashSet<Token>) -> Result<(), StepError> {
        if self.state.count(Class::Claimed) == 0 {
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
            let is_held = alive.contains(&node.owner) && (node.owner != self.cx.owner || held.contains(&token));
            if !node.is_claimed() || is_held {
                continue;
            }
            let (a, limit) = (node.attempt, plan.spec.steps[node.step as usize].retry.max_lost);
            if node.lost < limit {
                self.emit(Event::AttemptLost { n, a })?;
                continue;
            }
            let message = format!(
                "{} attempts in a row were lost with the process that made them",
                node.lost + 1
            );
            let failure = Arc::new(Failure::permanent("lost", message));
            self.emit(Event::StepFailed { n, a, failure })?;
            self.judge_items(n)?;
        }
        Ok(())
    }
}
