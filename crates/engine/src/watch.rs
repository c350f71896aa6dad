//! Who wants to know when a run moves.
//!
//! What moves on this node is told at once. Where other nodes may move a run too, the node's task looks at the
//! watched runs that have been quiet here, the longer quiet the more seldom.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use quintet_core::id::RunId;
use quintet_core::state::RunState;
use quintet_core::time::Time;
use tokio::sync::watch;

/// Abandoned watches are swept each time so many have gathered.
const SWEEP_AT: usize = 256;
/// Milliseconds between looks at a run that has just been quiet, and at one that has long been.
const LOOK_MS: (u64, u64) = (200, 2_000);

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
    runs: Mutex<HashMap<RunId, Watched>>,
}

#[derive(Debug)]
struct Watched {
    namespace: Arc<str>,
    sender: watch::Sender<Progress>,
    /// When something was last heard of it, and when it is to be looked at; neither is known at first.
    heard_at: Option<Time>,
    look_at: Time,
}

/// A run to look at.
#[derive(Debug, Clone)]
pub(crate) struct Quiet {
    pub namespace: Arc<str>,
    /// The last version that was told.
    pub version: u64,
}

impl Watchers {
    /// Watches a run. What happened before is not told: look at the run after calling this.
    pub fn watch(&self, namespace: &Arc<str>, run: RunId) -> watch::Receiver<Progress> {
        let mut runs = self.lock();
        if runs.len() >= SWEEP_AT && runs.len().is_multiple_of(SWEEP_AT) {
            runs.retain(|_, watched| watched.sender.receiver_count() > 0);
        }
        runs.entry(run)
            .or_insert_with(|| Watched {
                namespace: Arc::clone(namespace),
                sender: watch::channel(Progress::default()).0,
                heard_at: None,
                look_at: Time(0),
            })
            .sender
            .subscribe()
    }

    pub(crate) fn publish(&self, state: &Arc<RunState>) {
        let mut runs = self.lock();
        let Some(watched) = runs.get_mut(&state.id) else { return };
        let finished = state.status.is_terminal().then(|| Arc::clone(state));
        let ended = finished.is_some();
        watched.heard_at = None;
        let unheard = watched
            .sender
            .send(Progress {
                version: state.version,
                finished,
            })
            .is_err();
        if unheard || ended {
            runs.remove(&state.id);
        }
    }

    /// The run was moved by another node and goes on.
    pub(crate) fn moved(&self, run: RunId, version: u64) {
        let mut runs = self.lock();
        let Some(watched) = runs.get_mut(&run) else { return };
        watched.heard_at = None;
        watched.sender.send_if_modified(|progress| {
            let is_news = progress.version < version;
            progress.version = progress.version.max(version);
            is_news
        });
    }

    /// Runs that have been quiet for so long that it is time to look at them.
    pub(crate) fn quiet(&self, now: Time) -> HashMap<RunId, Quiet> {
        let mut runs = self.lock();
        if runs.is_empty() {
            return HashMap::new();
        }
        runs.retain(|_, watched| watched.sender.receiver_count() > 0);
        let mut quiet = HashMap::new();
        for (run, watched) in runs.iter_mut() {
            let Some(heard_at) = watched.heard_at else {
                watched.heard_at = Some(now);
                watched.look_at = now.plus_ms(LOOK_MS.0);
                continue;
            };
            if watched.look_at > now {
                continue;
            }
            let pause_ms = (now.ms_since(heard_at) / 4).clamp(LOOK_MS.0, LOOK_MS.1);
            watched.look_at = now.plus_ms(pause_ms);
            let version = watched.sender.borrow().version;
            let namespace = Arc::clone(&watched.namespace);
            quiet.insert(*run, Quiet { namespace, version });
        }
        quiet
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<RunId, Watched>> {
        self.runs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
