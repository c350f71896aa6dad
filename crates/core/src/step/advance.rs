//! Works off the agenda: steps whose joins are decided start, wait, ask or are skipped.

use std::sync::Arc;

use serde_json::Value;

use super::Decision;
use crate::apply::IllegalEvent;
use crate::effect::{Effect, Place};
use crate::event::Event;
use crate::expr::RenderError;
use crate::machine::RunStatus;
use crate::outcome::Failure;
use crate::plan::{FailurePolicy, MAX_ITEMS, Plan, StepKind, StepSpec};
use crate::scope::RunScope;
use crate::state::{Class, Verdict};
use crate::time::Time;

impl Decision<'_, '_> {
    /// Starts what may start. Each turn of the loop takes one node off the agenda.
    pub(super) fn advance(&mut self) -> Result<(), IllegalEvent> {
        let plan = Arc::clone(&self.state.plan);
        while let Some(n) = self.state.agenda.front() {
            if self.state.is_halted() {
                break;
            }
            if let Verdict::Skip(cause) = self.state.nodes[n as usize].verdict {
                self.emit(Event::StepSkipped { n, cause })?;
                continue;
            }
            if plan
                .spec
                .settings
                .max_concurrency
                .is_some_and(|limit| self.under_way() >= limit)
            {
                break;
            }
            self.begin(&plan, n)?;
        }
        Ok(())
    }

    /// Steps that occupy one of the run's places.
    fn under_way(&self) -> u32 {
        let state = &self.state;
        state.count(Class::Claimed) + state.count(Class::Enqueued) + state.count(Class::Timing)
    }

    fn begin(&mut self, plan: &Arc<Plan>, n: u32) -> Result<(), IllegalEvent> {
        let node = &self.state.nodes[n as usize];
        let (at, is_item) = (node.step as usize, node.item.is_some());
        let (spec, step) = (&plan.spec.steps[at], &plan.steps[at]);
        let first_time = !is_item && node.attempt == 0 && node.fan.is_none();
        if first_time
            && !node.approved
            && let Some(when) = &step.when
        {
            match when.evaluate(&RunScope::of(self.state, n)) {
                Ok(true) => {}
                Ok(false) => {
                    let cause = crate::event::SkipCause::ConditionFalse;
                    return self.emit(Event::StepSkipped { n, cause });
                }
                Err(error) => return self.fail_expression(n, "when", &error),
            }
        }
        if !node.approved && (spec.requires_approval || step.kind == StepKind::Approval) {
            let by = spec.timeouts.approval_ms.map(|ms| self.cx.now.plus_ms(ms));
            return self.emit(Event::ApprovalRequested { n, by });
        }
        if !is_item && let Some(items) = &step.items {
            return match items.evaluate(&RunScope::of(self.state, n)) {
                Ok(items) => self.expand(n, items),
                Err(error) => self.fail_expression(n, "for_each", &error),
            };
        }
        match step.kind {
            StepKind::Wait => self.begin_wait(plan, n),
            StepKind::Work | StepKind::Approval => self.begin_work(plan, n, spec),
        }
    }

    fn expand(&mut self, n: u32, items: Value) -> Result<(), IllegalEvent> {
        let problem = match &items {
            Value::Array(values) if values.len() <= MAX_ITEMS => None,
            Value::Array(values) => Some(format!("for_each has {} items, more than {MAX_ITEMS}", values.len())),
            other => Some(format!("for_each did not give an array but {}", kind_of(other))),
        };
        if let Some(message) = problem {
            return self.fail(n, Failure::permanent("for_each", message));
        }
        let is_empty = items.as_array().is_none_or(Vec::is_empty);
        self.emit(Event::ItemsExpanded {
            n,
            items: Arc::new(items),
        })?;
        if is_empty {
            self.emit(Event::ItemsCollected { n })
        } else {
            Ok(())
        }
    }

