//! What workers said of attempts while they were under way.
//!
//! The state of a run keeps how far an attempt has come, and not when it was last heard of, nor its words: those are
//! in the history alone. So the end of the history is read, and only for runs in which some attempt is under way or
//! has told of its progress. What lies further back than [`LOOK_BACK`] entries is not found.

use std::collections::HashMap;

use quintet_core::event::Event;
use quintet_core::machine::StepStatus;
use quintet_core::state::RunState;
use quintet_core::time::Time;
use quintet_store::{Store, StoreError};

/// Entries of a history that are read.
const LOOK_BACK: u64 = 1_000;
/// How the event is called in the stored form.
const PROGRESSED: &str = "step_progressed";

/// The last sign of life of an attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in super::super) struct Beat {
    pub at: Time,
    /// The last thing that it said.
    pub message: Option<String>,
}

/// The last signs of life of a run's last attempts, by step run.
pub(in super::super) async fn read(store: &dyn Store, state: &RunState) -> Result<HashMap<u32, Beat>, StoreError> {
    let mut beats = HashMap::new();
    let is_telling = |status: StepStatus| status == StepStatus::InProgress;
    if !state
        .nodes
        .iter()
        .any(|node| is_telling(node.status) || node.progress.is_some())
    {
        return Ok(beats);
    }
    let after = state.version.saturating_sub(LOOK_BACK);
    let commits = store
        .commits(&state.created.namespace, state.id, after, LOOK_BACK as usize)
        .await?;
    for commit in commits.iter().filter(|commit| commit.events.contains(PROGRESSED)) {
        let events: Result<Vec<Event>, _> = serde_json::from_str(&commit.events);
        let events = events.map_err(|error| StoreError::Corrupt(format!("{} {}: {error}", state.id, commit.seq)))?;
        for event in events {
            note(&mut beats, state, commit.meta.at, event);
        }
    }
    Ok(beats)
}

fn note(beats: &mut HashMap<u32, Beat>, state: &RunState, at: Time, event: Event) {
    let Event::StepProgressed { n, a, message, .. } = event else {
        return;
    };
    if state.nodes.get(n as usize).is_none_or(|node| node.attempt != a) {
        return;
    }
    let before = beats.remove(&n).and_then(|beat| beat.message);
    let message = message.or(before);
    beats.insert(n, Beat { at, message });
}
