//! Pipelines, as they follow from what the registered tasks allow to come next.
//!
//! Nobody creates a pipeline. [`Tasks`] is the graph of all registered tasks of all services; a [`Pipeline`] is the
//! part of it that can be reached from some *entries*. It is named in one of two ways, tried in this order:
//!
//! - by a **service**: its entries are the tasks of the service that no other task points to;
//! - by a **task**, which is then the only entry.
//!
//! A pipeline may run into tasks of other services. Tasks of the service that only a cycle leads to belong to its
//! pipeline too: they can never run, and whoever looks at the pipeline is to be told rather than to find them missing.
//!
//! [`Tasks::pipeline_ids`] lists each service that has an entry, and each entry task that something follows. Every
//! other task can be triggered as a pipeline as well, but as a list that would be one of all tasks.
//!
//! All walks are iterative, and linear in tasks and edges.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use serde::Serialize;
use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};

/// Tasks shown of a long cycle.
const CYCLE_SHOWN: usize = 50;

/// A task as the graph needs it.
#[derive(Debug, Clone)]
pub(crate) struct Task {
    pub id: Arc<str>,
    pub service: Arc<str>,
    /// Ids of the tasks that may follow, each once; some may not be registered.
    pub next: Arc<[String]>,
}

/// All registered tasks.
#[derive(Debug, Default)]
pub(crate) struct Tasks {
    list: Vec<Task>,
    index: HashMap<Arc<str>, usize>,
    of_service: HashMap<Arc<str>, Vec<usize>>,
    next: Vec<Vec<usize>>,
    /// No other task points to it.
    is_entry: Vec<bool>,
    /// Some entry leads to it.
    is_reached: Vec<bool>,
}

/// What names a pipeline.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Source {
    Service,
    Task,
}

/// The tasks that can be reached from some entries. Tasks are named by their position in [`Pipeline::tasks`].
#[derive(Debug)]
pub(crate) struct Pipeline {
    pub id: String,
    pub source: Source,
    /// In the order in which the entries reach them; entries first.
    pub tasks: Vec<Task>,
    /// The first so many tasks are entries.
    pub entries: usize,
    pub next: Vec<Vec<usize>>,
    pub previous: Vec<Vec<usize>>,
}

impl Tasks {
    /// Of two tasks with the same id the later one counts.
    pub fn new(tasks: impl IntoIterator<Item = Task>) -> Self {
        let mut all = Self::default();
        for task in tasks {
            match all.index.get(&task.id) {
                Some(&at) => all.list[at] = task,
                None => {
                    all.index.insert(Arc::clone(&task.id), all.list.len());
                    all.list.push(task);
                }
            }
        }
        all.is_entry = vec![true; all.list.len()];
        for (at, task) in all.list.iter().enumerate() {
            let next: Vec<usize> = task
                .next
                .iter()
                .filter_map(|id| all.index.get(id.as_str()).copied())
                .collect();
            for &follower in next.iter().filter(|&&follower| follower != at) {
                all.is_entry[follower] = false;
            }
            all.next.push(next);
            all.of_service.entry(Arc::clone(&task.service)).or_default().push(at);
        }
        all.is_reached = all.reached_from_entries();
        all
    }

    /// The pipeline of this id, if it names a service or a task.
    pub fn pipeline(&self, id: &str) -> Option<Pipeline> {
        let Some(tasks) = self.of_service.get(id) else {
            let &task = self.index.get(id)?;
            return Some(self.cut_out(id, Source::Task, &[task], &[]));
        };
        let those = |wanted: fn(&Self, usize) -> bool| -> Vec<usize> {
            tasks.iter().copied().filter(|&at| wanted(self, at)).collect()
        };
        let entries = those(|all, at| all.is_entry[at]);
        let lost = those(|all, at| !all.is_reached[at]);
        Some(self.cut_out(id, Source::Service, &entries, &lost))
    }

    /// Ids of the pipelines that are worth listing, in order.
    pub fn pipeline_ids(&self) -> Vec<&str> {
        let entries = || (0..self.list.len()).filter(|&at| self.is_entry[at]);
        let mut ids: Vec<&str> = entries().map(|at| &*self.list[at].service).collect();
        ids.extend(
            entries()
                .filter(|&at| !self.next[at].is_empty())
                .map(|at| &*self.list[at].id),
        );
        ids.sort_unstable();
        ids.dedup();
        ids
    }

    fn reached_from_entries(&self) -> Vec<bool> {
        let mut reached = vec![false; self.list.len()];
        let mut waiting: Vec<usize> = (0..self.list.len()).filter(|&at| self.is_entry[at]).collect();
        while let Some(at) = waiting.pop() {
            if !std::mem::replace(&mut reached[at], true) {
                waiting.extend(&self.next[at]);
            }
        }
        reached
    }

