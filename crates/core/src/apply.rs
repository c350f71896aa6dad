//! The fold: how an event changes a run's state. The only writer of [`RunState`], used by the live path,
//! by recovery and by replay alike.
//!
//! Applying never decides anything. An event that the machines' tables do not allow is an [`IllegalEvent`]:
//! a broken invariant, or a damaged history.

mod control;
mod items;
mod joins;
mod reset;

use std::sync::Arc;

use serde_json::Value;

use crate::event::{Created, Event, Meta, SkipCause};
use crate::id::RunId;
use crate::machine::run::walk;
use crate::machine::{RunStatus, RunTrigger, StepTrigger};
use crate::outcome::{Failure, Past, Success};
use crate::plan::{Plan, SkipMode};
use crate::state::{Hold, MAX_PAST, Node, OUTSIDE, RunState};
use crate::time::Time;

pub(crate) use joins::{End, settle};

/// An event that cannot follow on the state it was applied to.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("illegal event for {run}: {message}")]
pub struct IllegalEvent {
    /// The run.
    pub run: RunId,
    /// What does not fit.
    pub message: String,
}

/// The state that a run begins with.
pub fn create(id: RunId, plan: Arc<Plan>, created: &Created, meta: Meta) -> RunState {
    RunState::create(id, plan, created, meta)
}

/// Folds the events of one commit into the state. The first commit's `RunCreated` must have been folded by
/// [`create`] and is passed over here.
pub fn apply_commit(state: &mut RunState, meta: Meta, events: &[Event]) -> Result<(), IllegalEvent> {
    for event in events {
        apply(state, meta, event)?;
    }
    seal(state, meta);
    Ok(())
}

/// Counts the events applied since the last seal as one commit.
pub fn seal(state: &mut RunState, meta: Meta) {
    state.version += 1;
    state.updated_at = meta.at;
}

/// Folds one event into the state.
pub fn apply(state: &mut RunState, meta: Meta, event: &Event) -> Result<(), IllegalEvent> {
    match event {
        Event::RunCreated(_) | Event::LogAppended { .. } => Ok(()),
        Event::RunMoved { to } => control::moved(state, meta, *to),
        Event::RunCancelled { by, reason, forced } => {
            state.cancelled_by_force = *forced;
            control::cancelled(state, meta, by, reason)
        }
        Event::RunResolved { by, reason } => control::run_resolved(state, meta, by, reason),
        Event::RunTimedOut { limit_ms } => control::timed_out(state, meta, *limit_ms),
        Event::RunPaused { by, reason } => control::paused(state, meta, by, reason),
        Event::RunResumed { by, reason } => {
            control::resumed(state, meta, by, reason);
            Ok(())
        }
        Event::RunDue => {
            control::due(state, meta);
            Ok(())
        }
        Event::StepEnqueued { n, by } => {
            move_step(state, *n, &[StepTrigger::Enqueue])?;
            state.edit(*n, |node| node.timer = *by);
            leave_agenda(state, *n);
            Ok(())
        }
        Event::StepStarted {
            n,
            a,
            close_by,
            beat_by,
        } => started(state, meta, *n, *a, *close_by, *beat_by),
        Event::StepProgressed {
            n,
            a,
            beat_by,
            progress,
            ..
        } => {
            under_way(state, *n, *a)?;
            state.edit(*n, |node| {
                node.progress = progress.or(node.progress);
                node.timer = earliest(node.close_by, *beat_by);
            });
            Ok(())
        }
        Event::AttemptAccepted { n, a, beat_by } => {
            under_way(state, *n, *a)?;
            state.edit(*n, |node| {
                node.owner = OUTSIDE;
                node.timer = earliest(node.timer, *beat_by);
            });
            Ok(())
        }
        Event::StepReused { n, success } => {
            move_step(state, *n, &[StepTrigger::Start])?;
            leave_agenda(state, *n);
            finish(state, meta, *n, Arc::clone(success))?;
            settle(state, meta, *n, End::Ok);
            Ok(())
        }
        Event::StepSucceeded { n, a, success } => succeeded(state, meta, *n, *a, success),
        Event::StepRetrying { n, a, failure, at } => {
            under_way(state, *n, *a)?;
            move_step(
                state,
                *n,
                &[StepTrigger::EnqueueAsErrorForOrchestration, StepTrigger::WaitForRetry],
            )?;
            state.edit(*n, |node| {
                node.failure = Some(Arc::clone(failure));
                node.tries += 1;
                node.spent_ms += at.ms_since(node.started_at.unwrap_or(meta.at));
                node.timer = Some(*at);
                remember(node, meta, failure);
            });
            Ok(())
        }
        Event::RetryDue { n } => {
            move_step(state, *n, &[StepTrigger::Retry])?;
            state.edit(*n, |node| {
                node.timer = None;
                node.ready_at = Some(meta.at);
            });
            state.put_on_agenda(*n);
            Ok(())
        }
        Event::AttemptLost { n, a } => {
            under_way(state, *n, *a)?;
            move_step(state, *n, &[StepTrigger::WaitForRetry, StepTrigger::Retry])?;
            state.edit(*n, |node| {
                node.timer = None;
                node.lost += 1;
                node.ready_at = Some(meta.at);
            });
            state.put_on_agenda(*n);
            Ok(())
        }
        Event::StepFailed { n, a, failure } => failed(state, meta, *n, *a, failure),
        Event::StepSkipped { n, cause } => skipped(state, meta, *n, *cause),
        Event::WaitStarted { n, until } => {
            move_step(state, *n, &[StepTrigger::Start])?;
            state.edit(*n, |node| {
                node.hold = Hold::Timer;
                node.timer = Some(*until);
                node.started_at = Some(meta.at);
            });
            leave_agenda(state, *n);
            Ok(())
        }
        Event::WaitElapsed { n } => {
            finish(state, meta, *n, Arc::new(Success::default()))?;
            settle(state, meta, *n, End::Ok);
            Ok(())
        }
        Event::ItemsExpanded { n, items } => items::expanded(state, meta, *n, items),
        Event::ItemsCollected { n } => items::collected(state, meta, *n),
        Event::ApprovalRequested { n, by } => {
            leave_agenda(state, *n);
            state.edit(*n, |node| {
                node.hold = Hold::Approval;
                node.timer = *by;
            });
            Ok(())
        }
        Event::ApprovalGranted { n, by, comment } => control::approved(state, meta, *n, by, comment),
        Event::ApprovalRejected { n, by, comment, go_on } => control::rejected(state, meta, *n, (by, comment), *go_on),
        Event::StepsReset { nodes, .. } => reset::apply(state, meta, nodes),
        Event::StepResolved { n, output, by, reason } => {
            control::resolved(state, meta, *n, output.as_ref(), (by.as_deref(), reason.as_deref()))
        }
    }
}

