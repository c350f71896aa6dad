//! Limits on how many steps of an action are in progress: all together, and by queue.
//!
//! The truth are the rows of the steps in the store. What is kept here saves asking for them: on a store of one process
//! every start and every end passes through this process, so its count is exact once it was read; on a shared store the
//! scout reads it anew before it takes steps out of a queue, and the commit that starts a step looks at the rows itself.
//! There a limited step is therefore never started on the spot, but always taken out of its queue.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use quintet_store::{QueueAsk, StepLimit};

/// Which steps of an action may start.
#[derive(Debug)]
pub struct Flow {
    action: Arc<str>,
    state: Mutex<State>,
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

/// What keeps a step in its queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Obstacle {
    /// Nobody serves the queue.
    Unserved,
    /// So many steps of the queue are in progress, which is its limit.
    QueueFull { max: u32 },
    /// So many steps of all queues are in progress, which is their limit.
    Full { max: u32 },
    /// Steps start only in passes that somebody asks for.
    Shut,
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
    /// Whether the counts have been read.
    is_known: bool,
}

#[derive(Debug, Default)]
struct Queue {
    /// Somebody serves it; a queue that nobody serves is only counted.
    is_served: bool,
    max: Option<u32>,
    running: u32,
}

impl Queue {
    fn room(&self) -> u32 {
        self.max.map_or(u32::MAX, |max| max.saturating_sub(self.running))
    }
}

impl State {
    fn room(&self) -> u32 {
        self.max.map_or(u32::MAX, |max| max.saturating_sub(self.running))
    }

    fn has_limits(&self) -> bool {
        self.max.is_some() || self.queues.values().any(|queue| queue.max.is_some())
    }

    fn take(&mut self, name: &str) -> bool {
        let Some(queue) = self.queues.get(name) else {
            return false;
        };
        if !queue.is_served || queue.room() == 0 || self.room() == 0 {
            return false;
        }
        self.add(name);
        true
    }

    fn add(&mut self, name: &str) {
        self.running += 1;
        if let Some(queue) = self.queues.get_mut(name) {
            queue.running += 1;
        }
    }
}

