//! What a move of a run means to the tables beside its history: rows of step runs, dead letters, limits. All of it is
//! written in the commit of the move, and follows from the state and its events alone.

use std::collections::BTreeSet;
use std::sync::Arc;

use quintet_core::effect::Effect;
use quintet_core::event::{Event, Meta};
use quintet_core::machine::StepStatus;
use quintet_core::outcome::{Failure, Past, Token};
use quintet_core::state::{Class, RunState, Verdict};
use quintet_store::{DeadLetter, StepLimit, StepRow, Unit};
use serde_json::{Map, Value, json};

use super::Pump;
use super::batch::Moved;

impl Pump {
    /// Adds the rows that the plan asks for.
    pub(super) fn project(&self, unit: &mut Unit, state: &RunState, meta: Meta, events: &[Event], effects: &[Effect]) {
        let settings = &state.plan.spec.settings;
        if settings.list_steps {
            let mut touched = touched(state, events);
            // What is put back into its queue when a run goes on has no event of its own.
            touched.extend(effects.iter().filter_map(|effect| match effect {
                Effect::Enqueue { node } => Some(*node),
                _ => None,
            }));
            unit.steps.extend(touched.into_iter().map(|n| row_of(state, n, meta)));
            if state.status.is_terminal() && (has_open_ends(state) || events.iter().any(calls_off)) {
                unit.ended_steps.push(state.id);
            }
        }
        if settings.dead_letters {
            for event in events {
                match event {
                    Event::StepFailed { n, failure, .. } => unit.letters.extend(letter(state, *n, failure, meta)),
                    Event::StepsReset { nodes, .. } => unit.retried.extend(nodes.iter().map(|n| (state.id, *n))),
                    Event::StepResolved { n, .. } => unit.retried.push((state.id, *n)),
                    _ => {}
                }
            }
        }
    }

    /// What other nodes may not have used up in the meantime.
    pub(super) fn limits(&self, effects: &[Effect]) -> Vec<StepLimit> {
        let mut limits: Vec<StepLimit> = Vec::new();
        for effect in effects {
            let Effect::Dispatch(work) = effect else { continue };
            let Some(flow) = self.shared.registry.flow(&work.action) else {
                continue;
            };
            for limit in flow.limits(&work.queue) {
                if !limits.contains(&limit) {
                    limits.push(limit);
                }
            }
        }
        limits
    }

    /// An attempt that somebody outside has is called off: whoever gave it to him on this node may tell him.
    pub(super) fn withdraw(&self, state: &RunState, token: Token) {
        let node = state.nodes.get(token.node as usize);
        let spec = node.and_then(|node| state.plan.spec.steps.get(node.step as usize));
        if let Some(lane) = spec.and_then(|spec| self.shared.registry.lane(&spec.action)) {
            lane.executor.withdrawn(token);
        }
    }

    /// Attempts outside that are over make room for others.
    pub(super) fn end_outside(&self, moved: &Moved) {
        let state = &moved.state;
        if !state.plan.spec.settings.list_steps {
            return;
        }
        for (n, attempt) in ended(moved) {
            let step = state.nodes[n as usize].step;
            let Some(lane) = self.shared.registry.lane(&state.plan.spec.steps[step as usize].action) else {
                continue;
            };
            if lane.flow.is_none() || lane.is_counted_here() {
                continue;
            }
            lane.end(state.plan.queue(step));
            self.dispatcher.settled(Token {
                run: state.id,
                node: n,
                attempt,
            });
            if lane.is_waiting() {
                self.shared.wanted.poke();
            }
            self.shared.store.hint();
        }
    }
}

/// Attempts that are no longer under way.
fn ended(moved: &Moved) -> BTreeSet<(u32, u32)> {
    let by_event = moved.events.iter().filter_map(|event| match event {
        Event::StepSucceeded { n, a, .. }
        | Event::StepRetrying { n, a, .. }
        | Event::StepFailed { n, a, .. }
        | Event::AttemptLost { n, a } => (*a > 0).then_some((*n, *a)),
        _ => None,
    });
    let called_off = moved.effects.iter().filter_map(|effect| match effect {
        Effect::CancelAttempt(token) => Some((token.node, token.attempt)),
        _ => None,
    });
    by_event.chain(called_off).collect()
}

fn calls_off(event: &Event) -> bool {
    matches!(
        event,
        Event::RunCancelled { .. } | Event::RunResolved { .. } | Event::RunTimedOut { .. }
    )
}

fn has_open_ends(state: &RunState) -> bool {
    let settled = state.count(Class::Settled) + state.count(Class::ItemSettled);
    settled as usize != state.nodes.len()
}