    fn begin_work(&mut self, plan: &Arc<Plan>, n: u32, spec: &StepSpec) -> Result<(), IllegalEvent> {
        match self.cx.placement.place(spec) {
            Place::Here => self.hand_out(plan, n),
            Place::Queue => {
                let by = spec.timeouts.queue_ms.map(|ms| self.cx.now.plus_ms(ms));
                self.out.effects.push(Effect::Enqueue { node: n });
                self.emit(Event::StepEnqueued { n, by })
            }
            Place::Unsupported => self.fail(
                n,
                Failure::permanent("unsupported_action", format!("unsupported action: {}", spec.action)),
            ),
        }
    }

    /// Begins an attempt in a place that was found for it.
    pub(super) fn hand_out(&mut self, plan: &Arc<Plan>, n: u32) -> Result<(), IllegalEvent> {
        let at = self.state.nodes[n as usize].step as usize;
        let input = match self.state.input_of(n) {
            Ok(input) => input,
            Err(error) => {
                self.cx.placement.release(&plan.spec.steps[at]);
                return self.fail_expression(n, "input", &error);
            }
        };
        let timeouts = plan.spec.steps[at].timeouts;
        let left_ms = timeouts
            .total_ms
            .map(|ms| ms.saturating_sub(self.state.nodes[n as usize].spent_ms));
        let close_ms = [timeouts.attempt_ms, left_ms].into_iter().flatten().min();
        let close_by = close_ms.map(|ms| self.cx.now.plus_ms(ms));
        let beat_ms = timeouts.heartbeat_ms.filter(|_| !plan.spec.steps[at].outside);
        let beat_by = beat_ms.map(|ms| self.cx.now.plus_ms(ms));
        let attempt = self.state.nodes[n as usize].attempt + 1;
        self.emit(Event::StepStarted {
            n,
            a: attempt,
            close_by,
            beat_by,
        })?;
        let work = self.state.work_of(n, input);
        self.out.effects.push(Effect::Dispatch(Box::new(work)));
        Ok(())
    }

    fn begin_wait(&mut self, plan: &Arc<Plan>, n: u32) -> Result<(), IllegalEvent> {
        let at = self.state.nodes[n as usize].step as usize;
        let input = match plan.steps[at].input.render(&RunScope::of(self.state, n)) {
            Ok(input) => input,
            Err(error) => return self.fail_expression(n, "input", &error),
        };
        match wait_until(&input, self.cx.now) {
            Ok(until) => self.emit(Event::WaitStarted { n, until }),
            Err(message) => self.fail(n, Failure::permanent("invalid_input", message)),
        }
    }

    fn fail_expression(&mut self, n: u32, field: &str, error: &RenderError) -> Result<(), IllegalEvent> {
        self.fail(n, Failure::permanent("expression", format!("{field}: {error}")))
    }

    /// Fails a step for good without an attempt.
    pub(super) fn fail(&mut self, n: u32, failure: Failure) -> Result<(), IllegalEvent> {
        self.emit(Event::StepFailed {
            n,
            a: 0,
            failure: Arc::new(failure),
        })?;
        self.judge_items(n)
    }

    /// When the last item of a `for_each` has ended, the step ends too.
    pub(super) fn judge_items(&mut self, n: u32) -> Result<(), IllegalEvent> {
        let Some(item) = self.state.nodes[n as usize].item else {
            return Ok(());
        };
        let Some(fan) = &self.state.nodes[item.parent as usize].fan else {
            return Ok(());
        };
        if fan.running > 0 {
            return Ok(());
        }
        if fan.failed == 0 {
            return self.emit(Event::ItemsCollected { n: item.parent });
        }
        let failed = fan.first..fan.first + fan.count;
        let message = failed.clone().find_map(|n| {
            let failure = self.state.nodes[n as usize].failure.as_ref()?;
            Some(Failure {
                message: format!("item {}: {}", n - failed.start, failure.message),
                ..(**failure).clone()
            })
        });
        self.emit(Event::StepFailed {
            n: item.parent,
            a: 0,
            failure: Arc::new(message.unwrap_or_default()),
        })
    }

