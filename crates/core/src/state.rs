//! A run's state: what the fold of its events is.
//!
//! [`crate::apply::apply`] is the only writer. Everything that is derived (counters, timers, the agenda) is
//! kept beside the nodes and changed with them in one place, [`RunState::edit`], so that a command costs
//! what it touches and never the size of the graph.

mod agenda;
mod node;
mod work;

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use serde_json::Value;

use agenda::Agenda;
pub use node::{Approval, Class, Fan, Hold, ItemRef, MAX_PAST, Node, OUTSIDE, Verdict};

use crate::event::{Created, Meta};
use crate::id::RunId;
use crate::machine::RunStatus;
use crate::outcome::Failure;
use crate::plan::{FailurePolicy, Plan};
use crate::time::Time;

/// Timer index of the whole run's timeout.
pub(crate) const RUN_TIMER: u32 = u32::MAX;
/// Timer index of the time before which nothing starts.
pub(crate) const DUE_TIMER: u32 = u32::MAX - 1;

/// The state of one run.
#[derive(Debug, Clone)]
pub struct RunState {
    /// Which run.
    pub id: RunId,
    /// What it was started with.
    pub created: Arc<Created>,
    /// The plan it is pinned to.
    pub plan: Arc<Plan>,
    /// Where it stands.
    pub status: RunStatus,
    /// Number of commits that changed it; fences every write.
    pub version: u64,
    /// When it was accepted.
    pub created_at: Time,
    /// When it last changed.
    pub updated_at: Time,
    /// When it ended.
    pub finished_at: Option<Time>,
    /// The run's variables.
    pub context: Arc<Value>,
    /// Step runs: one for each step of the plan at the step's index, then the items of `for_each` steps.
    pub nodes: Vec<Node>,
    /// Nothing starts before this time; absent once it has come.
    pub held_until: Option<Time>,
    /// Who holds the run and why, while it is paused.
    pub paused: Option<Note>,
    /// The last time that somebody held it, also when the hold has been lifted.
    pub last_pause: Option<Note>,
    /// The last time that somebody lifted a hold.
    pub last_resume: Option<Note>,
    /// Who called it off and why.
    pub cancelled: Option<Note>,
    /// Whoever called it off insisted.
    pub cancelled_by_force: bool,
    /// Who declared it settled and why.
    pub resolved: Option<Note>,
    /// Why it failed, when no step is to blame.
    pub failure: Option<Arc<Failure>>,
    /// A step ended the run early and well.
    pub stopped: bool,
    /// Failures that a person chose to go on with.
    pub(crate) tolerated: u32,
    pub(crate) agenda: Agenda,
    pub(crate) timers: BTreeSet<(Time, u32)>,
    pub(crate) counts: [u32; Class::COUNT],
}

/// Who did something, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    /// Who.
    pub by: Option<String>,
    /// Why.
    pub reason: Option<String>,
    /// When.
    pub at: Time,
}

impl RunState {
    /// The state right after `RunCreated`.
    pub(crate) fn create(id: RunId, plan: Arc<Plan>, created: &Created, meta: Meta) -> Self {
        let nodes: Vec<Node> = plan
            .steps
            .iter()
            .enumerate()
            .map(|(at, step)| Node::of_step(at as u32, step.predecessors.len() as u32))
            .collect();
        let mut counts = [0; Class::COUNT];
        counts[Class::Open as usize] = nodes.len() as u32;
        let mut state = Self {
            id,
            created: Arc::new(created.clone()),
            status: RunStatus::Pending,
            version: 0,
            created_at: meta.at,
            updated_at: meta.at,
            finished_at: None,
            context: Arc::clone(&created.context),
            nodes,
            held_until: created.not_before.filter(|at| *at > meta.at),
            paused: None,
            last_pause: None,
            last_resume: None,
            cancelled: None,
            cancelled_by_force: false,
            resolved: None,
            failure: None,
            stopped: false,
            tolerated: 0,
            agenda: Agenda::default(),
            timers: BTreeSet::new(),
            counts,
            plan,
        };
        if let Some(limit_ms) = state.plan.spec.settings.timeout_ms {
            let begins = state.held_until.unwrap_or(meta.at);
            state.timers.insert((begins.plus_ms(limit_ms), RUN_TIMER));
        }
        if let Some(at) = state.held_until {
            state.timers.insert((at, DUE_TIMER));
        }
        let roots = state.plan.clone();
        for &root in &roots.roots {
            state.nodes[root as usize].verdict = Verdict::Start;
            state.nodes[root as usize].ready_at = Some(meta.at);
            state.put_on_agenda(root);
        }
        state
    }

    pub(crate) fn put_on_agenda(&mut self, n: u32) {
        let priority = self.priority_of(n);
        self.agenda.push_back(priority, n);
    }

