//! A run as a picture: its plan, with each step in the colour of its state and a few words on how it went.

use quintet_core::machine::StepStatus;
use quintet_core::state::{Fan, Hold, Node as StepRun, RunState};

use super::{Picture, State, shorten};
use crate::words::duration;

impl Picture {
    /// The picture of a run. Items of a `for_each` are not drawn one by one, they are counted.
    pub fn of_state(title: &str, state: &RunState) -> Self {
        let mut picture = Self::of_plan(title, &state.plan.spec);
        // The step runs of the steps come first, in the order of the plan.
        for (node, run) in picture.nodes.iter_mut().zip(&state.nodes) {
            node.state = Some(State::of_node(run));
            node.note = note_of(run);
        }
        picture
    }
}

impl State {
    /// Where a step run stands.
    pub fn of_node(node: &StepRun) -> State {
        match (node.status, node.hold) {
            (StepStatus::Pending, Hold::Approval) | (StepStatus::InProgress, Hold::Timer) => State::Waiting,
            (StepStatus::Pending, _) => State::Pending,
            (StepStatus::WaitingForRetry, _) => State::Waiting,
            (
                StepStatus::Enqueued
                | StepStatus::InProgress
                | StepStatus::EnqueuedForOrchestration
                | StepStatus::EnqueuedAsErrorForOrchestration,
                _,
            ) => State::Running,
            (StepStatus::Complete | StepStatus::ResolvedManually, _) => State::Succeeded,
            (StepStatus::Error, _) => State::Failed,
            (StepStatus::Cancelled, _) => State::Canceled,
            (StepStatus::Skipped, _) => State::Skipped,
        }
    }
}

/// Characters shown of an error.
const ERROR: usize = 160;

/// How a step went, in a few words.
pub(crate) fn note(took_ms: Option<u64>, attempts: u64, error: Option<&str>) -> Option<String> {
    let attempts = (attempts > 1).then(|| format!("{attempts} attempts"));
    joined([
        took_ms.map(duration),
        attempts,
        error.map(|error| shorten(error, ERROR)),
    ])
}

fn note_of(node: &StepRun) -> Option<String> {
    let took = node.started_at.zip(node.ended_at).map(|(from, to)| to.ms_since(from));
    let error = node.failure.as_deref().map(|failure| failure.message.as_str());
    let is_under_way = node.status == StepStatus::InProgress;
    let percent = node
        .progress
        .filter(|_| is_under_way)
        .map(|done| format!("{done:.0} %"));
    let went = note(took, node.attempt.into(), error);
    joined([node.fan.as_deref().map(items), percent, went])
}

fn items(fan: &Fan) -> String {
    let done = format!("{} of {}", fan.next - fan.running, fan.count);
    match fan.failed {
        0 => done,
        failed => format!("{done}, {failed} failed"),
    }
}

fn joined<const N: usize>(words: [Option<String>; N]) -> Option<String> {
    let words: Vec<String> = words.into_iter().flatten().collect();
    (!words.is_empty()).then(|| words.join(" · "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_note_says_only_what_there_is_to_say() {
        assert_eq!(note(None, 1, None), None);
        assert_eq!(
            note(Some(2_400), 3, Some("boom")).as_deref(),
            Some("2.4s · 3 attempts · boom")
        );
    }
}