    /// Lets the run rest in the state that fits what is left to do.
    pub(super) fn come_to_rest(&mut self) -> Result<(), IllegalEvent> {
        let to = self.resting();
        if to == self.state.status {
            return Ok(());
        }
        self.emit(Event::RunMoved { to })
    }

    fn resting(&self) -> RunStatus {
        let state = &self.state;
        let count = |class| state.count(class) > 0;
        let busy = count(Class::Claimed) || count(Class::Timing);
        if state.status.is_terminal() {
            state.status
        } else if state.paused.is_some() {
            RunStatus::Paused
        } else if state.held_until.is_some() {
            // It has not begun, unless a person has held it and let it go again.
            match state.status {
                RunStatus::Pending => RunStatus::Pending,
                _ => RunStatus::WaitingForDependencies,
            }
        } else if !busy && state.stopped {
            RunStatus::Complete
        } else if !busy && state.is_tripped() {
            RunStatus::Error
        } else if busy || count(Class::Enqueued) {
            RunStatus::StepsInProcess
        } else if count(Class::Retrying) {
            RunStatus::WaitingForRetry
        } else if count(Class::Approving) {
            RunStatus::WaitingForApproval
        } else if count(Class::Open) || count(Class::Fanning) {
            RunStatus::WaitingForDependencies
        } else if !count(Class::Failed) {
            RunStatus::Complete
        } else if state.plan.spec.settings.on_failure == FailurePolicy::Block {
            RunStatus::BlockedByFailures
        } else {
            RunStatus::Error
        }
    }

    /// Takes everything that waits for an executor out of the queues; the steps themselves stay enqueued.
    pub(super) fn dequeue_all(&mut self) {
        if self.state.count(Class::Enqueued) > 0 {
            let enqueued = self.enqueued();
            self.out.effects.extend(enqueued.map(|node| Effect::Dequeue { node }));
        }
    }

    /// Puts it back.
    pub(super) fn requeue_all(&mut self) {
        if self.state.count(Class::Enqueued) > 0 {
            let enqueued = self.enqueued();
            self.out.effects.extend(enqueued.map(|node| Effect::Enqueue { node }));
        }
    }

    fn enqueued(&self) -> impl Iterator<Item = u32> + use<> {
        let nodes = self.state.nodes.iter().enumerate();
        let enqueued = nodes
            .filter(|(_, node)| node.class() == Class::Enqueued)
            .map(|(n, _)| n as u32);
        enqueued.collect::<Vec<_>>().into_iter()
    }
}

fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}

/// Reads a `wait` step's input: `{"ms": n}`, `{"seconds": n}` or `{"until": "<RFC 3339>"}`.
fn wait_until(input: &Value, now: Time) -> Result<Time, String> {
    let number = |name: &str| {
        input
            .get(name)
            .map(|value| value.as_f64().ok_or(format!("input.{name}: must be a number")))
    };
    if let Some(until) = input.get("until") {
        let text = until.as_str().ok_or("input.until: must be a string")?;
        return Time::parse_rfc3339(text).ok_or_else(|| "input.until: must be an RFC 3339 time".to_owned());
    }
    let (value, scale) = match (number("ms"), number("seconds")) {
        (Some(ms), _) => (ms?, 1.0),
        (None, Some(seconds)) => (seconds?, 1000.0),
        (None, None) => return Err("input: one of ms, seconds and until is required".to_owned()),
    };
    const LONGEST_MS: f64 = 366.0 * 86_400_000.0;
    let ms = value * scale;
    if !(0.0..=LONGEST_MS).contains(&ms) {
        return Err("input: the wait must be between 0 and 366 days".to_owned());
    }
    Ok(now.plus_ms(ms as u64))
}
