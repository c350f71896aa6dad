//! What people ask of a run that is going: approve, reject, pause, resume, cancel.

use serde_json::Value;

use super::{Decision, StepError};
use crate::command::Rejected;
use crate::event::Event;
use crate::machine::RunStatus;
use crate::plan::StepSpec;
use crate::state::{Class, Hold};

/// Whether a refused `approval` step lets the run go on with the refusal as its result.
pub(super) fn goes_on(step: &StepSpec) -> bool {
    step.action.eq_ignore_ascii_case("approval")
        && step
            .input
            .get("on_reject")
            .and_then(Value::as_str)
            .is_some_and(|word| word == "continue")
}

impl Decision<'_, '_> {
    /// The step run that the answer is for.
    fn awaiting_approval(&self, step: Option<String>) -> Result<u32, Rejected> {
        self.must_be_live()?;
        if let Some(name) = step {
            let n = self.node_named(&name)?;
            let node = &self.state.nodes[n as usize];
            return match node.hold {
                Hold::Approval => Ok(n),
                _ => Err(Rejected::WrongStepStatus {
                    step: name,
                    status: node.status,
                }),
            };
        }
        if self.state.count(Class::Approving) == 0 {
            return Err(Rejected::NothingToApprove);
        }
        let first = self.state.nodes.iter().position(|node| node.hold == Hold::Approval);
        first.map(|n| n as u32).ok_or(Rejected::NothingToApprove)
    }

    pub(super) fn approve(
        &mut self,
        step: Option<String>,
        by: Option<String>,
        comment: Option<String>,
    ) -> Result<(), StepError> {
        let n = self.awaiting_approval(step)?;
        Ok(self.emit(Event::ApprovalGranted { n, by, comment })?)
    }

    pub(super) fn reject(
        &mut self,
        step: Option<String>,
        by: Option<String>,
        comment: Option<String>,
    ) -> Result<(), StepError> {
        let n = self.awaiting_approval(step)?;
        let go_on = goes_on(&self.state.plan.spec.steps[self.state.nodes[n as usize].step as usize]);
        Ok(self.emit(Event::ApprovalRejected { n, by, comment, go_on })?)
    }

    pub(super) fn pause(&mut self, by: Option<String>, reason: Option<String>) -> Result<(), StepError> {
        self.must_be_live()?;
        if matches!(self.state.status, RunStatus::Paused | RunStatus::BlockedByFailures) {
            return Err(Rejected::WrongRunStatus(self.state.status).into());
        }
        Ok(self.emit(Event::RunPaused { by, reason })?)
    }

    pub(super) fn resume(&mut self, by: Option<String>, reason: Option<String>) -> Result<(), StepError> {
        if self.state.status != RunStatus::Paused {
            return Err(Rejected::WrongRunStatus(self.state.status).into());
        }
        Ok(self.emit(Event::RunResumed { by, reason })?)
    }

    /// Unlike a cancelled run, a resolved one counts as dealt with.
    pub(super) fn resolve_run(&mut self, by: Option<String>, reason: Option<String>) -> Result<(), StepError> {
        self.must_be_live()?;
        self.cancel_attempts();
        self.dequeue_all();
        Ok(self.emit(Event::RunResolved { by, reason })?)
    }

    pub(super) fn cancel(&mut self, by: Option<String>, reason: Option<String>, forced: bool) -> Result<(), StepError> {
        self.must_be_live()?;
        self.cancel_attempts();
        self.dequeue_all();
        Ok(self.emit(Event::RunCancelled { by, reason, forced })?)
    }

    /// A failed run is taken up again first, so that it ends as every other run does that is called off.
    pub(super) fn call_off(
        &mut self,
        by: Option<String>,
        reason: Option<String>,
        forced: bool,
    ) -> Result<(), StepError> {
        if self.state.status == RunStatus::Error {
            self.emit(Event::RunMoved {
                to: RunStatus::WaitingForDependencies,
            })?;
        }
        self.cancel(by, reason, forced)
    }
}
