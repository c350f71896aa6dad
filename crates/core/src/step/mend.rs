//! What people ask of a run that went wrong: retry, rerun, resolve.
//!
//! All three first decide which step runs go back to `pending`: the ones asked for, and what was skipped
//! (or, for a rerun, done) because of how they had ended.

use std::collections::HashSet;
use std::sync::Arc;

use serde_json::Value;

use super::{Decision, StepError};
use crate::apply::IllegalEvent;
use crate::command::Rejected;
use crate::event::{Event, SkipCause};
use crate::machine::{RunStatus, StepStatus};
use crate::state::{Hold, Node, Verdict};

/// Which settled successors go back together with a step.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Following {
    /// Those that were skipped or called off.
    NotRun,
    /// All that are not simply waiting.
    All,
}

impl Decision<'_, '_> {
    pub(super) fn retry(&mut self, step: Option<String>, by: Option<String>) -> Result<(), StepError> {
        let failed: Vec<u32> = match step {
            Some(name) => {
                let n = self.node_named(&name)?;
                let status = self.state.nodes[n as usize].status;
                if !matches!(status, StepStatus::Error | StepStatus::Cancelled) {
                    return Err(Rejected::WrongStepStatus { step: name, status }.into());
                }
                let item = self.state.nodes[n as usize].item;
                vec![item.map_or(n, |item| item.parent)]
            }
            None => self.to_mend(),
        };
        let nodes = self.with_items(self.closure(failed, Following::NotRun));
        if nodes.is_empty() {
            return Err(Rejected::NothingFailed.into());
        }
        Ok(self.reset(nodes, by)?)
    }

    /// Steps that failed, or that were called off with the run.
    fn to_mend(&self) -> Vec<u32> {
        let called_off = matches!(
            self.state.status,
            RunStatus::Cancelled | RunStatus::Error | RunStatus::ResolvedManually
        );
        let wanted = |node: &Node| {
            node.counts_as_failed(&self.state.plan) || (called_off && node.status == StepStatus::Cancelled)
        };
        let steps = self.state.nodes[..self.state.plan.len()].iter().enumerate();
        steps.filter(|(_, node)| wanted(node)).map(|(n, _)| n as u32).collect()
    }

    pub(super) fn rerun(&mut self, step: &str, by: Option<String>) -> Result<(), StepError> {
        let n = self.node_named(step)?;
        if self.state.nodes[n as usize].item.is_some() {
            return Err(Rejected::UnknownStep(step.to_owned()).into());
        }
        let nodes = self.closure(vec![n], Following::All);
        for &n in &nodes {
            let status = self.state.nodes[n as usize].status;
            if !status.is_settled() && (status != StepStatus::Pending) {
                return Err(Rejected::WrongStepStatus {
                    step: self.state.name_of(n),
                    status,
                }
                .into());
            }
        }
        if !self.state.nodes[n as usize].status.is_settled() {
            let status = self.state.nodes[n as usize].status;
            return Err(Rejected::WrongStepStatus {
                step: step.to_owned(),
                status,
            }
            .into());
        }
        Ok(self.reset(nodes, by)?)
    }

    pub(super) fn resolve(
        &mut self,
        step: &str,
        (by, reason): (Option<String>, Option<String>),
        output: Option<Value>,
    ) -> Result<(), StepError> {
        let n = self.node_named(step)?;
        let node = &self.state.nodes[n as usize];
        if node.item.is_some() || node.fan.is_some() && !node.status.is_settled() {
            return Err(Rejected::WrongStepStatus {
                step: step.to_owned(),
                status: node.status,
            }
            .into());
        }
        if node.is_claimed() {
            let token = crate::outcome::Token {
                run: self.state.id,
                node: n,
                attempt: node.attempt,
            };
            self.out.effects.push(crate::effect::Effect::CancelAttempt(token));
        }
        if node.status == StepStatus::Enqueued {
            self.out.effects.push(crate::effect::Effect::Dequeue { node: n });
        }
        if matches!(
            node.status,
            StepStatus::Error | StepStatus::Cancelled | StepStatus::Skipped
        ) {
            let nodes = self.closure(vec![n], Following::NotRun);
            self.reset(nodes, by.clone())?;
        }
        let output = output.map(Arc::new);
        Ok(self.emit(Event::StepResolved { n, by, reason, output })?)
    }

    fn reset(&mut self, nodes: Vec<u32>, by: Option<String>) -> Result<(), IllegalEvent> {
        self.emit(Event::StepsReset { nodes, by })?;
        if self.state.status.is_terminal() || self.state.status == RunStatus::BlockedByFailures {
            self.emit(Event::RunMoved {
                to: RunStatus::WaitingForDependencies,
            })?;
        }
        Ok(())
    }

    /// The steps, and everything after them that goes back with them.
    fn closure(&self, roots: Vec<u32>, following: Following) -> Vec<u32> {
        let mut seen: HashSet<u32> = roots.iter().copied().collect();
        let mut open = roots;
        while let Some(n) = open.pop() {
            for edge in &self.state.plan.steps[n as usize].successors {
                if self.goes_back(edge.step, following) && seen.insert(edge.step) {
                    open.push(edge.step);
                }
            }
        }
        let mut nodes: Vec<u32> = seen.into_iter().collect();
        nodes.sort_unstable();
        nodes
    }

    fn goes_back(&self, n: u32, following: Following) -> bool {
        let node = &self.state.nodes[n as usize];
        match following {
            Following::All => true,
            Following::NotRun => match node.status {
                StepStatus::Skipped => node.verdict != Verdict::Skip(SkipCause::ConditionFalse),
                StepStatus::Pending => node.verdict != Verdict::Start,
                StepStatus::Cancelled => true,
                _ => false,
            },
        }
    }

    /// Adds the failed items of `for_each` steps that are tried again, and of those that are still under way.
    fn with_items(&self, nodes: Vec<u32>) -> Vec<u32> {
        let optional = |n: u32| self.state.plan.spec.steps[n as usize].optional;
        let mut fans: Vec<u32> = nodes.iter().copied().filter(|&n| self.has_ended_badly(n)).collect();
        let steps = 0..self.state.plan.len() as u32;
        fans.extend(steps.filter(|&n| self.state.nodes[n as usize].hold == Hold::Items && !optional(n)));
        let mut all = nodes;
        for fan in fans.iter().filter_map(|&n| self.state.nodes[n as usize].fan.as_ref()) {
            let items = fan.first..fan.first + fan.count;
            all.extend(items.filter(|&item| self.has_ended_badly(item)));
        }
        all
    }

    fn has_ended_badly(&self, n: u32) -> bool {
        self.state.nodes[n as usize].status == StepStatus::Error
    }
}
