//! Which executor does which action, and how many free slots each has.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use quintet_core::effect::{Place, Placement};
use quintet_core::plan::StepSpec;
use quintet_store::QueueAsk;

use crate::executor::{Executor, Mode};
use crate::flow::{Asks, Flow, Reach, Room};
use crate::shares::Shares;

/// All executors of this node.
pub struct Registry {
    by_action: HashMap<String, Arc<Lane>>,
    draining: AtomicBool,
}

/// One executor with its slots.
pub(crate) struct Lane {
    pub executor: Arc<dyn Executor>,
    pub mode: Mode,
    /// Limits on what is in progress, by queue.
    pub flow: Option<Flow>,
    asks: Vec<QueueAsk>,
    free: AtomicUsize,
    slots: usize,
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
                Mode::Async { concurrency } | Mode::Outside { concurrency } => concurrency,
            };
            let actions: Vec<String> = executor
                .actions()
                .iter()
                .map(|action| action.to_ascii_lowercase())
                .collect();
            let reach = match mode {
                Mode::Outside { .. } => Some(Reach::Store),
                Mode::Async { .. } | Mode::Inline => executor.has_queues().then_some(Reach::Node),
            };
            let flow = actions.first().zip(reach);
            let lane = Arc::new(Lane {
                executor,
                mode,
                flow: flow.map(|(action, reach)| Flow::new(action, reach)),
                asks: actions.iter().map(|action| QueueAsk::all(action)).collect(),
                free: AtomicUsize::new(free),
                slots: free,
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

    /// The limits on an action whose steps lie in queues of their own.
    pub fn flow(&self, action: &str) -> Option<&Flow> {
        self.lane(action)?.flow.as_ref()
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
    /// What may be taken out of the store's queues.
    pub fn room(&self) -> Room {
        let everything = || Asks {
            each: self.asks.clone(),
            all: usize::MAX,
        };
        self.flow.as_ref().map_or_else(
            || Room {
                asks: vec![everything()],
                ..Room::default()
            },
            Flow::room,
        )
    }

    /// Counts the steps that have given their places in its queues back.
    pub fn ended(&self) -> u64 {
        self.flow.as_ref().map_or(0, Flow::ended)
    }

    /// Whether its limits hold on this node alone: a step is then in progress as long as this process has it.
    pub fn is_counted_here(&self) -> bool {
        self.flow.as_ref().is_some_and(|flow| flow.reach() == Reach::Node)
    }

    /// A step that was to start does not.
    pub fn undo(&self, queue: &str, namespace: &str, shares: &Shares) {
        self.give_back();
        self.end(queue);
        if self.mode != Mode::Inline {
            shares.give_back(namespace);
        }
    }

    /// A step is no longer in progress.
    pub fn end(&self, queue: &str) {
        if let Some(flow) = &self.flow {
            flow.give_back(queue);
        }
    }

    pub fn free(&self) -> usize {
        self.free.load(Ordering::SeqCst)
    }

    /// How many slots it has in all.
    pub fn slots(&self) -> usize {
        self.slots
    }

    /// Whether all slots are free.
    pub fn is_idle(&self) -> bool {
        self.free() >= self.slots
    }

    pub fn set_waiting(&self, waiting: bool) {
        self.waiting.store(waiting, Ordering::SeqCst);
    }

    pub fn is_waiting(&self) -> bool {
        self.waiting.load(Ordering::SeqCst)
    }

    /// Takes as many slots as are free, at most `limit`.
    pub fn reserve(self: &Arc<Self>, limit: usize, shares: &Arc<Shares>) -> Vec<Slot> {
        let take = || {
            self.try_take().then(|| Slot {
                lane: Some(Arc::clone(self)),
                shares: Arc::clone(shares),
                entered: None,
            })
        };
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

    /// Takes a slot and, where there are limits, a place within them. What waits already goes first there, and before
    /// those whose namespace has its share.
    fn take_for(&self, queue: &str, slots: &Slots<'_>) -> bool {
        if self.mode == Mode::Inline {
            return true;
        }
        let has_limits = self.flow.as_ref().is_some_and(Flow::has_limits);
        let must_wait = || has_limits || !slots.shares.is_behind(slots.namespace, self.slots);
        if self.is_waiting() && must_wait() || !self.try_take() {
            return false;
        }
        if !slots.shares.take(slots.namespace, self.slots) {
            self.give_back();
            return false;
        }
        if let Some(flow) = &self.flow
            && !flow.take_at_once(queue, slots.is_shared)
        {
            self.give_back();
            slots.shares.give_back(slots.namespace);
            return false;
        }
        true
    }

    pub fn give_back(&self) {
        if self.mode != Mode::Inline {
            self.free.fetch_add(1, Ordering::SeqCst);
        }
    }
}

/// A slot that is taken and gives itself back, unless an attempt takes it over.
pub(crate) struct Slot {
    lane: Option<Arc<Lane>>,
    shares: Arc<Shares>,
    /// The queue in whose limit it has a place, and the namespace in whose share.
    entered: Option<(Arc<str>, Arc<str>)>,
}

impl Slot {
    /// Takes a place within the limits of a queue, where there are any, and in the share of a namespace.
    pub fn enter(&mut self, queue: &Arc<str>, namespace: &Arc<str>) -> bool {
        let Some(lane) = &self.lane else { return false };
        if !self.shares.take(namespace, lane.slots) {
            return false;
        }
        if lane.flow.as_ref().is_some_and(|flow| !flow.take(queue)) {
            self.shares.give_back(namespace);
            return false;
        }
        self.entered = Some((Arc::clone(queue), Arc::clone(namespace)));
        true
    }

    /// It is the attempt's now.
    pub fn hand_over(mut self) {
        self.lane = None;
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        if let Some(lane) = self.lane.take() {
            lane.give_back();
            if let Some((queue, namespace)) = self.entered.take() {
                lane.end(&queue);
                self.shares.give_back(&namespace);
            }
        }
    }
}

/// The registry as the core sees it.
pub(crate) struct Slots<'a> {
    pub registry: &'a Registry,
    /// Nobody else can have taken over what begins here.
    pub may_begin: bool,
    /// Other nodes may start steps too.
    pub is_shared: bool,
    /// What each namespace has under way.
    pub shares: &'a Shares,
    /// Whose steps are to be placed.
    pub namespace: &'a Arc<str>,
}

impl Placement for Slots<'_> {
    fn place(&mut self, step: &StepSpec) -> Place {
        let Some(lane) = self.registry.lane(&step.action) else {
            return Place::Unsupported;
        };
        let may_begin = self.may_begin && !self.registry.draining.load(Ordering::Relaxed);
        if may_begin && lane.take_for(step.queue(), self) {
            return Place::Here;
        }
        lane.set_waiting(true);
        Place::Queue
    }

    fn release(&mut self, step: &StepSpec) {
        if let Some(lane) = self.registry.lane(&step.action) {
            lane.undo(step.queue(), self.namespace, self.shares);
        }
    }
}
