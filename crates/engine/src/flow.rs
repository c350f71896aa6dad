//! Limits on how many steps of an action are in progress: all together, and by queue or group of queues.
//!
//! Where the work is outside ([`Reach::Store`]), the truth are the rows of the steps in the store, and limits hold over
//! all nodes. What is kept here saves asking for them: on a store of one process every start and every end passes through
//! this process, so its count is exact once it was read; on a shared store the scout reads it anew before it takes steps
//! out of a queue, and the commit that starts a step looks at the rows itself. There a limited step is therefore never
//! started on the spot, but always taken out of its queue.
//!
//! Where this process does the work ([`Reach::Node`]), limits are this node's, and what it holds is all that counts.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use quintet_core::time::Time;
use quintet_store::{QueueAsk, StepLimit};

/// What ageing is counted from; any time before the first step will do, and a late one keeps the numbers small.
const AGEING_SINCE: Time = Time(1_767_225_600_000_000);

/// Which steps of an action may start.
#[derive(Debug)]
pub struct Flow {
    action: Arc<str>,
    reach: Reach,
    state: Mutex<State>,
}

/// Over what limits hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// All nodes that share the store.
    Store,
    /// This one.
    Node,
}

/// Whether anything may start by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Gate {
    /// As soon as it is ready and within the limits.
    #[default]
    Open,
    /// Only in a pass that somebody asks for.
    Shut,
}

/// A queue that is served.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Served {
    /// Its name.
    pub name: Arc<str>,
    /// Queues of the same group share one limit; a queue without is a group by itself. Only for [`Reach::Node`].
    pub group: Option<Arc<str>>,
    /// How many steps of the group may be in progress; as many as there are when absent.
    pub max: Option<u32>,
    /// Having waited for so many milliseconds counts as much as one level of priority; never when absent. Takes effect
    /// on what is put into the queue from now on.
    pub ageing_ms: Option<u64>,
    /// Why nothing of it starts for the time being.
    pub closed: Option<Arc<str>>,
}

impl Served {
    /// A queue of its own.
    pub fn new(name: impl Into<Arc<str>>, max: Option<u32>) -> Self {
        Self {
            name: name.into(),
            group: None,
            max,
            ageing_ms: None,
            closed: None,
        }
    }
}

/// What keeps a step in its queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Obstacle {
    /// Nobody serves the queue.
    Unserved,
    /// Nothing of the queue starts for the time being.
    Closed { reason: Arc<str> },
    /// So many steps of the queue are in progress, which is its limit.
    QueueFull { max: u32 },
    /// So many steps of all queues are in progress, which is their limit.
    Full { max: u32 },
    /// Steps start only in passes that somebody asks for.
    Shut,
}

/// How an action's queues stand at one moment.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Room {
    /// What may be taken out of them.
    pub asks: Vec<Asks>,
    /// Something that waits may not even be asked for.
    pub is_full_somewhere: bool,
    /// Places that were given back so far.
    pub ended: u64,
}

/// What may be taken out of some queues.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Asks {
    /// Of each.
    pub each: Vec<QueueAsk>,
    /// In all.
    pub all: usize,
}

#[derive(Debug, Default)]
struct State {
    gate: Gate,
    /// What a pass may still start; only while the gate is shut.
    budget: usize,
    max: Option<u32>,
    /// In progress, in all queues.
    running: u32,
    queues: HashMap<Arc<str>, Queue>,
    groups: HashMap<Arc<str>, Group>,
    /// Whether the counts have been read.
    is_known: bool,
    /// Places that were given back so far.
    ended: u64,
}

/// A queue that nobody serves is only counted.
#[derive(Debug, Default)]
struct Queue {
    served: Option<Served>,
    running: u32,
}

/// Queues with one limit, by the name of the group or of the only queue.
#[derive(Debug, Default)]
struct Group {
    max: Option<u32>,
    running: u32,
    queues: Vec<Arc<str>>,
}

impl Group {
    fn room(&self) -> u32 {
        self.max.map_or(u32::MAX, |max| max.saturating_sub(self.running))
    }
}

impl Queue {
    fn is_open(&self) -> bool {
        self.served.as_ref().is_some_and(|served| served.closed.is_none())
    }
}

impl State {
    fn room(&self) -> u32 {
        self.max.map_or(u32::MAX, |max| max.saturating_sub(self.running))
    }

