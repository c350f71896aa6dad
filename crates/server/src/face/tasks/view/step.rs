//! One step as it stands.

use quintet_core::event::SkipCause;
use quintet_core::machine::StepStatus;
use quintet_core::state::{Class, Node, Verdict};
use quintet_core::time::Time;
use serde_json::{Map, Value};

use super::super::document::Step;
use super::super::graph::Mode;
use super::super::reply::iso;
use super::CANCELLED;
use super::scene::{Scene, began};

/// Where a step stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    Pending,
    Running,
    Completed,
    Failed,
    /// It did not have to run.
    Skipped,
    /// It failed, and was allowed to.
    Excused,
}

impl Phase {
    fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Running => "running",
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::Skipped | Self::Excused => "skipped",
        }
    }

    /// Whether what depends on it may run.
    pub fn is_settled_well(self) -> bool {
        matches!(self, Self::Completed | Self::Skipped | Self::Excused)
    }
}

/// Where the step at `nth` stands.
pub(super) fn phase(scene: &Scene<'_>, nth: usize) -> Phase {
    let Some(n) = scene.node(nth) else {
        return Phase::Pending;
    };
    let node = &scene.state.nodes[n as usize];
    let has_begun = || began(scene.state, n).is_some();
    match node.status {
        StepStatus::Complete | StepStatus::ResolvedManually => Phase::Completed,
        StepStatus::Error if scene.steps[nth].is_optional => Phase::Excused,
        StepStatus::Error => Phase::Failed,
        StepStatus::Skipped => match node.verdict {
            Verdict::Skip(SkipCause::ConditionFalse) => Phase::Skipped,
            Verdict::Skip(SkipCause::NotTaken | SkipCause::UpstreamFailed) | Verdict::Start | Verdict::Undecided => {
                Phase::Pending
            }
        },
        StepStatus::Cancelled if has_begun() => Phase::Failed,
        StepStatus::Cancelled => Phase::Pending,
        StepStatus::Pending
        | StepStatus::Enqueued
        | StepStatus::InProgress
        | StepStatus::EnqueuedForOrchestration
        | StepStatus::EnqueuedAsErrorForOrchestration
        | StepStatus::WaitingForRetry => match has_begun() {
            true => Phase::Running,
            false => Phase::Pending,
        },
    }
}

/// What went wrong with a step that is over.
pub(super) fn error(scene: &Scene<'_>, nth: usize) -> Option<String> {
    let n = scene.node(nth)?;
    let node = &scene.state.nodes[n as usize];
    match phase(scene, nth) {
        Phase::Failed if node.status == StepStatus::Cancelled => Some(CANCELLED.to_owned()),
        Phase::Failed | Phase::Excused => scene.error_of(n),
        Phase::Pending | Phase::Running | Phase::Completed | Phase::Skipped => None,
    }
}

/// All that is told of a step. Steps that did not have to run have times in a sequence only.
pub(super) fn status(scene: &Scene<'_>, nth: usize, mode: Mode) -> Value {
    let step = &scene.steps[nth];
    let phase = phase(scene, nth);
    let mut fields = Map::new();
    fields.insert("id".to_owned(), step.id.as_ref().into());
    fields.insert("task".to_owned(), step.task.into());
    fields.insert("status".to_owned(), phase.as_str().into());
    let Some(n) = scene.node(nth) else {
        return Value::Object(fields);
    };
    let node = &scene.state.nodes[n as usize];
    let (start, end) = times(scene, n, phase, mode);
    fields.extend(start.map(|at| ("startedAt".to_owned(), iso(at).into())));
    fields.extend(end.map(|at| ("completedAt".to_owned(), iso(at).into())));
    let duration = start.zip(end).map(|(start, end)| end.ms_since(start));
    fields.extend(duration.map(|ms| ("duration".to_owned(), ms.into())));
    fields.extend(error(scene, nth).map(|error| ("error".to_owned(), error.into())));
    if phase == Phase::Completed {
        let output = node.success.as_ref().map(|success| success.output.as_ref().clone());
        fields.insert("result".to_owned(), output.unwrap_or_default());
    }
    fields.extend(retry_attempt(scene, step, node).map(|attempt| ("retryAttempt".to_owned(), attempt.into())));
    Value::Object(fields)
}

fn times(scene: &Scene<'_>, n: u32, phase: Phase, mode: Mode) -> (Option<Time>, Option<Time>) {
    let ended_at = scene.state.nodes[n as usize].ended_at;
    match phase {
        Phase::Pending => (None, None),
        Phase::Running => (began(scene.state, n), None),
        Phase::Skipped if mode == Mode::Graph => (None, None),
        Phase::Skipped => (ended_at, ended_at),
        Phase::Completed | Phase::Failed | Phase::Excused => (began(scene.state, n).or(ended_at), ended_at),
    }
}

/// Which attempt it is in, or was in last: told where more than one was asked for, or was needed.
fn retry_attempt(scene: &Scene<'_>, step: &Step<'_>, node: &Node) -> Option<u32> {
    let items = node.fan.as_ref().and_then(|fan| {
        let items = fan.first as usize..(fan.first + fan.count) as usize;
        scene.state.nodes.get(items)
    });
    let attempt = match items {
        Some(items) => items.iter().filter_map(attempt).max(),
        None => attempt(node),
    }?;
    let asked_for = step
        .retry
        .or_else(|| scene.document.retry())
        .is_some_and(|retry| retry.attempts > 1);
    (asked_for || attempt > 1).then_some(attempt)
}

fn attempt(node: &Node) -> Option<u32> {
    let is_in_another = node.class() == Class::Claimed || matches!(node.status, StepStatus::Complete);
    let attempt = node.tries + u32::from(is_in_another && node.attempt > 0);
    (attempt > 0).then_some(attempt)
}