impl Flow {
    pub(crate) fn new(action: &str) -> Self {
        Self {
            action: action.into(),
            state: Mutex::default(),
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

    /// The queues that are served, each with how many of its steps may be in progress. Steps of other queues wait.
    pub fn serve(&self, queues: impl IntoIterator<Item = (Arc<str>, Option<u32>)>) {
        let mut state = self.state();
        state.queues.values_mut().for_each(|queue| queue.is_served = false);
        for (name, max) in queues {
            let queue = state.queues.entry(name).or_default();
            (queue.is_served, queue.max) = (true, max);
        }
        state.queues.retain(|_, queue| queue.is_served || queue.running > 0);
    }

    pub(crate) fn has_limits(&self) -> bool {
        self.state().has_limits()
    }

    /// What keeps steps of this queue waiting, as far as is known here; nothing where they only wait for their turn.
    pub fn obstacle(&self, queue: &str) -> Option<Obstacle> {
        let state = self.state();
        let known = state.queues.get(queue).filter(|queue| queue.is_served);
        let Some(known) = known else {
            return Some(Obstacle::Unserved);
        };
        match (known.max, state.max) {
            _ if state.gate == Gate::Shut => Some(Obstacle::Shut),
            (Some(max), _) if known.room() == 0 => Some(Obstacle::QueueFull { max }),
            (_, Some(max)) if state.room() == 0 => Some(Obstacle::Full { max }),
            _ => None,
        }
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
    pub(crate) fn give_back(&self, queue: &str) {
        let mut state = self.state();
        state.running = state.running.saturating_sub(1);
        let Some(known) = state.queues.get_mut(queue) else {
            return;
        };
        known.running = known.running.saturating_sub(1);
        if !known.is_served && known.running == 0 {
            state.queues.remove(queue);
        }
    }

    /// Whether other nodes may have moved what counts.
    pub(crate) fn is_stale(&self, is_shared: bool) -> bool {
        is_shared && self.has_limits()
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
        state.queues.retain(|_, queue| queue.is_served || queue.running > 0);
        state.is_known = true;
    }

    pub(crate) fn action(&self) -> &str {
        &self.action
    }

    /// Whether something that waits may not even be asked for.
    pub(crate) fn is_full_somewhere(&self) -> bool {
        let state = self.state();
        let is_full = |queue: &Queue| queue.is_served && queue.room() == 0;
        state.room() == 0 || state.gate == Gate::Shut || state.queues.values().any(is_full)
    }

    /// What may be taken out of the queues now, of each and in all.
    pub(crate) fn asks(&self) -> (Vec<QueueAsk>, usize) {
        let state = self.state();
        let budget = match state.gate {
            Gate::Open => usize::MAX,
            Gate::Shut => state.budget,
        };
        let served = state
            .queues
            .iter()
            .filter(|(_, queue)| queue.is_served && queue.room() > 0);
        let asks = served.map(|(name, queue)| QueueAsk {
            queue: Arc::clone(name),
            limit: queue.room() as usize,
        });
        (asks.collect(), budget.min(state.room() as usize))
    }

    /// What must hold after a commit that starts a step of this queue.
    pub(crate) fn limits(&self, name: &str) -> Vec<StepLimit> {
        let state = self.state();
        let limit = |queue, max| StepLimit {
            action: Arc::clone(&self.action),
            queue,
            max,
        };
        let all = state.max.map(|max| limit(None, max));
        let own = state.queues.get(name).and_then(|queue| queue.max);
        all.into_iter()
            .chain(own.map(|max| limit(Some(name.into()), max)))
            .collect()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flow(max: Option<u32>, own: Option<u32>) -> Flow {
        let flow = Flow::new("push");
        flow.set_max(max);
        flow.serve([("a".into(), own), ("b".into(), None)]);
        flow.set_counts(Vec::new());
        flow
    }

    #[test]
    fn neither_the_limit_of_a_queue_nor_that_of_all_is_passed() {
        let flow = flow(Some(3), Some(2));
        assert_eq!([flow.take("a"), flow.take("a"), flow.take("a")], [true, true, false]);
        assert_eq!([flow.take("b"), flow.take("b")], [true, false]);
        assert_eq!(flow.asks().1, 0);
        flow.give_back("a");
        assert_eq!([flow.take("b"), flow.take("a")], [true, false]);
    }

    #[test]
    fn nothing_starts_at_once_before_the_counts_are_known() {
        let flow = Flow::new("push");
        flow.serve([("a".into(), None)]);
        assert!(!flow.take_at_once("a", false));
        flow.set_counts(vec![("a".into(), 4)]);
        assert!(flow.take_at_once("a", false));
        flow.set_max(Some(5));
        assert!(
            !flow.take_at_once("a", false),
            "four others and the one that was just taken"
        );
    }

    #[test]
    fn limited_steps_of_a_shared_store_go_through_their_queue() {
        let flow = flow(None, Some(2));
        assert!(!flow.take_at_once("b", true));
        assert!(flow.take("b"));
        assert_eq!(flow.limits("a").len(), 1);
        assert_eq!(flow.limits("b"), []);
    }

    #[test]
    fn a_queue_that_nobody_serves_is_counted_and_not_asked_for() {
        let flow = flow(Some(2), None);
        assert!(flow.take("a"));
        flow.serve([("b".into(), None)]);
        assert!(!flow.take("a"));
        let (asks, all) = flow.asks();
        assert_eq!((asks.len(), all), (1, 1));
        flow.give_back("a");
        assert_eq!(flow.asks().1, 2);
    }

    #[test]
    fn what_keeps_a_step_waiting_is_told() {
        let flow = flow(Some(2), Some(1));
        assert_eq!(flow.obstacle("ghost"), Some(Obstacle::Unserved));
        assert_eq!(flow.obstacle("a"), None);
        assert!(flow.take("a"));
        assert_eq!(flow.obstacle("a"), Some(Obstacle::QueueFull { max: 1 }));
        assert_eq!(flow.obstacle("b"), None);
        assert!(flow.take("b"));
        assert_eq!(flow.obstacle("b"), Some(Obstacle::Full { max: 2 }));
        flow.set_gate(Gate::Shut);
        assert_eq!(flow.obstacle("b"), Some(Obstacle::Shut));
    }

    #[test]
    fn a_shut_gate_lets_through_what_a_pass_may_start() {
        let flow = flow(None, None);
        flow.set_gate(Gate::Shut);
        assert!(!flow.take("a") && !flow.take_at_once("a", false));
        flow.set_budget(1);
        assert_eq!(flow.asks().1, 1);
        assert_eq!([flow.take("a"), flow.take("b")], [true, false]);
    }
}