fn illegal(state: &RunState, message: impl Into<String>) -> IllegalEvent {
    IllegalEvent {
        run: state.id,
        message: message.into(),
    }
}

/// Moves a step through the table.
fn move_step(state: &mut RunState, n: u32, triggers: &[StepTrigger]) -> Result<(), IllegalEvent> {
    let Some(node) = state.nodes.get(n as usize) else {
        return Err(illegal(state, format!("no step run {n}")));
    };
    let mut status = node.status;
    for trigger in triggers {
        let Some(after) = status.after(*trigger) else {
            return Err(illegal(state, format!("step run {n} is {status:?}: {trigger:?}")));
        };
        status = after;
    }
    state.edit(n, |node| node.status = status);
    Ok(())
}

/// Moves the run by one trigger.
fn move_run(state: &mut RunState, meta: Meta, trigger: RunTrigger) -> Result<(), IllegalEvent> {
    let Some(after) = state.status.after(trigger) else {
        return Err(illegal(state, format!("run is {:?}: {trigger:?}", state.status)));
    };
    state.status = after;
    state.finished_at = after.is_terminal().then_some(meta.at);
    Ok(())
}

/// Moves the run to another resting state, through the table.
fn walk_run(state: &mut RunState, meta: Meta, to: RunStatus) -> Result<(), IllegalEvent> {
    let Some(triggers) = walk(state.status, to) else {
        return Err(illegal(state, format!("no walk from {:?} to {to:?}", state.status)));
    };
    for trigger in triggers {
        move_run(state, meta, trigger)?;
    }
    Ok(())
}

fn under_way(state: &RunState, n: u32, a: u32) -> Result<(), IllegalEvent> {
    match state.nodes.get(n as usize) {
        Some(node) if node.is_claimed() && node.attempt == a => Ok(()),
        _ => Err(illegal(state, format!("attempt {a} of step run {n} is not under way"))),
    }
}

fn leave_agenda(state: &mut RunState, n: u32) {
    state.agenda.remove(n);
}