    /// The part that is reached from `entries`, and from `lost`, which are no entries.
    fn cut_out(&self, id: &str, source: Source, entries: &[usize], lost: &[usize]) -> Pipeline {
        let mut position: HashMap<usize, usize> = HashMap::new();
        let mut order: Vec<usize> = Vec::new();
        for start in [entries, lost] {
            let mut waiting: VecDeque<usize> = start.iter().copied().collect();
            while let Some(at) = waiting.pop_front() {
                if let std::collections::hash_map::Entry::Vacant(free) = position.entry(at) {
                    free.insert(order.len());
                    order.push(at);
                    waiting.extend(&self.next[at]);
                }
            }
        }
        let mut previous = vec![Vec::new(); order.len()];
        let mut next = Vec::with_capacity(order.len());
        for (here, &at) in order.iter().enumerate() {
            let followers: Vec<usize> = self.next[at].iter().map(|follower| position[follower]).collect();
            followers.iter().for_each(|&follower| previous[follower].push(here));
            next.push(followers);
        }
        Pipeline {
            id: id.to_owned(),
            source,
            tasks: order.into_iter().map(|at| self.list[at].clone()).collect(),
            entries: entries.len(),
            next,
            previous,
        }
    }
}

impl Pipeline {
    /// The tasks that a run begins with.
    pub fn entries(&self) -> &[Task] {
        &self.tasks[..self.entries]
    }

    /// Successors that no service has registered: the task, and what it points to.
    pub fn missing(&self) -> Vec<(&str, &str)> {
        let known: std::collections::HashSet<&str> = self.tasks.iter().map(|task| &*task.id).collect();
        let edges = self
            .tasks
            .iter()
            .flat_map(|task| task.next.iter().map(|next| (&*task.id, next.as_str())));
        edges.filter(|(_, next)| !known.contains(next)).collect()
    }

    /// Tasks level by level: each stands one below the lowest of its predecessors. Tasks on a cycle, and behind one,
    /// are in no level.
    pub fn levels(&self) -> Vec<Vec<usize>> {
        let mut remaining: Vec<usize> = self.previous.iter().map(Vec::len).collect();
        let mut level: Vec<usize> = (0..self.tasks.len()).filter(|&at| remaining[at] == 0).collect();
        let mut levels = Vec::new();
        while !level.is_empty() {
            let mut below = Vec::new();
            for &follower in level.iter().flat_map(|&at| &self.next[at]) {
                remaining[follower] -= 1;
                if remaining[follower] == 0 {
                    below.push(follower);
                }
            }
            below.sort_unstable();
            levels.push(std::mem::replace(&mut level, below));
        }
        levels
    }

    /// A cycle as text, `a -> b -> a`, if there is one.
    pub fn cycle(&self) -> Option<String> {
        let mut stuck = vec![true; self.tasks.len()];
        self.levels().into_iter().flatten().for_each(|at| stuck[at] = false);
        // Every task left over has a predecessor left over: walking backwards must come round.
        let mut at = stuck.iter().position(|stuck| *stuck)?;
        let mut position: HashMap<usize, usize> = HashMap::new();
        let mut path = Vec::new();
        while !position.contains_key(&at) {
            position.insert(at, path.len());
            path.push(at);
            at = *self.previous[at].iter().find(|&&before| stuck[before])?;
        }
        let mut cycle = path.split_off(position[&at]);
        cycle.reverse();
        let lowest = (0..cycle.len()).min_by_key(|&nth| cycle[nth]).unwrap_or_default();
        cycle.rotate_left(lowest);
        cycle.push(cycle[0]);
        let names: Vec<&str> = cycle.iter().take(CYCLE_SHOWN).map(|&at| &*self.tasks[at].id).collect();
        let more = if cycle.len() > CYCLE_SHOWN { " -> ..." } else { "" };
        Some(format!("{}{more}", names.join(" -> ")))
    }

    /// Parts that no edge connects.
    pub fn parts(&self) -> usize {
        let mut seen = vec![false; self.tasks.len()];
        let mut parts = 0;
        for start in 0..self.tasks.len() {
            parts += usize::from(!seen[start]);
            let mut waiting = vec![start];
            while let Some(at) = waiting.pop() {
                if !std::mem::replace(&mut seen[at], true) {
                    waiting.extend(self.next[at].iter().chain(&self.previous[at]));
                }
            }
        }
        parts
    }

    /// `{"<task>": {"allowedNext": […]}}`, as it is shown, and as it is kept with a run.
    pub fn structure(&self) -> Value {
        let tasks = self.tasks.iter();
        let entries = tasks.map(|task| (task.id.to_string(), json!({ "allowedNext": &*task.next })));
        Value::Object(entries.collect::<Map<String, Value>>())
    }

    /// 16 hexadecimal digits that are others for every other structure.
    pub fn version(&self) -> String {
        let entries: Vec<&str> = self.entries().iter().map(|task| &*task.id).collect();
        let digest = Sha256::digest(json!([entries, self.structure()]).to_string());
        digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect()
    }
}

#[cfg(test)]
pub(super) mod tests;
