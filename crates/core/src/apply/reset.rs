//! Taking steps back: a retry after the end, or a rerun from a step on.
//!
//! The event names every node that goes back to `pending`; which ones these are was decided by
//! [`crate::step`]. Their joins are then counted afresh from what their predecessors are now.

use std::collections::HashSet;
use std::sync::Arc;

use super::{IllegalEvent, joins, move_step};
use crate::event::Meta;
use crate::machine::{StepStatus, StepTrigger};
use crate::state::{Class, Hold, RunState, Verdict};

pub(super) fn apply(state: &mut RunState, meta: Meta, nodes: &[u32]) -> Result<(), IllegalEvent> {
    for &n in nodes {
        take_back(state, n)?;
    }
    let taken_back: HashSet<u32> = nodes.iter().copied().collect();
    state.agenda.retain(|n| !taken_back.contains(&n));
    // A step that runs again will end again: whoever keeps its own end must wait for the new one to be counted.
    let plan = Arc::clone(&state.plan);
    let steps = nodes
        .iter()
        .filter(|&&n| state.nodes[n as usize].item.is_none())
        .copied()
        .collect::<Vec<u32>>();
    for edge in steps.iter().flat_map(|&n| &plan.steps[n as usize].successors) {
        if !taken_back.contains(&edge.step) {
            joins::count_afresh(state, edge.step);
        }
    }
    for &n in nodes {
        match state.nodes[n as usize].item {
            Some(item) => reopen_item(state, meta, item.parent, n),
            None if state.nodes[n as usize].hold == Hold::Items => joins::count_afresh(state, n),
            None => joins::recount(state, meta, n),
        }
    }
    state.tolerated = state.count(Class::Failed);
    state.stopped = false;
    state.failure = None;
    state.cancelled = None;
    state.cancelled_by_force = false;
    state.resolved = None;
    Ok(())
}

fn take_back(state: &mut RunState, n: u32) -> Result<(), IllegalEvent> {
    let trigger = match state.nodes[n as usize].status {
        StepStatus::Error => Some(StepTrigger::ResetForRetry),
        StepStatus::Pending => None,
        _ => Some(StepTrigger::Rerun),
    };
    let reopens_items = trigger == Some(StepTrigger::ResetForRetry) && has_failed_items(state, n);
    if let Some(trigger) = trigger {
        move_step(state, n, &[trigger])?;
    }
    if reopens_items {
        move_step(state, n, &[StepTrigger::Start])?;
    }
    state.edit(n, |node| {
        node.hold = if reopens_items { Hold::Items } else { Hold::None };
        let goes_on = node.item.is_some() || reopens_items;
        node.verdict = if goes_on { Verdict::Start } else { Verdict::Undecided };
        node.tries = 0;
        node.lost = 0;
        node.spent_ms = 0;
        node.timer = None;
        node.ended_at = None;
        node.progress = None;
        node.success = None;
        node.failure = None;
        node.past = Vec::new();
        if !reopens_items {
            node.fan = None;
            node.approval = None;
            node.approved = node.item.is_some();
        }
    });
    Ok(())
}

/// A `for_each` step that failed keeps its good items; only the bad ones are tried again.
fn has_failed_items(state: &RunState, n: u32) -> bool {
    state.nodes[n as usize].fan.as_ref().is_some_and(|fan| fan.failed > 0)
}

fn reopen_item(state: &mut RunState, meta: Meta, parent: u32, n: u32) {
    if let Some(fan) = state.nodes[parent as usize].fan.as_mut() {
        fan.failed = fan.failed.saturating_sub(1);
        fan.running += 1;
    }
    state.nodes[n as usize].ready_at = Some(meta.at);
    state.put_on_agenda(n);
}