    /// What may be taken out of the queues now. Queues of one group are asked for by themselves, so that no more is
    /// taken out than the group has room for.
    fn asks(&self) -> Vec<Asks> {
        let budget = match self.gate {
            Gate::Open => usize::MAX,
            Gate::Shut => self.budget,
        };
        let all = budget.min(self.room() as usize);
        let mut single = Asks { each: Vec::new(), all };
        let mut asks = Vec::new();
        for group in self.groups.values().filter(|group| group.room() > 0) {
            let limit = group.room() as usize;
            let open = group.queues.iter().filter(|name| self.queues[*name].is_open());
            let each: Vec<QueueAsk> = open
                .map(|name| QueueAsk {
                    queue: Arc::clone(name),
                    limit,
                })
                .collect();
            match each.len() {
                0 => {}
                1 => single.each.extend(each),
                _ => asks.push(Asks {
                    each,
                    all: all.min(limit),
                }),
            }
        }
        if !single.each.is_empty() {
            asks.push(single);
        }
        asks.retain(|asks| asks.all > 0);
        asks
    }

    fn is_full_somewhere(&self) -> bool {
        let is_closed = |queue: &Queue| queue.served.is_some() && !queue.is_open();
        self.room() == 0
            || self.gate == Gate::Shut
            || self.groups.values().any(|group| group.room() == 0)
            || self.queues.values().any(is_closed)
    }

    fn has_limits(&self) -> bool {
        self.max.is_some() || self.groups.values().any(|group| group.max.is_some())
    }

    fn group_of(&self, queue: &str) -> Option<&Group> {
        let served = self.queues.get(queue)?.served.as_ref()?;
        self.groups.get(served.group.as_ref().unwrap_or(&served.name))
    }

    fn take(&mut self, name: &str) -> bool {
        let is_open = self.queues.get(name).is_some_and(Queue::is_open);
        let room = self.group_of(name).map_or(0, Group::room);
        if !is_open || room == 0 || self.room() == 0 {
            return false;
        }
        self.running += 1;
        self.count(name, |running| running + 1);
        true
    }

    /// Changes the counts of a queue and of its group.
    fn count(&mut self, name: &str, change: impl Fn(u32) -> u32) {
        let Some(queue) = self.queues.get_mut(name) else {
            return;
        };
        queue.running = change(queue.running);
        let Some(served) = &queue.served else { return };
        if let Some(group) = self.groups.get_mut(served.group.as_ref().unwrap_or(&served.name)) {
            group.running = change(group.running);
        }
    }

    /// Makes the groups anew from the queues that are served.
    fn regroup(&mut self) {
        self.queues
            .retain(|_, queue| queue.served.is_some() || queue.running > 0);
        self.groups.clear();
        for queue in self.queues.values() {
            let Some(served) = &queue.served else { continue };
            let name = served.group.as_ref().unwrap_or(&served.name);
            let group = self.groups.entry(Arc::clone(name)).or_default();
            group.max = served.max;
            group.running += queue.running;
            group.queues.push(Arc::clone(&served.name));
        }
    }
}

impl Flow {
    pub(crate) fn new(action: &str, reach: Reach) -> Self {
        let state = State {
            // What this process holds is nothing yet.
            is_known: reach == Reach::Node,
            ..State::default()
        };
        Self {
            action: action.into(),
            reach,
            state: Mutex::new(state),
        }
    }

    /// At most so many steps in progress in all queues; `None` for as many as there are.
    pub fn set_max(&self, max: Option<u32>) {
        self.state().max = max;
    }

    /// Opens or shuts the gate.
    pub fn set_gate(&self, gate: Gate) {
        self.state().gate = gate;
    }

    /// The queues that are served. Steps of other queues wait.
    pub fn serve(&self, queues: impl IntoIterator<Item = Served>) {
        let mut state = self.state();
        state.queues.values_mut().for_each(|queue| queue.served = None);
        for served in queues {
            let queue = state.queues.entry(Arc::clone(&served.name)).or_default();
            queue.served = Some(served);
        }
        state.regroup();
    }

    /// Over what the limits hold.
    pub fn reach(&self) -> Reach {
        self.reach
    }

    /// How many steps of a queue are in progress, as far as this process knows.
    pub fn running(&self, queue: &str) -> u32 {
        self.state().queues.get(queue).map_or(0, |queue| queue.running)
    }

    pub(crate) fn has_limits(&self) -> bool {
        self.state().has_limits()
    }