/// Step runs whose rows are not what they were: those that something happened to, and joins that have begun to wait.
fn touched(state: &RunState, events: &[Event]) -> BTreeSet<u32> {
    let mut touched = BTreeSet::new();
    for event in events {
        match event {
            Event::StepSucceeded { n, .. }
            | Event::StepFailed { n, .. }
            | Event::StepReused { n, .. }
            | Event::StepResolved { n, .. } => {
                touched.insert(*n);
                touched.extend(waiting_after(state, *n));
            }
            Event::StepSkipped { n, .. } => {
                // One that nobody had heard of stays unheard of.
                let step = state.nodes[*n as usize].step;
                if state.plan.predecessors(step).count() > 1 {
                    touched.insert(*n);
                }
            }
            Event::StepEnqueued { n, .. }
            | Event::StepStarted { n, .. }
            | Event::StepRetrying { n, .. }
            | Event::RetryDue { n }
            | Event::AttemptLost { n, .. }
            | Event::WaitStarted { n, .. }
            | Event::WaitElapsed { n }
            | Event::ItemsExpanded { n, .. }
            | Event::ItemsCollected { n }
            | Event::ApprovalRequested { n, .. }
            | Event::ApprovalGranted { n, .. }
            | Event::ApprovalRejected { n, .. } => drop(touched.insert(*n)),
            Event::StepsReset { nodes, .. } => touched.extend(nodes.iter().copied().filter(|&n| is_heard_of(state, n))),
            Event::RunCreated(_)
            | Event::RunMoved { .. }
            | Event::RunCancelled { .. }
            | Event::RunResolved { .. }
            | Event::RunTimedOut { .. }
            | Event::RunPaused { .. }
            | Event::RunResumed { .. }
            | Event::RunDue
            | Event::AttemptAccepted { .. }
            | Event::StepProgressed { .. }
            | Event::LogAppended { .. } => {}
        }
    }
    touched
}

/// Whether a step was begun, or somebody before it has ended.
fn is_heard_of(state: &RunState, n: u32) -> bool {
    let node = &state.nodes[n as usize];
    let mut before = state.plan.predecessors(node.step);
    node.attempt > 0 || node.item.is_none() && before.any(|n| state.nodes[n as usize].status.is_settled())
}

fn waiting_after(state: &RunState, n: u32) -> impl Iterator<Item = u32> {
    let is_step = state.nodes[n as usize].item.is_none();
    let after = is_step.then(|| state.plan.successors(n)).into_iter().flatten();
    after.filter(|&after| {
        let node = &state.nodes[after as usize];
        node.status == StepStatus::Pending && node.verdict == Verdict::Undecided
    })
}

fn row_of(state: &RunState, n: u32, meta: Meta) -> StepRow {
    let node = &state.nodes[n as usize];
    let spec = &state.plan.spec.steps[node.step as usize];
    StepRow {
        run: state.id,
        node: n,
        namespace: Arc::clone(&state.created.namespace),
        workflow: Arc::clone(&state.created.workflow),
        step: state.name_of(n).into(),
        action: spec.action.to_ascii_lowercase().into(),
        queue: Arc::clone(state.plan.queue(node.step)),
        status: node.status,
        attempt: node.attempt,
        priority: state.priority_of(n),
        created_at: meta.at,
        updated_at: meta.at,
    }
}

/// What is kept of a step that failed for good; nothing of an item, whose step fails with it.
fn letter(state: &RunState, n: u32, failure: &Failure, meta: Meta) -> Option<DeadLetter> {
    let node = &state.nodes[n as usize];
    if node.item.is_some() {
        return None;
    }
    let past = |past: &Past| json!({ "attempt": past.attempt, "at": past.at, "failure": past.failure });
    let upstream = state.upstream(node.step);
    let upstream: Map<String, Value> = upstream
        .into_iter()
        .map(|(key, output)| (key, (*output).clone()))
        .collect();
    let body = json!({
        "failure": failure,
        "attempts": node.past.iter().map(past).collect::<Vec<Value>>(),
        "context": state.created.context,
        "labels": state.created.labels,
        "input": state.plan.spec.steps[node.step as usize].input,
        "upstream": upstream,
    });
    Some(DeadLetter {
        run: state.id,
        node: n,
        attempt: node.attempt,
        namespace: Arc::clone(&state.created.namespace),
        workflow: Arc::clone(&state.created.workflow),
        step: state.name_of(n).into(),
        queue: Arc::clone(state.plan.queue(node.step)),
        body: body.to_string(),
        failed_at: meta.at,
        retried_at: None,
    })
}
