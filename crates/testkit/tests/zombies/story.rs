//! Puts a situation of the table into a store, as the commits that brought it about.

use std::sync::Arc;

use quintet_core::apply::{apply_commit, create};
use quintet_core::event::Event;
use quintet_core::id::RunId;
use quintet_core::state::RunState;
use quintet_store::{QueueChange, RunWrite};

use crate::situation::Situation;
use crate::writer::{Writer, row};

/// Stores the history of a situation under a run id of its own, commit by commit, and gives the state after each. From
/// then on the situation speaks of that run.
pub async fn store(at: &mut Situation, writer: &mut Writer, number: u64) -> Vec<RunState> {
    // Ids begin with the time, as those of real runs do.
    let id = RunId::from_bits((0x0190_0000_0000_u128 << 80) | u128::from(number));
    let sim = &mut at.sim;
    let first = sim.history.first().expect("a run has a history").0;
    let mut state = create(id, Arc::clone(&sim.state.plan), &sim.created, first);
    (writer.run, writer.plan) = (id, Arc::clone(&sim.state.plan));
    let (last, mut copies) = (sim.history.len() - 1, Vec::new());
    for (nth, (meta, text)) in sim.history.iter().enumerate() {
        let expected = state.version;
        let events: Vec<Event> = serde_json::from_str(text).expect("events can be read back");
        apply_commit(&mut state, *meta, &events).expect("the history is legal");
        let queue = if nth == last { puts(&sim.queue) } else { Vec::new() };
        let write = RunWrite {
            expected,
            row: row(&state),
            events: text.clone(),
            queue,
        };
        assert!(writer.write(*meta, write).await, "the run is new");
        copies.push(state.clone());
    }
    sim.state = state;
    copies
}

fn puts(queue: &[u32]) -> Vec<QueueChange> {
    let put = |node: &u32| QueueChange::Put {
        node: *node,
        queue: "work".into(),
        priority: 0,
    };
    queue.iter().map(put).collect()
}
