//! What people and the clock do to a run.

use std::sync::Arc;

use serde_json::{Value, json};

use super::{End, IllegalEvent, finish, illegal, leave_agenda, move_run, move_step, settle, settle_failed, walk_run};
use crate::event::Meta;
use crate::machine::{RunStatus, RunTrigger, StepTrigger};
use crate::outcome::{Failure, Success};
use crate::plan::StepKind;
use crate::state::{Approval, DUE_TIMER, Hold, Note, RunState};

pub(super) fn moved(state: &mut RunState, meta: Meta, to: RunStatus) -> Result<(), IllegalEvent> {
    walk_run(state, meta, to)
}

pub(super) fn paused(
    state: &mut RunState,
    meta: Meta,
    by: &Option<String>,
    reason: &Option<String>,
) -> Result<(), IllegalEvent> {
    state.paused = Some(note(meta, by, reason));
    state.last_pause.clone_from(&state.paused);
    move_run(state, meta, RunTrigger::Pause)
}

pub(super) fn resumed(state: &mut RunState, meta: Meta, by: &Option<String>, reason: &Option<String>) {
    state.paused = None;
    state.last_resume = Some(note(meta, by, reason));
}

pub(super) fn cancelled(
    state: &mut RunState,
    meta: Meta,
    by: &Option<String>,
    reason: &Option<String>,
) -> Result<(), IllegalEvent> {
    call_off(state, meta)?;
    state.cancelled = Some(note(meta, by, reason));
    state.paused = None;
    move_run(state, meta, RunTrigger::Cancel)
}

pub(super) fn run_resolved(
    state: &mut RunState,
    meta: Meta,
    by: &Option<String>,
    reason: &Option<String>,
) -> Result<(), IllegalEvent> {
    call_off(state, meta)?;
    state.resolved = Some(note(meta, by, reason));
    state.paused = None;
    move_run(state, meta, RunTrigger::ManualResolution)
}

pub(super) fn timed_out(state: &mut RunState, meta: Meta, limit_ms: u64) -> Result<(), IllegalEvent> {
    call_off(state, meta)?;
    state.paused = None;
    let message = format!("the run timed out after {limit_ms} ms");
    state.failure = Some(Arc::new(Failure::permanent("run_timeout", message)));
    move_run(state, meta, RunTrigger::TimeOut)
}

fn note(meta: Meta, by: &Option<String>, reason: &Option<String>) -> Note {
    let (by, reason) = (by.clone(), reason.clone());
    Note {
        by,
        reason,
        at: meta.at,
    }
}

/// Cancels every step that is not settled.
fn call_off(state: &mut RunState, meta: Meta) -> Result<(), IllegalEvent> {
    for n in 0..state.nodes.len() as u32 {
        if !state.nodes[n as usize].status.is_settled() {
            move_step(state, n, &[StepTrigger::Cancel])?;
            state.edit(n, |node| {
                node.hold = Hold::None;
                node.timer = None;
                node.ended_at = Some(meta.at);
            });
        }
    }
    state.agenda.clear();
    state.timers.clear();
    state.held_until = None;
    Ok(())
}

/// The time has come from which on steps may start.
pub(super) fn due(state: &mut RunState, meta: Meta) {
    if let Some(at) = state.held_until.take() {
        state.timers.remove(&(at, DUE_TIMER));
    }
    for n in state.agenda.nodes() {
        state.nodes[n as usize].ready_at = Some(meta.at);
    }
}

pub(super) fn approved(
    state: &mut RunState,
    meta: Meta,
    n: u32,
    by: &Option<String>,
    comment: &Option<String>,
) -> Result<(), IllegalEvent> {
    decided(state, meta, n, true, (by, comment))?;
    if state.plan.kind(state.nodes[n as usize].step) == StepKind::Approval {
        return answered(state, meta, n);
    }
    state.edit(n, |node| node.approved = true);
    let priority = state.priority_of(n);
    state.agenda.push_front(priority, n);
    Ok(())
}

pub(super) fn rejected(
    state: &mut RunState,
    meta: Meta,
    n: u32,
    (by, comment): (&Option<String>, &Option<String>),
    go_on: bool,
) -> Result<(), IllegalEvent> {
    decided(state, meta, n, false, (by, comment))?;
    if go_on {
        return answered(state, meta, n);
    }
    let who = by.as_deref().map(|by| format!(" by {by}")).unwrap_or_default();
    let why = comment
        .as_deref()
        .map(|comment| format!(": {comment}"))
        .unwrap_or_default();
    move_step(state, n, &[StepTrigger::Fail])?;
    state.edit(n, |node| {
        node.ended_at = Some(meta.at);
        node.failure = Some(Arc::new(Failure::permanent(
            "rejected",
            format!("approval rejected{who}{why}"),
        )));
    });
    settle_failed(state, meta, n);
    Ok(())
}

fn decided(
    state: &mut RunState,
    meta: Meta,
    n: u32,
    granted: bool,
    (by, comment): (&Option<String>, &Option<String>),
) -> Result<(), IllegalEvent> {
    if state
        .nodes
        .get(n as usize)
        .is_none_or(|node| node.hold != Hold::Approval)
    {
        return Err(illegal(state, format!("step run {n} waits for no approval")));
    }
    let approval = Approval {
        granted,
        by: by.clone(),
        comment: comment.clone(),
        at: meta.at,
    };
    state.edit(n, |node| {
        node.hold = Hold::None;
        node.timer = None;
        node.approval = Some(Box::new(approval));
    });
    Ok(())
}

/// An `approval` step ends with the answer as its result.
fn answered(state: &mut RunState, meta: Meta, n: u32) -> Result<(), IllegalEvent> {
    let answer = state.nodes[n as usize].approval.as_ref();
    let output = answer.map_or(
        Value::Null,
        |answer| json!({ "approved": answer.granted, "by": answer.by, "comment": answer.comment }),
    );
    move_step(state, n, &[StepTrigger::Start])?;
    finish(
        state,
        meta,
        n,
        Arc::new(Success {
            output: Arc::new(output),
            ..Success::default()
        }),
    )?;
    settle(state, meta, n, End::Ok);
    Ok(())
}

pub(super) fn resolved(
    state: &mut RunState,
    meta: Meta,
    n: u32,
    output: Option<&Arc<Value>>,
    (by, reason): (Option<&str>, Option<&str>),
) -> Result<(), IllegalEvent> {
    let Some(settled) = state.nodes.get(n as usize).map(|node| node.status.is_settled()) else {
        return Err(illegal(state, format!("no step run {n}")));
    };
    let trigger = if output.is_some() {
        StepTrigger::CompleteManually
    } else {
        StepTrigger::ResolveManually
    };
    move_step(state, n, &[trigger])?;
    leave_agenda(state, n);
    let note = Approval {
        granted: true,
        by: by.map(str::to_owned),
        comment: reason.map(str::to_owned),
        at: meta.at,
    };
    let output = output.cloned().unwrap_or_default();
    state.edit(n, |node| {
        node.hold = Hold::None;
        node.timer = None;
        node.ended_at = Some(meta.at);
        node.failure = None;
        node.success = Some(Arc::new(Success {
            output,
            ..Success::default()
        }));
        node.approval = Some(Box::new(note));
    });
    if !settled {
        settle(state, meta, n, End::Ok);
    }
    Ok(())
}
