//! What the end of a step means to the steps after it.
//!
//! Each node counts the predecessors it still waits for, those that led to it and those that failed, so an
//! end costs the out-degree of the step and nothing more. A join is decided exactly once.

use std::sync::Arc;

use crate::event::{Meta, SkipCause};
use crate::machine::StepStatus;
use crate::plan::{EdgeOn, Join, SkipMode};
use crate::state::{RunState, Verdict};

use super::items;

/// How a step ended, as its successors see it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// Well, or counted as well.
    Ok,
    /// Badly.
    Failed,
    /// Its branch was not taken.
    Skipped(SkipCause),
}

/// What one edge says.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Signal {
    Fires,
    Dead,
    Blocked,
}

/// Passes a step's end on to its successors, or an item's to its parent.
pub(crate) fn settle(state: &mut RunState, meta: Meta, n: u32, end: End) {
    if let Some(item) = state.nodes[n as usize].item {
        items::item_settled(state, meta, item.parent, end);
        return;
    }
    let plan = Arc::clone(&state.plan);
    for edge in &plan.steps[n as usize].successors {
        let signal = signal(state, n, end, edge.step, edge.on);
        let node = &mut state.nodes[edge.step as usize];
        node.remaining -= 1;
        count(node, signal);
        decide(state, meta, edge.step);
    }
}

fn count(node: &mut crate::state::Node, signal: Signal) {
    match signal {
        Signal::Fires => node.fired += 1,
        Signal::Blocked => node.blocked += 1,
        Signal::Dead => {}
    }
}

fn signal(state: &RunState, from: u32, end: End, to: u32, on: EdgeOn) -> Signal {
    match end {
        End::Ok if on == EdgeOn::Failure || !selected(state, from, to) => Signal::Dead,
        End::Failed if on == EdgeOn::Success => Signal::Blocked,
        End::Ok | End::Failed => Signal::Fires,
        End::Skipped(SkipCause::UpstreamFailed) => Signal::Blocked,
        End::Skipped(SkipCause::NotTaken | SkipCause::ConditionFalse) => Signal::Dead,
    }
}

/// Whether the step's result lets this successor run.
fn selected(state: &RunState, from: u32, to: u32) -> bool {
    let next = state.nodes[from as usize]
        .success
        .as_ref()
        .and_then(|success| success.next.as_ref());
    next.is_none_or(|next| next.contains(&state.plan.spec.steps[to as usize].key))
}

/// Decides a join if it can be decided now.
fn decide(state: &mut RunState, meta: Meta, n: u32) {
    let join = state.plan.spec.steps[n as usize].join;
    let node = &mut state.nodes[n as usize];
    if node.verdict != Verdict::Undecided || node.status != StepStatus::Pending {
        return;
    }
    let needed = match join {
        Join::All => {
            if node.remaining > 0 {
                return;
            }
            if node.blocked > 0 { u32::MAX } else { 1 }
        }
        Join::Available => {
            if node.remaining > 0 {
                return;
            }
            1
        }
        Join::Any => 1,
        Join::AtLeast(needed) => needed,
    };
    if node.fired >= needed {
        node.verdict = Verdict::Start;
        node.ready_at = Some(meta.at);
    } else if node.remaining == 0 {
        // Not before the last predecessor has ended, even where enough can no longer lead here: whether a failure is
        // to blame must not depend on the order of their ends.
        let cause = if node.blocked > 0 {
            SkipCause::UpstreamFailed
        } else {
            SkipCause::NotTaken
        };
        node.verdict = Verdict::Skip(cause);
    } else {
        return;
    }
    state.put_on_agenda(n);
}

/// How a settled node ended, or `None` while it is not settled.
pub(super) fn end_of(state: &RunState, n: u32) -> Option<End> {
    let node = &state.nodes[n as usize];
    let step = &state.plan.spec.steps[node.step as usize];
    match node.status {
        StepStatus::Complete | StepStatus::ResolvedManually => Some(End::Ok),
        StepStatus::Error if step.optional => Some(End::Ok),
        StepStatus::Error => Some(End::Failed),
        StepStatus::Skipped => match node.verdict {
            Verdict::Skip(SkipCause::ConditionFalse) if step.skip == SkipMode::Satisfy => Some(End::Ok),
            Verdict::Skip(cause) => Some(End::Skipped(cause)),
            Verdict::Start | Verdict::Undecided => Some(End::Skipped(SkipCause::NotTaken)),
        },
        StepStatus::Pending
        | StepStatus::Enqueued
        | StepStatus::InProgress
        | StepStatus::EnqueuedForOrchestration
        | StepStatus::EnqueuedAsErrorForOrchestration
        | StepStatus::WaitingForRetry
        | StepStatus::Cancelled => None,
    }
}

/// Counts a node's predecessors afresh and decides its join.
pub(super) fn recount(state: &mut RunState, meta: Meta, n: u32) {
    count_afresh(state, n);
    if state.plan.steps[n as usize].predecessors.is_empty() {
        let node = &mut state.nodes[n as usize];
        node.verdict = Verdict::Start;
        node.ready_at = Some(meta.at);
        state.put_on_agenda(n);
    } else {
        decide(state, meta, n);
    }
}

/// Counts a node's predecessors afresh.
pub(super) fn count_afresh(state: &mut RunState, n: u32) {
    let plan = Arc::clone(&state.plan);
    let (mut remaining, mut signals) = (0, Vec::new());
    for edge in &plan.steps[n as usize].predecessors {
        match end_of(state, edge.step) {
            None => remaining += 1,
            Some(end) => signals.push(signal(state, edge.step, end, n, edge.on)),
        }
    }
    let node = &mut state.nodes[n as usize];
    (node.remaining, node.fired, node.blocked) = (remaining, 0, 0);
    for signal in signals {
        count(node, signal);
    }
}