    /// What keeps steps of this queue waiting, as far as is known here; nothing where they only wait for their turn.
    pub fn obstacle(&self, queue: &str) -> Option<Obstacle> {
        let state = self.state();
        let served = state.queues.get(queue).and_then(|queue| queue.served.as_ref());
        let Some(served) = served else {
            return Some(Obstacle::Unserved);
        };
        if let Some(reason) = &served.closed {
            let reason = Arc::clone(reason);
            return Some(Obstacle::Closed { reason });
        }
        let room = state.group_of(queue).map_or(0, Group::room);
        match (served.max, state.max) {
            _ if state.gate == Gate::Shut => Some(Obstacle::Shut),
            (Some(max), _) if room == 0 => Some(Obstacle::QueueFull { max }),
            (_, Some(max)) if state.room() == 0 => Some(Obstacle::Full { max }),
            _ => None,
        }
    }

    /// Where a step that is put into the queue at a time stands in it; higher goes first. Because everything in a queue
    /// grows older at the same pace, the order need not be looked at again.
    pub(crate) fn rank(&self, queue: &str, priority: i32, now: Time) -> i32 {
        let state = self.state();
        let served = state.queues.get(queue).and_then(|queue| queue.served.as_ref());
        let Some(ageing_ms) = served.and_then(|served| served.ageing_ms).filter(|ms| *ms > 0) else {
            return priority;
        };
        let levels = now.ms_since(AGEING_SINCE) / ageing_ms;
        let levels = i32::try_from(levels).unwrap_or(i32::MAX);
        priority.saturating_sub(levels)
    }

    /// Lets a pass start at most so many steps while the gate is shut.
    pub(crate) fn set_budget(&self, budget: usize) {
        self.state().budget = budget;
    }

    /// Takes a place for a step that is ready now.
    pub(crate) fn take_at_once(&self, queue: &str, is_shared: bool) -> bool {
        let mut state = self.state();
        let may = state.gate == Gate::Open && state.is_known && !(is_shared && state.has_limits());
        may && state.take(queue)
    }

    /// Takes a place for a step that was taken out of its queue.
    pub(crate) fn take(&self, queue: &str) -> bool {
        let mut state = self.state();
        let is_shut = state.gate == Gate::Shut;
        if is_shut && state.budget == 0 || !state.take(queue) {
            return false;
        }
        if is_shut {
            state.budget -= 1;
        }
        true
    }

    /// A step is no longer in progress.
    pub(crate) fn give_back(&self, name: &str) {
        let mut state = self.state();
        state.ended += 1;
        state.running = state.running.saturating_sub(1);
        state.count(name, |running| running.saturating_sub(1));
        let is_over = |queue: &Queue| queue.served.is_none() && queue.running == 0;
        if state.queues.get(name).is_some_and(is_over) {
            state.queues.remove(name);
        }
    }

    /// How many places were given back so far.
    pub(crate) fn ended(&self) -> u64 {
        self.state().ended
    }

    /// Whether other nodes may have moved what counts.
    pub(crate) fn is_stale(&self, is_shared: bool) -> bool {
        is_shared && self.reach == Reach::Store && self.has_limits()
    }

    /// These are in progress.
    pub(crate) fn set_counts(&self, counts: Vec<(Arc<str>, u32)>) {
        let mut state = self.state();
        state.queues.values_mut().for_each(|queue| queue.running = 0);
        state.running = 0;
        for (name, running) in counts {
            state.running += running;
            state.queues.entry(name).or_default().running = running;
        }
        state.regroup();
        state.is_known = true;
    }

    pub(crate) fn action(&self) -> &str {
        &self.action
    }

    /// What may be taken out of the queues now, and what is left out: of one moment, because a place that is given back
    /// between two looks would be in neither.
    pub(crate) fn room(&self) -> Room {
        let state = self.state();
        Room {
            asks: state.asks(),
            is_full_somewhere: state.is_full_somewhere(),
            ended: state.ended,
        }
    }

    /// Whether something that waits may not even be asked for.
    pub(crate) fn is_full_somewhere(&self) -> bool {
        self.state().is_full_somewhere()
    }

    /// What must hold after a commit that starts a step of this queue.
    pub(crate) fn limits(&self, name: &str) -> Vec<StepLimit> {
        if self.reach == Reach::Node {
            return Vec::new();
        }
        let state = self.state();
        let limit = |queue, max| StepLimit {
            action: Arc::clone(&self.action),
            queue,
            max,
        };
        let all = state.max.map(|max| limit(None, max));
        let served = state.queues.get(name).and_then(|queue| queue.served.as_ref());
        let own = served.and_then(|served| served.max);
        all.into_iter()
            .chain(own.map(|max| limit(Some(name.into()), max)))
            .collect()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
