//! What each namespace has under way in this process, and whose turn it is.
//!
//! One tenant's load must not starve another: where slots are scarce, the namespace that has least under way goes first,
//! and of several the one that was served longest ago. A namespace may have everything until another one is served; then it
//! leaves an eighth of the slots free, so that who comes with little finds one at once.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use quintet_store::Turns;

use crate::quota::Quota;

/// Namespaces that are remembered although they have nothing under way.
const REMEMBERED: usize = 4_096;

/// The part of the slots that is left to others.
const LEFT_TO_OTHERS: usize = 8;

/// The shares of all namespaces.
pub(crate) struct Shares {
    quota: Option<Arc<dyn Quota>>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    by_namespace: HashMap<Arc<str>, Share>,
    /// Namespaces with something under way.
    busy: usize,
    /// Steps that began so far.
    began: u64,
    /// Steps that ended so far.
    ended: u64,
}

#[derive(Default)]
struct Share {
    running: usize,
    /// The number of the step that began last.
    served: u64,
}

impl Shares {
    pub fn new(quota: Option<Arc<dyn Quota>>) -> Self {
        Self {
            quota,
            state: Mutex::default(),
        }
    }

    /// Whether a step may begin now although others wait for the same executor.
    pub fn is_behind(&self, namespace: &str, slots: usize) -> bool {
        let state = self.state();
        let running = state.running(namespace);
        let others = state.busy - usize::from(running > 0);
        running < slots / (others + 1)
    }

    /// Counts a step that begins, where it may: within the limits of its namespace, and leaving slots to others.
    pub fn take(&self, namespace: &Arc<str>, slots: usize) -> bool {
        let mut state = self.state();
        if self.is_full(&state, namespace, state.running(namespace), slots) {
            // From now on it is known, and not asked for.
            state.by_namespace.entry(Arc::clone(namespace)).or_default();
            return false;
        }
        state.began += 1;
        let number = state.began;
        let share = state.by_namespace.entry(Arc::clone(namespace)).or_default();
        share.served = number;
        share.running += 1;
        if share.running == 1 {
            state.busy += 1;
        }
        if state.by_namespace.len() > REMEMBERED {
            state.forget();
        }
        true
    }

    /// A step has ended.
    pub fn give_back(&self, namespace: &str) {
        let mut state = self.state();
        state.ended += 1;
        let Some(share) = state.by_namespace.get_mut(namespace) else {
            return;
        };
        let was_running = share.running;
        share.running = was_running.saturating_sub(1);
        if was_running == 1 {
            state.busy -= 1;
        }
    }

    /// Steps that have ended so far.
    pub fn ended(&self) -> u64 {
        self.state().ended
    }

    /// Whose turn it is at an executor with so many slots.
    pub fn turns(&self, slots: usize) -> Turns {
        let state = self.state();
        let mut known: Vec<(&Arc<str>, &Share)> = state.by_namespace.iter().collect();
        known.sort_unstable_by_key(|(_, share)| (share.running, share.served));
        let is_full = |namespace: &str, share: &Share| self.is_full(&state, namespace, share.running, slots);
        let without = known.iter().filter(|(namespace, share)| is_full(namespace, share));
        Turns {
            without: without.map(|(namespace, _)| Arc::clone(namespace)).collect(),
            behind: known.into_iter().map(|(namespace, _)| Arc::clone(namespace)).collect(),
        }
    }

    fn is_full(&self, state: &State, namespace: &str, running: usize, slots: usize) -> bool {
        let is_known = state.by_namespace.contains_key(namespace);
        let others = state.by_namespace.len() - usize::from(is_known);
        let most = if others > 0 {
            slots - slots / LEFT_TO_OTHERS
        } else {
            slots
        };
        let Some(quota) = &self.quota else {
            return running >= most;
        };
        let own = quota
            .max_running_steps(namespace)
            .map_or(most, |max| most.min(max as usize));
        running >= own || !quota.is_active(namespace)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn running(&self, namespace: &str) -> usize {
        self.by_namespace.get(namespace).map_or(0, |share| share.running)
    }

    /// Drops the half that was served longest ago and has nothing under way.
    fn forget(&mut self) {
        let mut idle: Vec<u64> = self
            .by_namespace
            .values()
            .filter(|share| share.running == 0)
            .map(|share| share.served)
            .collect();
        idle.sort_unstable();
        let Some(&limit) = idle.get(idle.len() / 2) else { return };
        self.by_namespace
            .retain(|_, share| share.running > 0 || share.served > limit);
    }
}
