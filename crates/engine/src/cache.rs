//! States of runs that are under way on this node.
//!
//! Runs whose attempts are held here stay; others stay as long as there is room. A run that waits for a
//! person or a clock needs no memory: it is loaded again when something happens to it.

use std::collections::HashMap;
use std::sync::Arc;

use quintet_core::id::RunId;
use quintet_core::state::RunState;

/// The engine's run states.
pub(crate) struct Cache {
    runs: HashMap<RunId, Arc<RunState>>,
    budget: usize,
    weight: usize,
    /// Weight at which room is made next.
    trim_at: usize,
}

impl Cache {
    pub fn new(budget: usize) -> Self {
        Self {
            runs: HashMap::new(),
            budget,
            weight: 0,
            trim_at: budget,
        }
    }

    pub fn get(&self, run: RunId) -> Option<&Arc<RunState>> {
        self.runs.get(&run)
    }

    pub fn contains(&self, run: RunId) -> bool {
        self.runs.contains_key(&run)
    }

    pub fn take(&mut self, run: RunId) -> Option<Arc<RunState>> {
        let state = self.runs.remove(&run)?;
        self.weight = self.weight.saturating_sub(state.weight());
        Some(state)
    }

    /// Keeps a stored state, unless it is over and done with.
    pub fn put(&mut self, state: Arc<RunState>) {
        if state.status.is_terminal() {
            return;
        }
        self.weight += state.weight();
        if let Some(before) = self.runs.insert(state.id, state) {
            self.weight = self.weight.saturating_sub(before.weight());
        }
    }

    /// Keeps a state that was loaded for the batch at hand, finished or not.
    pub fn force(&mut self, state: Arc<RunState>) {
        self.weight += state.weight();
        self.runs.insert(state.id, state);
    }

    /// Makes room: drops runs that nothing here is working on.
    pub fn trim(&mut self) {
        if self.weight <= self.trim_at {
            return;
        }
        self.runs.retain(|_, state| state.claims() > 0);
        if self.runs.capacity() > 4 * self.runs.len().max(1024) {
            self.runs.shrink_to_fit();
        }
        self.weight = self.runs.values().map(|state| state.weight()).sum();
        // When everything is being worked on nothing can go: looking at all of it again must wait until much
        // has come.
        self.trim_at = self.budget.max(self.weight + self.budget / 4);
    }

    /// Runs of which something is under way.
    pub fn claimed(&self) -> impl Iterator<Item = (Arc<str>, RunId)> {
        let claimed = self.runs.values().filter(|state| state.claims() > 0);
        claimed.map(|state| (Arc::clone(&state.created.namespace), state.id))
    }

    pub fn len(&self) -> usize {
        self.runs.len()
    }
}