    /// Changes one node and whatever is derived from it.
    pub(crate) fn edit(&mut self, n: u32, change: impl FnOnce(&mut Node)) {
        let plan = Arc::clone(&self.plan);
        let node = &mut self.nodes[n as usize];
        let (class, failed, timer) = (node.class(), node.counts_as_failed(&plan), node.timer);
        let outside = node.is_outside();
        change(node);
        let (class_after, failed_after, timer_after) = (node.class(), node.counts_as_failed(&plan), node.timer);
        let outside_after = node.is_outside();
        self.counts[class as usize] -= 1;
        self.counts[class_after as usize] += 1;
        self.counts[Class::Failed as usize] -= u32::from(failed);
        self.counts[Class::Failed as usize] += u32::from(failed_after);
        self.counts[Class::Outside as usize] -= u32::from(outside);
        self.counts[Class::Outside as usize] += u32::from(outside_after);
        if timer != timer_after {
            if let Some(at) = timer {
                self.timers.remove(&(at, n));
            }
            if let Some(at) = timer_after {
                self.timers.insert((at, n));
            }
        }
    }

    /// How many nodes are in a class.
    pub fn count(&self, class: Class) -> u32 {
        self.counts[class as usize]
    }

    /// Attempts that processes hold and have not answered.
    pub fn claims(&self) -> u32 {
        self.count(Class::Claimed) - self.count(Class::Outside)
    }

    /// What decides about a node's turn in its queue.
    pub fn priority_of(&self, n: u32) -> i32 {
        let own = self.plan.spec.steps[self.nodes[n as usize].step as usize].priority;
        match own {
            Some(own) if !self.created.priority_is_for_all => own,
            _ => self.created.priority,
        }
    }

    /// When the run next has to look at the clock.
    pub fn next_wake(&self) -> Option<Time> {
        if self.status.is_terminal() {
            None
        } else {
            self.timers.first().map(|timer| timer.0)
        }
    }

    /// Whether a permanent failure keeps new steps from starting.
    pub fn is_tripped(&self) -> bool {
        self.plan.spec.settings.on_failure == FailurePolicy::FailFast && self.count(Class::Failed) > self.tolerated
    }

    /// Whether nothing new may start.
    pub(crate) fn is_halted(&self) -> bool {
        self.status.is_terminal()
            || self.held_until.is_some()
            || self.paused.is_some()
            || self.stopped
            || self.is_tripped()
    }

    /// The step run of a name: a step's key, or `key[3]` for an item.
    pub fn find(&self, name: &str) -> Option<u32> {
        if let Some(step) = self.plan.step_index(name) {
            return Some(step);
        }
        let (key, rest) = name.rsplit_once('[')?;
        let index: u32 = rest.strip_suffix(']')?.parse().ok()?;
        let parent = self.plan.step_index(key)?;
        let fan = self.nodes[parent as usize].fan.as_ref()?;
        (index < fan.count).then_some(fan.first + index)
    }

    /// The name that [`RunState::find`] finds.
    pub fn name_of(&self, n: u32) -> String {
        let node = &self.nodes[n as usize];
        let key = &self.plan.spec.steps[node.step as usize].key;
        match node.item {
            Some(item) => format!("{key}[{}]", item.index),
            None => key.clone(),
        }
    }

    /// The first step that failed for good, in plan order, with its failure.
    pub fn first_failure(&self) -> Option<(u32, &Failure)> {
        let failed = (0..self.plan.len() as u32).find(|&n| self.nodes[n as usize].counts_as_failed(&self.plan))?;
        self.nodes[failed as usize]
            .failure
            .as_deref()
            .map(|failure| (failed, failure))
    }

    /// Outputs of the completed steps before a step, the farthest first; at the same distance in the order of the plan.
    pub fn upstream(&self, step: u32) -> Vec<(String, Arc<Value>)> {
        let plan = &self.plan;
        let mut distance: HashMap<u32, u32> = HashMap::new();
        let mut open = vec![step];
        let mut far = 0;
        while !open.is_empty() {
            far += 1;
            let before = open.iter().flat_map(|&n| &plan.steps[n as usize].predecessors);
            let next: Vec<u32> = before.map(|edge| edge.step).collect();
            open.clear();
            for n in next {
                // The longest way counts: a step comes after everything that it was given itself.
                if distance.insert(n, far) != Some(far) {
                    open.push(n);
                }
            }
        }
        let mut before: Vec<(u32, u32)> = distance.into_iter().map(|(n, far)| (u32::MAX - far, n)).collect();
        before.sort_unstable();
        let output = |(_, n): (u32, u32)| {
            let success = self.nodes[n as usize].success.as_ref()?;
            Some((plan.spec.steps[n as usize].key.clone(), Arc::clone(&success.output)))
        };
        before.into_iter().filter_map(output).collect()
    }

    /// Rough size in memory, in bytes: what hangs on the state is counted with a flat sum.
    pub fn weight(&self) -> usize {
        const HEAP: usize = 768;
        HEAP + size_of::<Self>() + self.nodes.len() * size_of::<Node>() + self.timers.len() * 24
    }
}