fn earliest(one: Option<Time>, other: Option<Time>) -> Option<Time> {
    [one, other].into_iter().flatten().min()
}

fn started(
    state: &mut RunState,
    meta: Meta,
    n: u32,
    a: u32,
    close_by: Option<Time>,
    beat_by: Option<Time>,
) -> Result<(), IllegalEvent> {
    if state.nodes.get(n as usize).is_none_or(|node| a <= node.attempt) {
        return Err(illegal(state, format!("attempt {a} of step run {n} is not new")));
    }
    move_step(state, n, &[StepTrigger::Start])?;
    leave_agenda(state, n);
    state.edit(n, |node| {
        node.attempt = a;
        node.owner = meta.owner;
        node.started_at = Some(meta.at);
        node.close_by = close_by;
        node.timer = earliest(close_by, beat_by);
        node.progress = None;
    });
    Ok(())
}

/// Marks a step complete with its result.
fn finish(state: &mut RunState, meta: Meta, n: u32, success: Arc<Success>) -> Result<(), IllegalEvent> {
    move_step(state, n, &[StepTrigger::EnqueueForOrchestration, StepTrigger::Complete])?;
    state.edit(n, |node| {
        node.hold = Hold::None;
        node.timer = None;
        node.ended_at = Some(meta.at);
        node.failure = None;
        node.success = Some(success);
    });
    Ok(())
}

fn succeeded(state: &mut RunState, meta: Meta, n: u32, a: u32, success: &Arc<Success>) -> Result<(), IllegalEvent> {
    under_way(state, n, a)?;
    finish(state, meta, n, Arc::clone(success))?;
    if let Some(set) = &success.set {
        let context = Arc::make_mut(&mut state.context);
        if !context.is_object() {
            *context = Value::Object(serde_json::Map::new());
        }
        if let Value::Object(map) = context {
            map.extend(set.iter().map(|(key, value)| (key.clone(), value.clone())));
        }
    }
    state.stopped |= success.stop;
    settle(state, meta, n, End::Ok);
    Ok(())
}

fn failed(state: &mut RunState, meta: Meta, n: u32, a: u32, failure: &Arc<Failure>) -> Result<(), IllegalEvent> {
    let Some(node) = state.nodes.get(n as usize) else {
        return Err(illegal(state, format!("no step run {n}")));
    };
    let claimed = node.is_claimed();
    if claimed {
        under_way(state, n, a)?;
        move_step(
            state,
            n,
            &[StepTrigger::EnqueueAsErrorForOrchestration, StepTrigger::Fail],
        )?;
    } else if node.hold == Hold::Items {
        move_step(
            state,
            n,
            &[StepTrigger::EnqueueAsErrorForOrchestration, StepTrigger::Fail],
        )?;
    } else {
        move_step(state, n, &[StepTrigger::Fail])?;
        leave_agenda(state, n);
    }
    state.edit(n, |node| {
        node.hold = Hold::None;
        node.tries += u32::from(claimed);
        node.timer = None;
        node.ended_at = Some(meta.at);
        node.failure = Some(Arc::clone(failure));
        if claimed {
            remember(node, meta, failure);
        }
    });
    settle_failed(state, meta, n);
    Ok(())
}

/// Keeps a failed attempt for those after it.
fn remember(node: &mut Node, meta: Meta, failure: &Arc<Failure>) {
    if node.past.len() == MAX_PAST {
        node.past.remove(0);
    }
    node.past.push(Past {
        attempt: node.tries,
        at: meta.at,
        failure: Arc::clone(failure),
    });
}

/// Tells the successors of a step that failed for good.
fn settle_failed(state: &mut RunState, meta: Meta, n: u32) {
    let optional = state.plan.spec.steps[state.nodes[n as usize].step as usize].optional;
    settle(state, meta, n, if optional { End::Ok } else { End::Failed });
}

fn skipped(state: &mut RunState, meta: Meta, n: u32, cause: SkipCause) -> Result<(), IllegalEvent> {
    move_step(state, n, &[StepTrigger::Skip])?;
    leave_agenda(state, n);
    state.edit(n, |node| {
        node.verdict = crate::state::Verdict::Skip(cause);
        node.ended_at = Some(meta.at);
    });
    let satisfies = cause == SkipCause::ConditionFalse
        && state.plan.spec.steps[state.nodes[n as usize].step as usize].skip == SkipMode::Satisfy;
    settle(state, meta, n, if satisfies { End::Ok } else { End::Skipped(cause) });
    Ok(())
}
