//! Which moments the events of a commit are.
//!
//! Both who is told ([`source`](super::source)) and what is shown ([`shown`](super::shown)) go by this, so that they
//! cannot disagree.

use quintet_core::event::Event;
use quintet_core::state::RunState;
use serde_json::Value;

use super::super::document::Document;
use super::super::ids::queue_of;
use super::super::plan::input;
use super::super::view::{self, Status};
use super::fill::Roots;
use super::{Effect, Trigger};

/// Of many steps so many are told as progress, as on the task's stream.
const TOLD: usize = 200;

/// One moment.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Firing<'e> {
    pub trigger: Trigger,
    cause: Cause<'e>,
}

/// What made it one.
#[derive(Debug, Clone, PartialEq)]
enum Cause<'e> {
    /// The task is under way.
    Life,
    /// An attempt failed, and the task goes on: only who wants each of them is told.
    Attempt {
        /// Which one of the commit.
        nth: usize,
        n: u32,
        message: &'e str,
    },
    /// The task is over.
    End,
}

impl Firing<'_> {
    /// Whether an effect takes place at it.
    pub fn is_for(&self, effect: &Effect) -> bool {
        effect.every_attempt || self.attempt().is_none()
    }

    /// Of the failed attempts of a commit that are not the last one, which one it is.
    pub fn attempt(&self) -> Option<usize> {
        match self.cause {
            Cause::Attempt { nth, .. } => Some(nth),
            Cause::Life | Cause::End => None,
        }
    }

    /// What templates find. A task that failed has no result.
    pub fn roots<'d>(&self, state: &RunState, document: &'d Value) -> Roots<'d> {
        let is_error = self.trigger == Trigger::Error;
        let error = match self.cause {
            Cause::Attempt { n, message, .. } => Some(view::step_error(state, n).unwrap_or_else(|| message.to_owned())),
            Cause::End if is_error => Some(view::error(state).unwrap_or_default()),
            Cause::Life | Cause::End => None,
        };
        Roots {
            task: document,
            job_id: state.id.to_string().into(),
            result: (self.trigger == Trigger::Success).then(|| view::result(state)),
            error: error.map(Value::from),
            progress: view::progress(state),
        }
    }
}

/// The document of a run, if it is one of this face.
pub(super) fn document(state: &RunState) -> Option<&Value> {
    queue_of(state)?;
    Some(Document::of_context(&state.created.context).value())
}

/// The moments of a commit, in order; `state` is the run after it.
pub(super) fn firings<'e>(state: &RunState, events: &'e [Event]) -> Vec<Firing<'e>> {
    let during = |trigger| Firing {
        trigger,
        cause: Cause::Life,
    };
    let mut firings = Vec::new();
    if events.iter().any(|event| matches!(event, Event::RunCreated(_))) {
        firings.push(during(Trigger::Pending));
    }
    if events.iter().any(|event| is_step_forward(event, state)) {
        firings.push(during(Trigger::Progress));
    }
    let end = end(state, events);
    let mut attempts: Vec<(u32, &str)> = events.iter().filter_map(attempt).collect();
    let is_last = events
        .iter()
        .any(|event| matches!(event, Event::StepFailed { a: 1.., .. }));
    if is_last && end == Some(Trigger::Error) {
        // Its error is the task's.
        attempts.pop();
    }
    firings.extend(attempts.into_iter().enumerate().map(|(nth, (n, message))| Firing {
        trigger: Trigger::Error,
        cause: Cause::Attempt { nth, n, message },
    }));
    firings.extend(end.map(|trigger| Firing {
        trigger,
        cause: Cause::End,
    }));
    firings
}

/// A step of a pipeline is settled, or whoever does a task without steps says how far it is.
fn is_step_forward(event: &Event, state: &RunState) -> bool {
    let is_pipeline = || Document::of_context(&state.created.context).is_pipeline();
    let settled = match event {
        Event::StepProgressed { progress, .. } => return progress.is_some() && !is_pipeline(),
        Event::StepSucceeded { n, .. }
        | Event::StepReused { n, .. }
        | Event::StepFailed { n, .. }
        | Event::StepSkipped { n, .. }
        | Event::ItemsCollected { n }
        | Event::StepResolved { n, .. } => *n as usize,
        _ => return false,
    };
    // Items, and the parts of a step that is cut up, are no steps of the task.
    let is_whole = state.plan.spec.steps.get(settled).is_some_and(|step| {
        let part = step.input.get(input::PART).and_then(Value::as_str);
        part.is_none_or(|part| part == "merge")
    });
    is_whole && settled.is_multiple_of(state.plan.len().div_ceil(TOLD).max(1)) && is_pipeline()
}

/// The step run and the error of a failed attempt.
fn attempt(event: &Event) -> Option<(u32, &str)> {
    match event {
        Event::StepRetrying { n, failure, .. } | Event::StepFailed { n, a: 1.., failure } => {
            Some((*n, &failure.message))
        }
        _ => None,
    }
}

fn end(state: &RunState, events: &[Event]) -> Option<Trigger> {
    let is_end = |event: &Event| match event {
        Event::RunMoved { to } => to.is_terminal(),
        Event::RunCancelled { .. } | Event::RunResolved { .. } | Event::RunTimedOut { .. } => true,
        _ => false,
    };
    let has_ended = state.status.is_terminal() && events.iter().any(is_end);
    has_ended.then(|| match view::status(state) {
        Status::Completed => Trigger::Success,
        Status::Failed | Status::Queued | Status::Running => Trigger::Error,
    })
}
