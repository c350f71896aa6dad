//! Who wants to know when a run moves.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use quintet_core::id::RunId;
use quintet_core::state::RunState;
use tokio::sync::watch;

/// Abandoned watches are swept each time so many have gathered.
const SWEEP_AT: usize = 256;

/// How far a run has come.
#[derive(Debug, Clone, Default)]
pub struct Progress {
    /// Number of commits known to be stored; 0 before the first one that was seen.
    pub version: u64,
    /// The final state, once the run has ended.
    pub finished: Option<Arc<RunState>>,
}

/// All watched runs.
#[derive(Debug, Default)]
pub struct Watchers {
    runs: Mutex<HashMap<RunId, watch::Sender<Progress>>>,
}

impl Watchers {
    /// Watches a run. What happened before is not told: look at the run after calling this.
    pub fn watch(&self, run: RunId) -> watch::Receiver<Progress> {
        let mut runs = self.lock();
        if runs.len() >= SWEEP_AT && runs.len().is_multiple_of(SWEEP_AT) {
            runs.retain(|_, sender| sender.receiver_count() > 0);
        }
        runs.entry(run)
            .or_insert_with(|| watch::channel(Progress::default()).0)
            .subscribe()
    }

    pub(crate) fn publish(&self, state: &Arc<RunState>) {
        let mut runs = self.lock();
        let Some(sender) = runs.get(&state.id) else { return };
        let finished = state.status.is_terminal().then(|| Arc::clone(state));
        let ended = finished.is_some();
        let unheard = sender
            .send(Progress {
                version: state.version,
                finished,
            })
            .is_err();
        if unheard || ended {
            runs.remove(&state.id);
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<RunId, watch::Sender<Progress>>> {
        self.runs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
