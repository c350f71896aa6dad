//! Which executor does which action, and how many free slots each has.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use quintet_core::effect::{Place, Placement};

use crate::executor::{Executor, Mode};

/// All executors of this node.
pub struct Registry {
    by_action: HashMap<String, Arc<Lane>>,
    draining: AtomicBool,
}

/// One executor with its slots.
pub(crate) struct Lane {
    pub executor: Arc<dyn Executor>,
    pub mode: Mode,
    actions: Vec<String>,
    free: AtomicUsize,
    /// The store may hold steps that wait for this executor.
    waiting: AtomicBool,
}

impl Registry {
    /// A registry of these executors. A later one replaces an earlier one's actions.
    pub fn new(executors: impl IntoIterator<Item = Arc<dyn Executor>>) -> Self {
        let mut by_action = HashMap::new();
        for executor in executors {
            let mode = executor.mode();
            let free = match mode {
                Mode::Inline => usize::MAX,
                Mode::Async { concurrency } => concurrency,
            };
            let actions: Vec<String> = executor
                .actions()
                .iter()
                .map(|action| action.to_ascii_lowercase())
                .collect();
            let lane = Arc::new(Lane {
                executor,
                mode,
                actions: actions.clone(),
                free: AtomicUsize::new(free),
                waiting: AtomicBool::new(true),
            });
            by_action.extend(actions.into_iter().map(|action| (action, Arc::clone(&lane))));
        }
        Self {
            by_action,
            draining: AtomicBool::new(false),
        }
    }

    /// Names of all actions that have an executor.
    pub fn actions(&self) -> Vec<&str> {
        let mut names: Vec<&str> = self.by_action.keys().map(String::as_str).collect();
        names.sort_unstable();
        names
    }

    /// The executor of an action, whatever its case.
    pub fn executor(&self, action: &str) -> Option<&Arc<dyn Executor>> {
        self.lane(action).map(|lane| &lane.executor)
    }

    pub(crate) fn lane(&self, action: &str) -> Option<&Arc<Lane>> {
        match self.by_action.get(action) {
            Some(lane) => Some(lane),
            None => self.by_action.get(&action.to_ascii_lowercase()),
        }
    }

    pub(crate) fn lanes(&self) -> impl Iterator<Item = &Arc<Lane>> {
        self.by_action.values()
    }

    /// From now on nothing new starts here.
    pub(crate) fn drain(&self) {
        self.draining.store(true, Ordering::Relaxed);
    }

    /// Lanes that have free slots and for which steps may wait in the store.
    pub(crate) fn hungry(&self) -> Vec<Arc<Lane>> {
        if self.draining.load(Ordering::Relaxed) {
            return Vec::new();
        }
        let mut lanes: Vec<Arc<Lane>> = Vec::new();
        for lane in self.by_action.values() {
            if lane.is_waiting() && lane.free() > 0 && !lanes.iter().any(|known| Arc::ptr_eq(known, lane)) {
                lanes.push(Arc::clone(lane));
            }
        }
        lanes
    }
}

// Who gives a slot back looks for waiting steps afterwards, and who puts a step into the queue looks for a slot
// afterwards: one of them must see the other, so all of this is in one order.
impl Lane {
    pub fn actions(&self) -> &[String] {
        &self.actions
    }

    pub fn free(&self) -> usize {
        self.free.load(Ordering::SeqCst)
    }

    pub fn set_waiting(&self, waiting: bool) {
        self.waiting.store(waiting, Ordering::SeqCst);
    }

    pub fn is_waiting(&self) -> bool {
        self.waiting.load(Ordering::SeqCst)
    }

    /// Takes as many slots as are free, at most `limit`.
    pub fn reserve(self: &Arc<Self>, limit: usize) -> Vec<Slot> {
        let take = || self.try_take().then(|| Slot(Some(Arc::clone(self))));
        std::iter::from_fn(take).take(limit).collect()
    }

    pub fn try_take(&self) -> bool {
        if self.mode == Mode::Inline {
            return true;
        }
        let taken = self
            .free
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |free| free.checked_sub(1));
        taken.is_ok()
    }

    pub fn give_back(&self) {
        if self.mode != Mode::Inline {
            self.free.fetch_add(1, Ordering::SeqCst);
        }
    }
}

/// A slot that is taken and gives itself back, unless an attempt takes it over.
pub(crate) struct Slot(Option<Arc<Lane>>);

impl Slot {
    /// It is the attempt's now.
    pub fn hand_over(mut self) {
        self.0 = None;
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        if let Some(lane) = self.0.take() {
            lane.give_back();
        }
    }
}

/// The registry as the core sees it.
pub(crate) struct Slots<'a> {
    pub registry: &'a Registry,
    /// Nobody else can have taken over what begins here.
    pub may_begin: bool,
}

impl Placement for Slots<'_> {
    fn place(&mut self, action: &str) -> Place {
        let Some(lane) = self.registry.lane(action) else {
            return Place::Unsupported;
        };
        if self.may_begin && !self.registry.draining.load(Ordering::Relaxed) && lane.try_take() {
            return Place::Here;
        }
        lane.set_waiting(true);
        Place::Queue
    }

    fn release(&mut self, action: &str) {
        if let Some(lane) = self.registry.lane(action) {
            lane.give_back();
        }
    }
}
